"""When a peak is a cell: limits on the score, chosen on fields that were not learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.detect.learned.kinds import KINDS
from napari_hemacells.core.evaluate.detection import Boxes, match_boxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LOW = 0.1  # what is found below it is not looked at
TRIED = np.arange(0.14, 0.8, 0.02)
FEW = 5  # annotated cells; with fewer the limit stays as it was
AS_GOOD = 0.005  # in F1; with few cells, what one cell of them makes


def chosen_limits(
    pairs: Sequence[tuple[Boxes, Boxes]], before: Sequence[float]
) -> tuple[float, ...]:
    """Return a limit for each kind: of those that do best, the one nearest to that before.

    Parameters
    ----------
    pairs
        What is found above :data:`LOW` and what is annotated, image by image.
    """
    return tuple(_chosen(pairs, kind, old) for kind, old in zip(KINDS, before, strict=True))


def _chosen(pairs: Sequence[tuple[Boxes, Boxes]], kind: str, old: float) -> float:
    annotated = sum(len(true.of_class(kind)) for _, true in pairs)
    if annotated < FEW:
        return old
    tried = np.append(TRIED, old)
    values = f1_at(pairs, kind, tried)
    good = tried[values >= values.max() - max(AS_GOOD, 1 / annotated)]
    return round(float(good[np.abs(good - old).argmin()]), 3)


def f1_at(
    pairs: Sequence[tuple[Boxes, Boxes]], kind: str, limits: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return F1 of a kind at IoU 0.5 at each of the limits; 0 where there is nothing at all.

    The best scored box chooses first, so a hit does not depend on the boxes below it, and one
    matching serves all limits.
    """
    scores: list[NDArray[np.float64]] = []
    hits: list[NDArray[np.bool_]] = []
    annotated = 0
    for found, true in pairs:
        own, theirs = found.of_class(kind), true.of_class(kind)
        scores.append(own.scores)
        hits.append(match_boxes(own, theirs) >= 0)
        annotated += len(theirs)
    score, hit = (
        np.concatenate(scores or [np.empty(0)]),
        np.concatenate(hits or [np.empty(0, bool)]),
    )
    above = score[None] >= limits[:, None]
    both = above.sum(axis=1) + annotated
    found_right = (above & hit[None]).sum(axis=1)
    values = np.divide(2.0 * found_right, both, out=np.zeros(len(limits)), where=both > 0)
    return np.asarray(values)
