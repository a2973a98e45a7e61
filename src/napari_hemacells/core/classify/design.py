"""Which cells would teach most if they were clicked: transductive experimental design.

What is not yet known of the cells is taken for a Gaussian process over their map: like cells have
like classes. A click makes everything near it known as well. The next cell is the one whose click
would leave least unknown, where each cell counts for as much as knowing it is worth (Yu, Bi and
Tresp 2006, *Active learning via transductive experimental design*, with weights). So the first
clicks cover the kinds of cells, large groups first, one click a group; later ones go where many
doubtful cells of classes with few clicks lie together, never twice to the same place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify.cellmap import squared_distances
from napari_hemacells.core.classify.pool import pool_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELLS = 800  # cells of an image that are weighed against each other
# Tuned on the ImageNet encoder's vectors of PBC and the bundled one's of Chula's held-out blocks,
# three draws each: a width of 1 to 2.5 spacings and a noise of 0.1 to 1 teach alike.
WIDTH = 1.0  # of the process, in spacings of the map: how far a click makes known
NOISE = 0.1  # variance of an answer
CROWDED = 0.5  # power of the number of like cells by which a cell counts less; 1: groups alike


def most_telling(
    vectors: NDArray[np.float32],
    worth: NDArray[np.floating],
    taken: NDArray[np.intp],
    count: int,
) -> NDArray[np.intp]:
    """Places of up to `count` cells to click next, the most telling first.

    Parameters
    ----------
    vectors
        ``(n, dim)`` of an image's cells.
    worth
        ``(n,)`` how much it is worth to know each cell, 0 or more.
    taken
        Places of the cells that are annotated.
    """
    pool = pool_of(vectors)
    if pool is None:
        ranked = np.argsort(-worth, kind="stable")
        return ranked[~np.isin(ranked, taken)][:count]
    rows = _weighed(worth, taken)
    points = pool.map.places(vectors[rows])
    squared = squared_distances(points, points).astype(np.float64)
    np.fill_diagonal(squared, 0.0)
    like = np.exp(-squared / (2 * (WIDTH * pool.map.spacing) ** 2))
    weight = worth[rows] * like.sum(axis=1) ** -CROWDED
    known = np.flatnonzero(np.isin(rows, taken))
    return rows[_greedy(_left_open(like, known), weight, known, count)]


def _weighed(worth: NDArray[np.floating], taken: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the cells looked at: all; of many those of most worth, and some of everywhere."""
    if len(worth) <= CELLS:
        return np.arange(len(worth))
    best = np.argsort(-worth, kind="stable")[: CELLS // 2]
    everywhere = np.arange(0, len(worth), -(-len(worth) // (CELLS // 2)))
    clicked = taken[:: -(-len(taken) // CELLS) or 1]
    return np.unique(np.concatenate([best, everywhere, clicked]))


def _left_open(like: NDArray[np.float64], known: NDArray[np.intp]) -> NDArray[np.float64]:
    """``(n, n)`` covariance of the cells once the known ones have answered."""
    if len(known) == 0:
        return like.copy()
    among = like[np.ix_(known, known)] + NOISE * np.eye(len(known))
    return np.asarray(like - like[:, known] @ np.linalg.solve(among, like[known]))


def _greedy(
    covariance: NDArray[np.float64],
    weight: NDArray[np.floating],
    known: NDArray[np.intp],
    count: int,
) -> NDArray[np.intp]:
    """Return the cells that one after the other lower the weighted variance most."""
    open_to_it = np.ones(len(covariance), dtype=np.bool_)
    open_to_it[known] = False
    chosen: list[int] = []
    for _ in range(min(count, int(open_to_it.sum()))):
        gain = (weight @ np.square(covariance)) / (covariance.diagonal() + NOISE)
        best = int(np.where(open_to_it, gain, -1.0).argmax())
        chosen.append(best)
        open_to_it[best] = False
        told = covariance[:, best] / (covariance[best, best] + NOISE)
        covariance -= np.outer(told, covariance[best])
    return np.array(chosen, dtype=np.intp)
