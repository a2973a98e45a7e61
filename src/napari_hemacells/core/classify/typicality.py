"""Which annotations look unlike the others of their class: a slip of the mouse, or a rare form.

An annotated cell is held against the cells that the detector found of each kind. One that lies
among the cells of a kind which is the home of another class is *unlike the others*: it keeps its
class, but teaches less until a second similar annotation of the same class, or the user, confirms
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify.projection import squared_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE = 300  # cells of each kind that an annotated cell is held against
NEAREST = 3
NEARER = 0.85  # how much nearer another class's cells must be, as a part of the distance
MUCH_NEARER = 0.65  # ... if the detector's kind speaks for the class
SIMILAR = 0.04  # two annotations confirm each other within this part of the other kind's cells
DOUBTED_WEIGHT = 0.15  # what an annotation counts for that is unlike the others


def sample_of_kinds(rows: NDArray[np.intp], kinds: int) -> list[NDArray[np.intp]]:
    """Indices of up to :data:`SAMPLE` cells of each kind, at regular intervals."""
    chosen = []
    for kind in range(kinds):
        mine = np.flatnonzero(rows == kind)
        chosen.append(mine[:: -(-len(mine) // SAMPLE) or 1])
    return chosen


def unlike_others(
    points: NDArray[np.float32],
    targets: NDArray[np.intp],
    kinds: NDArray[np.intp],
    homes: NDArray[np.intp],
    samples: list[NDArray[np.float32]],
) -> NDArray[np.bool_]:
    """``(m,)`` which annotated cells look unlike their class.

    Parameters
    ----------
    points
        ``(m, d)`` places of the annotated cells.
    targets, kinds
        ``(m,)`` class, and the detector's kind (-1: unknown), of each.
    homes
        ``(k,)`` kind in which each class is at home; -1 where it has none.
    samples
        Places of some cells of each kind.
    """
    used = set(homes[np.unique(targets)].tolist()) - {-1}
    if len(used) < 2:
        return np.zeros(len(points), dtype=np.bool_)
    squared = [squared_distances(points, sample) for sample in samples]
    near = np.stack([_near(one) for one in squared], axis=1)
    own = homes[targets]
    mine = np.where(own >= 0, near[np.arange(len(points)), own], np.nan)
    rivals = np.full(len(points), np.inf)
    rival = np.full(len(points), -1)
    for kind in used:
        better = (own != kind) & (near[:, kind] < rivals)
        rivals[better], rival[better] = near[better, kind], kind
    limit = np.where(kinds == own, MUCH_NEARER, NEARER)
    doubted = (rivals < limit * mine) & (own >= 0) & (rival >= 0)
    confirmed = np.zeros(len(points), dtype=np.bool_)
    for index in np.flatnonzero(doubted):
        twins = np.flatnonzero((targets == targets[index]) & doubted)
        apart = squared_distances(points[index : index + 1], points[twins[twins != index]])
        reach = np.quantile(squared[rival[index]][index], SIMILAR)
        confirmed[index] = bool((apart <= reach).any())
    return doubted & ~confirmed


def _near(squared: NDArray[np.float32]) -> NDArray[np.float64]:
    """``(m,)`` mean distance to the nearest cells, without a cell itself."""
    if squared.shape[1] == 0:
        return np.full(len(squared), np.inf)
    apart = np.where(squared < 1e-3, np.inf, squared)
    few = np.sort(apart, axis=1)[:, :NEAREST]
    known = np.isfinite(few)
    total = np.where(known, np.sqrt(np.where(known, few, 0.0)), 0.0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.inf)
