"""Temperature scaling: the slope of the softmax that makes confidences calibrated probabilities.

One temperature is fitted on the leave-one-out predictions of the annotated cells. On PBC, Chula
and BCCD its slope is within a tenth of the best one from 5 clicks per class on, so no correction
for the left-out cell is made. A single number cannot overfit ten clicks as isotonic steps can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.classify.head_selection import HeadCandidate, HeadKind

# A prior for the slope by shots a class, near the one with the least log loss on the cells not
# clicked, over PBC, Chula and BCCD and two encoders: 4 to 8 for 1, 7 to 11 for 5, 7 to 18 for 10
# shots of the linear head; 7 for cosines, whatever the shots.
DEFAULT_COSINE_SLOPE, DEFAULT_SLOPE, GROWTH = 7.0, 6.0, 0.2
STEEPEST, TRIED = 30.0, 48
PRIOR_WEIGHT = 8.0  # nats for a factor of e: leave-one-out on few clicks is noisy
MIN_SHOTS_LEAVE_ONE_OUT = 3  # a class of two would lose half of its annotations
MIN_SHOTS_PERCENTAGE = 3  # see too_few_for_percentages
MIN_CALIBRATION_CELLS = 15  # least number of predictions to measure the error
BIN = 8  # least number of predictions in a bin
MOST_BINS = 10

CalibrationKind: TypeAlias = Literal["too few to say", "temperature"]


@dataclass(frozen=True)
class Calibration:
    """How the confidence was calibrated, and how well.

    Attributes
    ----------
    kind
        ``too few to say``: the slope is the default for this number of clicks; ``temperature``:
        it was fitted on leave-one-out predictions of the annotated cells.
    n
        Number of leave-one-out predictions.
    ece
        Their expected calibration error, bins of equal mass, 0 to 1; ``None`` if too few.
    reason
        One sentence for the user.
    curve
        Reliability diagram: mean confidence, accuracy and number of predictions of each bin.
    """

    kind: CalibrationKind = "too few to say"
    n: int = 0
    ece: float | None = None
    reason: str = "This model does not say how its confidence was calibrated."
    curve: tuple[tuple[float, float, int], ...] = ()

    @property
    def missing(self) -> int:
        """Least number of further clicks before the error can be measured; 0 if it is."""
        return 0 if self.ece is not None else max(MIN_CALIBRATION_CELLS - self.n, 1)


class ReliabilityBins(NamedTuple):
    """Predictions binned by confidence.

    Attributes
    ----------
    confidence, accuracy
        ``(b,)`` mean confidence and accuracy of each bin.
    answers
        ``(b,)`` number of predictions in each bin, none empty.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    answers: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of the two, weighted by the predictions."""
        if not len(self.answers):
            return 0.0
        gaps = np.abs(self.confidence - self.accuracy)
        return float(gaps @ self.answers / self.answers.sum())


def equal_mass_bins(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int | None = None
) -> ReliabilityBins:
    """Return bins with equal numbers of predictions (Nguyen and O'Connor 2015).

    Parameters
    ----------
    confidence
        ``(n,)`` probability of the predicted class.
    right
        ``(n,)`` whether the prediction is right.
    bins
        Number of bins; by default ten, fewer if a bin would hold fewer than eight predictions.

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
    """Return the bins of these indices of predictions; empty ones are left out."""
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


def too_few_for_percentages(counts: Sequence[int]) -> bool:
    """Whether a class has too few annotations for the confidence to be shown as a percentage.

    On white cells of laboratories that the encoder has not met the expected calibration error is
    0.04 to 0.15 with one annotation a class, up to 0.28 in single draws, 0.04 to 0.09 with three
    (``benchmarks/results/transfer.md``).

    Examples
    --------
    >>> too_few_for_percentages((12, 2)), too_few_for_percentages((3, 3))
    (True, False)
    """
    return min(counts, default=0) < MIN_SHOTS_PERCENTAGE


def calibrate(candidate: HeadCandidate, targets: NDArray[np.intp]) -> tuple[float, Calibration]:
    """Return the slope for the scores of a head, and the calibration of its confidence.

    The slope minimises the log loss of the leave-one-out scores, with a prior at the default for
    that number of shots. Classes with fewer than three annotations are left out.

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
        return usual, Calibration(
            n=0,
            reason="Only one class is annotated: annotate a second one.",
        )
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
    """Return the default slope of a head for these numbers of annotated cells per class."""
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
            reason="Too few annotations to calibrate the confidence: "
            f"{MIN_CALIBRATION_CELLS} are needed, in two or more classes with at least "
            f"{MIN_SHOTS_LEAVE_ONE_OUT} each; here are {count}.",
        )
    right = probabilities.argmax(axis=1) == truth
    reliability = equal_mass_bins(probabilities.max(axis=1), right)
    error = reliability.error
    return Calibration(
        "temperature",
        count,
        error,
        f"Calibrated on {count} annotated cells (leave-one-out): the expected calibration error "
        f"is {100 * error:.0f} percentage points.",
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
    """Return the summed log loss in nats."""
    steep = scores * slope
    top = steep.max(axis=1, initial=0.0)
    normaliser = top + np.log(np.exp(steep - top[:, np.newaxis]).sum(axis=1))
    return float((normaliser - steep[np.arange(len(truth)), truth]).sum())
