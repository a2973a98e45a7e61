"""Whether a confidence is what it says: calibration error and reliability curve.

Whether a confidence is a probability: reliability, ECE, and one number to set it right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.classify.calibration import (
    ReliabilityBins,
    equal_mass_bins,
    reliability_bins,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

EQUAL_MASS_BINS = 10


@dataclass(frozen=True, eq=False)
class CalibrationResult:
    """Confidence against the part of right answers.

    Attributes
    ----------
    ece
        Expected calibration error over bins of equal mass: each holds a tenth of the answers.
    ece_equal_width
        The same over ten bins of equal width, from 0 to 1 (Guo et al. 2017).
    curve
        The bins of equal mass.
    n
        Answers in all.
    """

    ece: float
    ece_equal_width: float
    curve: ReliabilityBins
    n: int

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "ece": self.ece,
            "ece_equal_width": self.ece_equal_width,
            "bins": "ece: equal mass; ece_equal_width: equal width",
            "confidence": self.curve.confidence.tolist(),
            "accuracy": self.curve.accuracy.tolist(),
            "answers": self.curve.answers.tolist(),
            "n": self.n,
        }


def measure_calibration(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = EQUAL_MASS_BINS
) -> CalibrationResult:
    """Return how far confidence and the part of right answers are apart.

    Parameters
    ----------
    confidence
        ``(n,)`` probability of the class that was answered.
    right
        ``(n,)`` whether it was the true one.

    Examples
    --------
    >>> sure = np.array([0.8] * 10)
    >>> round(reliability(sure, np.arange(10) < 6).ece_equal_width, 3)
    0.2
    """
    mass, width = equal_mass_bins(confidence, right, bins), _equal_width(confidence, right, bins)
    return CalibrationResult(mass.error, width.error, mass, len(confidence))


def _equal_width(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int
) -> ReliabilityBins:
    """Return bins of equal width that hold an answer; the upper edge belongs to a bin."""
    bin_of_cell = np.clip(np.ceil(np.asarray(confidence) * bins).astype(int) - 1, 0, bins - 1)
    return reliability_bins(
        [np.flatnonzero(bin_of_cell == bin_index) for bin_index in range(bins)], confidence, right
    )


EQUAL_WIDTH_BINS = 15
LOG_TEMPERATURE_BOUNDS = (-3.0, 3.0)  # of the temperature's logarithm


def reliability_curve(
    truth: NDArray[np.int64], probabilities: NDArray[np.floating], bins: int = EQUAL_WIDTH_BINS
) -> list[dict[str, Any]]:
    """Return, for equal steps of confidence, how many cells, how sure, and how many were right.

    Steps without cells are left out.
    """
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    bin_of_cell = np.minimum((sure * bins).astype(np.int64), bins - 1)
    return [
        {
            "from": round(bin_index / bins, 4),
            "to": round((bin_index + 1) / bins, 4),
            "n": int((bin_of_cell == bin_index).sum()),
            "confidence": round(float(sure[bin_of_cell == bin_index].mean()), 5),
            "accuracy": round(float(right[bin_of_cell == bin_index].mean()), 5),
        }
        for bin_index in np.unique(bin_of_cell)
    ]


def expected_calibration_error(
    truth: NDArray[np.int64], probabilities: NDArray[np.floating], bins: int = EQUAL_WIDTH_BINS
) -> float:
    """Return the expected calibration error (Guo et al. 2017): 0 is a confidence to rely on.

    Examples
    --------
    >>> calibration_error(np.array([0, 0]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    0.0
    """
    curve = reliability_curve(truth, probabilities, bins)
    gaps = (step["n"] * abs(step["confidence"] - step["accuracy"]) for step in curve)
    return float(sum(gaps) / max(1, len(truth)))


def optimal_temperature(logits: NDArray[np.floating], truth: NDArray[np.int64]) -> float:
    """Return what logits are divided by so that the log loss of these cells is least.

    Where every cell is right, any sharper would be better: then 1, which claims nothing more.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    rows = np.asarray(logits, dtype=np.float64)
    own = np.arange(len(truth))
    if not len(truth):
        return 1.0

    def loss(power: float) -> float:
        return float(-log_softmax(rows / np.exp(power), axis=1)[own, truth].mean())

    temperature = float(
        np.exp(minimize_scalar(loss, bounds=LOG_TEMPERATURE_BOUNDS, method="bounded").x)
    )
    return max(1.0, temperature) if bool((rows.argmax(axis=1) == truth).all()) else temperature
