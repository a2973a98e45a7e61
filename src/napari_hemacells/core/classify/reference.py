"""Statistics of the cells that a head was fitted on, the reference for domain shift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify.projection import squared_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.classify.projection import CellProjection

NEAREST, CELLS_PER_DIRECTION = 3, 8


@dataclass(frozen=True, eq=False)
class Reference:
    """Statistics of the cells of the image that a head was fitted on.

    Attributes
    ----------
    mean, std
        ``(dim,)`` of their vectors.
    nearness, spread
        Mean and standard deviation of the log distance of a cell to its nearest neighbours.
    n
        Number of cells.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    nearness: float
    spread: float
    n: int


def fit_reference(vectors: NDArray[np.float32], known: CellProjection) -> Reference:
    """Return the reference of ``(n, dim)`` vectors and their projection."""
    points = leading_directions(known.points)
    apart = squared_distances(points, points)
    np.fill_diagonal(apart, np.inf)
    own = log_nearest_distance(apart)
    return Reference(
        mean=vectors.mean(axis=0),
        std=vectors.std(axis=0),
        nearness=float(own.mean()),
        spread=max(float(own.std()), 1e-6),
        n=len(vectors),
    )


def leading_directions(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the leading directions, fewer for few cells, where the others are noise."""
    return points[:, : max(4, len(points) // CELLS_PER_DIRECTION)]


def log_nearest_distance(squared: NDArray[np.float32]) -> NDArray[np.float64]:
    """``(n,)`` logarithm of the root mean squared distance to the nearest neighbours."""
    count = min(NEAREST, squared.shape[1] - 1)
    closest = np.partition(squared, count - 1, axis=1)[:, :count]
    return np.asarray(0.5 * np.log(closest.mean(axis=1) + 1e-12), dtype=np.float64)
