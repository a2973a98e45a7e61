"""How steep the softmax over the scores is: a confidence should be a probability.

One temperature is fitted on the answers for annotated cells, each asked without itself. On PBC,
Chula and BCCD its steepness is within a tenth of the best one from 5 clicks a class on, so no
correction for the cell left out is made; one number for all classes cannot be fitted amiss on ten
clicks, as isotonic steps can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.classify.head_selection import HeadCandidate, HeadKind

# A prior for the slope by shots a class, near the one with the least log loss on the cells not
# clicked, over PBC, Chula and BCCD and two encoders: 4 to 8 for 1, 7 to 11 for 5, 7 to 18 for 10
# shots of the linear head; 7 for cosines, whatever the shots.
DEFAULT_COSINE_SLOPE, DEFAULT_SLOPE, GROWTH = 7.0, 6.0, 0.2
STEEPEST, TRIED = 30.0, 48
PRIOR_WEIGHT = 8.0  # nats for a factor of e: leave-one-out on few clicks is noisy
MIN_SHOTS_LEAVE_ONE_OUT = 3  # a class of two loses half of what is known of it
MIN_CALIBRATION_CELLS = 15  # answers from which an error of calibration can be told at all
BIN = 8  # answers in a bin of confidence, at least
MOST_BINS = 10

CalibrationKind: TypeAlias = Literal["too few to say", "temperature"]


@dataclass(frozen=True)
class Calibration:
    """What the confidence stands on.

    Attributes
    ----------
    kind
        ``too few to say``: the steepness is what is usual for so many clicks; ``temperature``: it
        was fitted on the annotated cells, each asked without itself.
    n
        Annotated cells that were asked.
    ece
        Expected calibration error on them, bins of equal mass, 0 to 1; ``None`` while there are
        too few to tell.
    reason
        One sentence for the user.
    curve
        Reliability: mean confidence, part of right answers, and how many, of each bin.
    """

    kind: CalibrationKind = "too few to say"
    n: int = 0
    ece: float | None = None
    reason: str = "This model says nothing of how its confidence was calibrated."
    curve: tuple[tuple[float, float, int], ...] = ()

    @property
    def missing(self) -> int:
        """How many more clicks it takes to tell, at least; 0 where it is told."""
        return 0 if self.ece is not None else max(MIN_CALIBRATION_CELLS - self.n, 1)


class ReliabilityBins(NamedTuple):
    """Answers sorted into bins of confidence.

    Attributes
    ----------
    confidence, accuracy
        ``(b,)`` mean confidence and part of right answers in each bin.
    answers
        ``(b,)`` how many there are in each bin, none empty.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    answers: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of the two, weighted by the answers."""
        if not len(self.answers):
            return 0.0
        gaps = np.abs(self.confidence - self.accuracy)
        return float(gaps @ self.answers / self.answers.sum())


def equal_mass_bins(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int | None = None
) -> ReliabilityBins:
    """Return bins that hold equally many answers (Nguyen and O'Connor 2015).

    Parameters
    ----------
    confidence
        ``(n,)`` probability of the class that was answered.
    right
        ``(n,)`` whether it was the true one.
    bins
        How many; by default ten, fewer where a bin would hold fewer than eight answers.

    Examples
    --------
    >>> sure = np.array([0.5, 0.5, 0.9, 0.9])
    >>> equal_mass_bins(sure, np.array([True, False, True, True]), 2).error
    0.05
    """
    bins = bins or int(np.clip(len(confidence) // BIN, 1, MOST_BINS))
    order = np.argsort(confidence, kind="stable")
    return reliability_bins(np.array_split(order, bins), confidence, right)


def reliability_bins(
    parts: list[NDArray[np.intp]], confidence: NDArray[np.floating], right: NDArray[np.bool_]
) -> ReliabilityBins:
    """Return the bins that hold these places of the answers; empty ones are left out."""
    parts = [part for part in parts if len(part)]
    means = [(float(confidence[part].mean()), float(right[part].mean())) for part in parts]
    sure, true = np.array(means, dtype=np.float64).reshape(-1, 2).T.round(12)
    return ReliabilityBins(sure, true, np.array([len(part) for part in parts], dtype=np.int64))


def softmax(scores: NDArray[np.floating], slope: float) -> NDArray[np.float32]:
    """``(n, k)`` probabilities of ``(n, k)`` scores; rows sum to 1."""
    steep = np.asarray(scores, dtype=np.float32) * np.float32(slope)
    steep -= steep.max(axis=1, keepdims=True)
    np.exp(steep, out=steep)
    return np.asarray(steep / steep.sum(axis=1, keepdims=True), dtype=np.float32)


def calibrate(candidate: HeadCandidate, targets: NDArray[np.intp]) -> tuple[float, Calibration]:
    """Return the slope for the scores of a head, and what is known of the confidence it gives.

    The slope with the least log loss on the leave-one-out scores, drawn towards what is usual for
    that number of shots. Rows of classes with fewer than three are not asked.

    Parameters
    ----------
    candidate
        The head, with its leave-one-out scores.
    targets
        ``(m,)`` class indices of the annotated cells.
    """
    counts = np.bincount(targets, minlength=candidate.left_out.shape[1])
    usual = default_slope(candidate.kind, counts)
    if len(counts) < 2:
        return usual, Calibration(n=0, reason="One class only: there is nothing to confuse.")
    asked = counts[targets] >= MIN_SHOTS_LEAVE_ONE_OUT
    scores, truth = candidate.left_out[asked], targets[asked]
    slopes = np.geomspace(1.0, STEEPEST, TRIED)
    losses = [
        _log_loss(scores, truth, slope) + PRIOR_WEIGHT * np.log(slope / usual) ** 2
        for slope in slopes
    ]
    slope = float(slopes[int(np.argmin(losses))])
    return slope, _summarise_calibration(softmax(scores, slope), truth)


def default_slope(kind: HeadKind, counts: NDArray[np.intp]) -> float:
    """Return the slope that a head has mostly, by the annotated cells of each class."""
    if kind != "linear":
        return DEFAULT_COSINE_SLOPE
    median = float(np.median(counts))
    return min(DEFAULT_SLOPE * float(median**GROWTH), STEEPEST)


def _summarise_calibration(
    probabilities: NDArray[np.float32], truth: NDArray[np.intp]
) -> Calibration:
    count = len(truth)
    if count < MIN_CALIBRATION_CELLS or len(np.unique(truth)) < 2:
        return Calibration(
            n=count,
            reason="Too few to say how far the confidence can be trusted: it takes "
            f"{MIN_CALIBRATION_CELLS} clicks in two or more classes of "
            f"{MIN_SHOTS_LEAVE_ONE_OUT} or more, here are "
            f"{count}.",
        )
    right = probabilities.argmax(axis=1) == truth
    reliability = equal_mass_bins(probabilities.max(axis=1), right)
    error = reliability.error
    return Calibration(
        "temperature",
        count,
        error,
        f"Calibrated on {count} clicked cells, each asked without itself: the confidence is off "
        f"by {100 * error:.0f} points on average.",
        tuple(
            zip(
                reliability.confidence.tolist(),
                reliability.accuracy.tolist(),
                reliability.answers.tolist(),
                strict=True,
            )
        ),
    )


def _log_loss(scores: NDArray[np.float64], truth: NDArray[np.intp], slope: float) -> float:
    """Return the log loss summed over the rows, in nats."""
    steep = scores * slope
    top = steep.max(axis=1, initial=0.0)
    normaliser = top + np.log(np.exp(steep - top[:, np.newaxis]).sum(axis=1))
    return float((normaliser - steep[np.arange(len(truth)), truth]).sum())
