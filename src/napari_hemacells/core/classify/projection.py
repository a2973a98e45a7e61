"""Low-dimensional projections of embeddings, in which similar cells lie close together.

:class:`CellProjection` serves nearest neighbours and novelty; PCA and UMAP give 2-D scatter plots.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROJECTION_DIM, SAMPLE = 64, 500  # principal directions kept, and from how many cells
LEAST_SPREAD = 0.3  # of the typical one: a number that hardly varies must not be blown up
NEAREST = 3  # number of neighbours
GAP_QUANTILE = (
    0.25  # quantile of the known cells' distance to the nearest other: what is no gap at all
)
SAME_CELL_TOLERANCE = 1e-3  # how much less near than itself a cell may be and still be the same


@dataclass(frozen=True, eq=False)
class CellProjection:
    """Known cells in a low-dimensional space.

    Attributes
    ----------
    centre, basis
        ``(dim,)`` and ``(dim, d)``: a cell's position is ``(vector - centre) @ basis``.
    points
        ``(n, d)`` float32 positions of the known cells.
    spacing
        Median distance from a known cell to its neighbours.
    """

    centre: NDArray[np.float32]
    basis: NDArray[np.float32]
    points: NDArray[np.float32]
    spacing: float
    _known: list[Any] = field(default_factory=list, repr=False)

    def places(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """``(m, d)`` float32 positions of ``(m, dim)`` vectors."""
        return np.asarray(vectors @ self.basis - self.centre @ self.basis, dtype=np.float32)

    def near(self, vectors: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """``(m, 3)`` nearest known cells of each vector, and their weights.

        A known cell has itself as its only neighbour. The weights sum to the similarity of the
        nearest, 0 to 1.
        """
        near, weight = nearest_points(self.places(vectors), self.points, NEAREST, self.spacing)
        weight[weight[:, 0] > 1.0 - SAME_CELL_TOLERANCE, 1:] = 0.0
        share = weight[:, :1] / np.maximum(weight.sum(axis=1, keepdims=True), 1e-30)
        return near, weight * share

    @cached_property
    def typical_gap(self) -> float:
        """Squared distance of a typical cell to its nearest known cell, in spacings.

        With the median, 3 % of another image's cells were falsely unknown and 45 % of those of a
        missing class truly; with the lower quartile 5 % and 58 % (PBC, 5 shots).
        """
        points = self.points[:: -(-len(self.points) // SAMPLE)]
        if len(points) < 2:
            return 0.0
        apart = squared_distances(points, self.points)
        apart[apart <= SAME_CELL_TOLERANCE * self.spacing**2] = np.inf  # a cell itself
        closest = apart.min(axis=1)
        closest = closest[np.isfinite(closest)]
        gap = float(np.quantile(closest, GAP_QUANTILE)) if len(closest) else 0.0
        return gap / self.spacing**2

    def cached_neighbours(
        self, vectors: NDArray[np.float32]
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return :meth:`near`, cached for the last array: clicks on an image share it."""
        if not self._known or self._known[0]() is not vectors:
            self._known[:] = [weakref.ref(vectors), self.near(vectors)]
        neighbours: tuple[NDArray[np.intp], NDArray[np.float64]] = self._known[1]
        return neighbours


def pca_basis(vectors: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """``(dim,)`` centre and ``(dim, d)`` principal directions of standardised vectors."""
    sample = vectors[:: -(-len(vectors) // SAMPLE)].astype(np.float64)
    centre, variance = sample.mean(axis=0), sample.var(axis=0)
    scale = np.sqrt(variance + LEAST_SPREAD**2 * (float(variance.mean()) or 1.0))
    rows = (sample - centre) / scale
    power, sides = np.linalg.eigh(rows @ rows.T)
    kept = np.flatnonzero(power > 1e-9 * max(power[-1], 1e-12))[::-1][:PROJECTION_DIM]
    directions = rows.T @ (sides[:, kept] / np.sqrt(power[kept]))
    return centre.astype(np.float32), (directions / scale[:, np.newaxis]).astype(np.float32)


def random_basis(
    vectors: NDArray[np.floating],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """``(dim,)`` centre and ``(dim, d)`` random directions of standardised vectors.

    They keep distances in all directions (Johnson and Lindenstrauss), also in those without
    variance in a small sample, which principal directions miss.
    """
    centre, variance = vectors.mean(axis=0), vectors.var(axis=0)
    scale = np.sqrt(variance + LEAST_SPREAD**2 * (float(variance.mean()) or 1.0))
    directions = np.random.default_rng(0).standard_normal((vectors.shape[1], PROJECTION_DIM))
    basis = directions / np.sqrt(PROJECTION_DIM) / scale[:, np.newaxis]
    return centre.astype(np.float32), basis.astype(np.float32)


def nearest_points(
    points: NDArray[np.float32], known: NDArray[np.float32], count: int, spacing: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """``(m, count)`` nearest known points, nearest first, and their similarities, 0 to 1."""
    count = min(count, len(known))
    distance = squared_distances(points, known)
    near = np.argpartition(distance, count - 1, axis=1)[:, :count]
    near_distances = np.take_along_axis(distance, near, axis=1)
    order = np.argsort(near_distances, axis=1)
    near_distances = np.take_along_axis(near_distances, order, axis=1)
    nearness = np.exp(-np.asarray(near_distances, dtype=np.float64) / spacing**2)
    return np.take_along_axis(near, order, axis=1), nearness


def squared_distances(
    points: NDArray[np.float32], known: NDArray[np.float32]
) -> NDArray[np.float32]:
    """``(m, n)`` squared distances."""
    lengths = np.einsum("ij,ij->i", points, points)[:, np.newaxis]
    squared = lengths + np.einsum("ij,ij->i", known, known) - 2 * (points @ known.T)
    return np.asarray(np.maximum(squared, 0, out=squared), dtype=np.float32)


UMAP_NEIGHBOURS = 15
FEWEST = 5  # cells that a plane is worth while for


def project_pca(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(n, 2)`` positions of ``(n, dim)`` vectors on their first two principal components.

    Examples
    --------
    >>> pca_plane(np.eye(6, 4, dtype=np.float32)).shape
    (6, 2)
    """
    if len(vectors) < FEWEST:
        return np.zeros((len(vectors), 2), dtype=np.float32)
    centre, basis = pca_basis(vectors)
    places = (vectors - centre) @ basis[:, :2]
    missing = 2 - places.shape[1]  # all cells alike, but for one direction
    return np.asarray(np.pad(places, ((0, 0), (0, missing))), dtype=np.float32)


def has_umap() -> bool:
    """Whether the extra ``umap`` is installed."""
    return find_spec("umap") is not None


def project_umap(vectors: NDArray[np.float32], seed: int = 0) -> NDArray[np.float32]:
    """``(n, 2)`` positions by UMAP (McInnes et al. 2018), deterministic for a seed.

    It keeps neighbourhoods, not distances, and takes seconds for thousands of cells.
    """
    if len(vectors) <= FEWEST:
        return project_pca(vectors)
    from umap import UMAP

    centre, basis = pca_basis(vectors)
    neighbours = min(UMAP_NEIGHBOURS, len(vectors) - 1)
    reducer = UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1)
    return np.asarray(reducer.fit_transform((vectors - centre) @ basis), dtype=np.float32)
