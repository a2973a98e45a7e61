"""Cells that differ from one another: greedy choices by distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify.cellmap import squared_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

SKETCH = 32  # dimensions in which cells are compared
LONERS = 0.98  # quantile of the distance to the fifth neighbour above which a cell is passed over
LONERS_SAMPLE, FIFTH = 1000, 5


def sketched(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Few random projections of the vectors, which keep distances (Johnson and Lindenstrauss)."""
    projection = np.random.default_rng(0).standard_normal((vectors.shape[1], SKETCH))
    spread_out = vectors.std(axis=0) + np.float32(1e-6)
    sketch = (vectors - vectors.mean(axis=0)) @ (
        projection.astype(np.float32) / spread_out[:, np.newaxis]
    )
    return np.asarray(sketch, dtype=np.float32)


def spread(
    points: NDArray[np.float32],
    worth: NDArray[np.floating],
    count: int,
    taken: NDArray[np.float32] | None = None,
) -> NDArray[np.intp]:
    """Places of up to `count` points, each next one worth much and far from those before.

    Greedy: worth times the distance to the nearest point chosen or `taken` before; where there is
    none, the first is the one of most worth, among equals the one farthest from the mean.
    """
    lengths = np.einsum("ij,ij->i", points, points)
    chosen: list[int] = []
    weight = np.asarray(worth, dtype=np.float64) + 1e-9
    nearest = np.full(len(points), np.inf)
    for point in () if taken is None else taken:
        np.minimum(nearest, _distances(points, lengths, point), out=nearest)
    started = bool(np.isfinite(nearest).all())
    merit = weight * (nearest if started else 1.0 + 1e-6 * np.sqrt(lengths))
    for _ in range(min(count, len(points))):
        best = int(np.argmax(merit))
        chosen.append(best)
        np.minimum(nearest, _distances(points, lengths, points[best]), out=nearest)
        merit = weight * nearest
        merit[chosen] = -1.0
    return np.array(chosen, dtype=np.intp)


def cold_start_places(vectors: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Places of up to `count` vectors that differ most, the one in the middle first.

    Those far from their fifth neighbour come only when all others are taken.
    """
    if len(vectors) == 0 or count < 1:
        return np.zeros(0, dtype=np.intp)
    points = sketched(vectors)
    middle = int(np.square(points - np.median(points, axis=0)).sum(axis=1).argmin())
    alone = _loneliness(points)
    accepted = (alone <= np.quantile(alone, LONERS)).astype(np.float64)
    rest = spread(points, accepted, count, points[middle : middle + 1])
    order = np.concatenate([[middle], rest[rest != middle]])
    return np.asarray(order[:count], dtype=np.intp)


def _loneliness(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """``(n,)`` distance to the fifth nearest of a sample of the points."""
    sample = points[:: -(-len(points) // LONERS_SAMPLE)]
    fifth = min(FIFTH, len(sample) - 1)
    found = [
        np.partition(squared_distances(block, sample), fifth, axis=1)[:, fifth]
        for block in np.array_split(points, -(-len(points) // LONERS_SAMPLE))
    ]
    return np.sqrt(np.concatenate(found).astype(np.float64))


def _distances(
    points: NDArray[np.float32], lengths: NDArray[np.float32], to: NDArray[np.float32]
) -> NDArray[np.float64]:
    squared = lengths + float(to @ to) - 2.0 * (points @ to)
    return np.asarray(np.sqrt(np.maximum(squared, 0)), dtype=np.float64)
