"""Hits, found and annotated cells by kind, image by image; F1 and its interval.

When a peak is a cell: limits on the score, chosen on fields that were not learned from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.detect.learned.metadata import KINDS
from napari_hemacells.core.evaluate.classification_metrics import percentile_interval
from napari_hemacells.core.evaluate.detection_metrics import Boxes, match_boxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ALL = "all"
BOOTSTRAP_SAMPLES = 1000
FIELDS_FOR_INTERVAL = 5


@dataclass(frozen=True, eq=False)
class DetectionCounts:
    """Counts of the held-out part at IoU 0.5.

    Attributes
    ----------
    counts
        ``(images, kinds, 3)`` int64: hits, found, annotated.
    """

    counts: NDArray[np.int64]

    def f1(self) -> dict[str, float]:
        """F1 of each kind that is annotated, and of all kinds added up under ``"all"``."""
        sums = self.counts.sum(axis=0)
        rows = {kind: row for kind, row in zip(KINDS, sums, strict=True) if row[2]}
        rows[ALL] = sums.sum(axis=0)
        return {name: _f1(row) for name, row in rows.items()}

    @property
    def grain(self) -> float:
        """F1 that about one cell makes: smaller differences say nothing."""
        return 1 / max(1, int(self.counts[..., 2].sum()))

    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % interval of each F1 by drawing the images again; empty with few images."""
        draws = self._draws()
        return {
            name: percentile_interval(draws[:, column]) for name, column in self._columns(draws)
        }

    def gain(self, before: DetectionCounts) -> dict[str, tuple[float, float]]:
        """95 % interval of the gain over the same images before; empty with few images."""
        draws = self._draws() - before._draws()
        return {
            name: percentile_interval(draws[:, column]) for name, column in self._columns(draws)
        }

    def _columns(self, draws: NDArray[np.float64]) -> list[tuple[str, int]]:
        names = self.f1()
        return [
            (name, column)
            for column, name in enumerate((*KINDS, ALL))
            if name in names and len(draws)
        ]

    def _draws(self) -> NDArray[np.float64]:
        """Return ``(draws, kinds + 1)`` F1 of images drawn with replacement, always the same."""
        images = len(self.counts)
        if images < FIELDS_FOR_INTERVAL:
            return np.empty((0, len(KINDS) + 1))
        drawn = np.random.default_rng(0).integers(images, size=(BOOTSTRAP_SAMPLES, images))
        sums = self.counts[drawn].sum(axis=1)
        sums = np.concatenate([sums, sums.sum(axis=1, keepdims=True)], axis=1)
        hits, both = 2.0 * sums[..., 0], sums[..., 1] + sums[..., 2]
        return np.asarray(np.divide(hits, both, out=np.zeros_like(hits), where=both > 0))

    def rows(self) -> dict[str, dict[str, float]]:
        """As plain JSON: counts and F1 of each kind that is annotated, and of all."""
        sums, names = self.counts.sum(axis=0), self.f1()
        every = [*zip(KINDS, sums, strict=True), (ALL, sums.sum(axis=0))]
        keys = ("hits", "found", "annotated")
        return {
            name: {**dict(zip(keys, map(int, row), strict=True)), "f1": names[name]}
            for name, row in every
            if name in names
        }


def count_detections(pairs: Sequence[tuple[Boxes, Boxes]]) -> DetectionCounts:
    """Return the counts of (found, annotated) boxes of each image."""
    counts = [[_counts(detected, true, kind) for kind in KINDS] for detected, true in pairs]
    return DetectionCounts(np.array(counts, np.int64).reshape(len(pairs), len(KINDS), 3))


def _counts(detected: Boxes, true: Boxes, kind: str) -> tuple[int, int, int]:
    own, theirs = detected.of_class(kind), true.of_class(kind)
    return int((match_boxes(own, theirs) >= 0).sum()), len(own), len(theirs)


def _f1(row: NDArray[np.int64]) -> float:
    hits, detected, annotated = (int(value) for value in row)
    return 2 * hits / (detected + annotated) if detected + annotated else 0.0


SCORE_FLOOR = 0.1  # what is found below it is not looked at
CANDIDATE_THRESHOLDS = np.arange(0.14, 0.8, 0.02)
MIN_ANNOTATED_CELLS = 5  # annotated cells; with fewer the limit stays as it was
F1_TOLERANCE = 0.005  # in F1; with few cells, what one cell of them makes


def choose_thresholds(
    pairs: Sequence[tuple[Boxes, Boxes]], before: Sequence[float]
) -> tuple[float, ...]:
    """Return a limit for each kind: of those that do best, the one nearest to that before.

    Parameters
    ----------
    pairs
        What is found above :data:`SCORE_FLOOR` and what is annotated, image by image.
    """
    return tuple(
        _choose_threshold(pairs, kind, old) for kind, old in zip(KINDS, before, strict=True)
    )


def _choose_threshold(pairs: Sequence[tuple[Boxes, Boxes]], kind: str, old: float) -> float:
    annotated = sum(len(true.of_class(kind)) for _, true in pairs)
    if annotated < MIN_ANNOTATED_CELLS:
        return old
    tried = np.append(CANDIDATE_THRESHOLDS, old)
    values = f1_at(pairs, kind, tried)
    good = tried[values >= values.max() - max(F1_TOLERANCE, 1 / annotated)]
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
    for detected, true in pairs:
        own, theirs = detected.of_class(kind), true.of_class(kind)
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
