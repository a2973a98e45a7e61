"""Novelty: how far a cell is from everything annotated, to mark unknown cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify.projection import (
    SAME_CELL_TOLERANCE,
    CellProjection,
    random_basis,
    squared_distances,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.classify.knn_graph import KNNGraph
    from napari_hemacells.core.classify.label_propagation import RandomWalks

LEAST = 1e-12  # smallest visit frequency, and smallest total weight
MAX_GAP = 100.0  # of equal pictures, which have no spacing: from there on all is near
SHARED = 3.0  # shrinkage of a class's mean towards that of all, in clicks
QUANTILE = 0.95  # part of the annotated cells (leave-one-out) that are not unknown
LEAST_CLICKS, LEAST_SHOTS = 8, 2  # with fewer, no cell is unknown


@dataclass(frozen=True, eq=False)
class Novelty:
    """The novelty of every cell of the projection, and the threshold for unknown cells.

    Attributes
    ----------
    map
        Projection of the known cells.
    values
        ``(n,)`` float32: logarithm of how much more rarely the walks of the likeliest class visit
        the cell than they visit an annotated cell of that class.
    threshold
        Cells above it are unknown; infinite while there are too few annotations.
    """

    map: CellProjection
    values: NDArray[np.float32]
    threshold: float

    def score(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(n,)`` float32 novelty of ``(n, dim)`` vectors: about 0 for annotated cells."""
        near, weight = self.map.cached_neighbours(vectors)
        return _interpolate(self.values, near, weight, self.map.typical_gap)


def novelty_from_walks(
    pool: KNNGraph, walks: RandomWalks, vectors: NDArray[np.floating], counts: NDArray[np.intp]
) -> Novelty:
    """Return the novelty of an image's cells by random walks from the annotated ones.

    The visits of the likeliest class's walks are compared with those between annotated cells of
    that class, so a rare class is not novel for being rare.

    Parameters
    ----------
    vectors
        ``(m, dim)`` the annotated cells, in the order of `walks`.
    counts
        ``(k,)`` number of annotated cells of each class.
    """
    by_class = np.log(walks.by_class + LEAST)
    near, weight = pool.map.near(vectors)
    back = np.take_along_axis(walks.without, near, axis=1)
    back = np.log(np.einsum("ij,ij->i", back, weight) + LEAST)
    asked = counts[walks.targets] >= LEAST_SHOTS
    usual = _class_baseline(
        back[asked], walks.targets[asked], np.log(np.exp(by_class).sum(axis=0))
    )
    left_out = usual[walks.targets] - back
    values = (usual - by_class).min(axis=1)
    return Novelty(pool.map, values.astype(np.float32), _threshold(left_out[asked]))


def novelty_from_distances(vectors: NDArray[np.floating], counts: NDArray[np.intp]) -> Novelty:
    """Return the novelty by distance to the annotated cells, without other cells."""
    centre, basis = random_basis(vectors)
    points = np.asarray(vectors @ basis - centre @ basis, dtype=np.float32)
    squared = squared_distances(points, points).astype(np.float64)
    np.fill_diagonal(squared, np.inf)
    closest = squared.min(axis=1)
    few = len(points) < 2
    spacing = 1.0 if few else float(np.sqrt(np.median(closest))) or 1.0
    enough = not few and counts.min() >= LEAST_SHOTS
    known = CellProjection(centre, basis, points, spacing)
    threshold = _threshold(closest / spacing**2 - known.typical_gap) if enough else np.inf
    return Novelty(known, np.zeros(len(points), dtype=np.float32), threshold)


def allowing_held_out(novelty: Novelty, vectors: NDArray[np.float32]) -> Novelty:
    """Return the novelty with a threshold that few cells of the known classes exceed.

    A trained network draws the cells it learned from closer together than it does new ones of
    the same classes: asked without themselves, they would call too many of these unknown.

    Parameters
    ----------
    vectors
        ``(m, dim)`` cells of the known classes that nothing was learned from; fewer than 8 say
        nothing.
    """
    if len(vectors) < LEAST_CLICKS:
        return novelty
    held_out = float(np.quantile(novelty.score(vectors), QUANTILE))
    return replace(novelty, threshold=max(novelty.threshold, held_out))


def _class_baseline(
    back: NDArray[np.float64], targets: NDArray[np.intp], total: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``(k,)`` logarithm of how often walks of a class visit an annotated cell of it.

    Each class's mean, shrunk towards the mean of all classes.
    """
    above = back - total[targets]
    counts = np.bincount(targets, minlength=len(total))
    own = np.bincount(targets, above, minlength=len(total))
    shared = float(above.mean()) if len(above) else 0.0
    return np.asarray(total + (own + SHARED * shared) / (counts + SHARED))


def _threshold(left_out: NDArray[np.float64]) -> float:
    """Return the leave-one-out score that few annotated cells exceed."""
    if len(left_out) < LEAST_CLICKS:
        return float(np.inf)
    return float(np.quantile(left_out, QUANTILE))


def _interpolate(
    values: NDArray[np.float32], near: NDArray[np.intp], weight: NDArray[np.float64], gap: float
) -> NDArray[np.float32]:
    """``(m,)`` interpolated novelty; far from all known cells it grows with the distance.

    A new cell is never as near to a known cell as that cell is to itself, so a distance up to
    `gap` is not novel. Without it a quarter of another image's cells were unknown (PBC).
    """
    lowest = values[near].min(axis=1)
    passed = np.exp(lowest[:, np.newaxis] - values[near].astype(np.float64))
    mean_passed = np.einsum("ij,ij->i", passed, weight)
    new = weight[:, 0] <= 1.0 - SAME_CELL_TOLERANCE
    mean_passed[new] = np.minimum(mean_passed[new] * np.exp(min(gap, MAX_GAP)), 1.0)
    return np.asarray(lowest - np.log(mean_passed + LEAST), dtype=np.float32)
