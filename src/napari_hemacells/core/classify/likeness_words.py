"""How alike two cells are, as a reader sees it: the same words and figures everywhere.

A percentage is shown only where the calibration is that of kinds left out, from four annotated
kinds on (:attr:`~napari_hemacells.core.classify.verification.Likeness.kinds_left_out`). With fewer
it would be that of telling just these apart, and a cell of another kind would be "82 % like" one
of them; there it is said in words. On PBC, pairs of kinds that were not annotated, the calibration
error is 0.06 to 0.09 with four to six kinds of 2 to 20 cells each, and 0.10 to 0.39 with two
(benchmarks/likeness_percentages.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from napari_hemacells.core.classify.verification import Likeness

LikenessWord: TypeAlias = Literal["very alike", "alike", "hard to tell", "unlike"]

HARD_TO_TELL = 0.6  # probability of what is said, below which it is hard to tell
VERY_ALIKE = 0.9
LEAST_SLOPE = 4.0  # of the logit, a threshold: at half of it cells are alike, at 0.45 very alike
MOST_SURE = 0.99  # a figure above that is no more than the shape of a curve
NO_PERCENTAGE = "Not tested on other kinds."


class Verdict(NamedTuple):
    """What is said of the distance of two cells, or of a cell and a class.

    Attributes
    ----------
    distance, threshold
        0 to 2; up to the threshold it means the same kind.
    word
        How alike they are.
    p_same
        Probability of the same kind, as if pairs of one kind and of two were equally frequent;
        ``None`` where it was not calibrated on kinds left out.
    """

    distance: float
    threshold: float
    word: LikenessWord
    p_same: float | None

    @property
    def same(self) -> bool:
        """Whether it means the same kind."""
        return self.distance <= self.threshold

    @property
    def ratio(self) -> float:
        """The distance in thresholds: 1 is as far as two cells of one kind may be."""
        return self.distance / self.threshold if self.threshold > 0 else float("inf")

    @property
    def headline(self) -> str:
        """Same kind or not and how sure, in a few words."""
        kinds = "same kind" if self.same else "different kinds"
        if self.p_same is None:
            hard = self.word == "hard to tell"
            return "Hard to tell" if hard else f"{self.word.capitalize()}: {kinds}"
        sure = max(self.p_same if self.same else 1 - self.p_same, 0.5)
        percent = "more than 99%" if sure > MOST_SURE else f"{sure:.0%}"
        if self.word == "hard to tell" or sure < HARD_TO_TELL:
            return f"Hard to tell, rather {kinds}, {percent} sure"
        return f"{kinds.capitalize()}, {percent} sure"


def judge(likeness: Likeness, distance: float) -> Verdict:
    """Return what is said of a distance.

    The words follow the threshold: a distance of just that is hard to tell, and how far on either
    side it still is, the slope of the calibration says.
    """
    # Few pairs give a flat curve, in which even seven thresholds apart would be hard to tell.
    slope = max(likeness.slope, LEAST_SLOPE / max(likeness.threshold, 1e-6))
    logit = slope * (likeness.threshold - distance)
    same = 0.5 * (1 + np.tanh(0.5 * logit))
    word: LikenessWord
    if max(same, 1 - same) < HARD_TO_TELL:
        word = "hard to tell"
    elif same >= VERY_ALIKE:
        word = "very alike"
    else:
        word = "alike" if same > HARD_TO_TELL else "unlike"
    p_same = float(likeness.p_same(np.array(distance))) if likeness.kinds_left_out else None
    return Verdict(distance, likeness.threshold, word, p_same)
