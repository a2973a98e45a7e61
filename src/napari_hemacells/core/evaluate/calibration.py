"""Whether a confidence is a probability: expected calibration error, reliability, temperature.

There is one expected calibration error (ECE): over bins of equal mass (Nguyen and O'Connor
2015), ten of them, fewer where a bin would hold fewer than eight answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.classify.calibration import ReliabilityBins, equal_mass_bins

if TYPE_CHECKING:
    from numpy.typing import NDArray

CURVE_STEPS = 15  # of the reliability diagram, of equal width
LOG_TEMPERATURE_BOUNDS = (-3.0, 3.0)  # of the temperature's logarithm


@dataclass(frozen=True, eq=False)
class CalibrationResult:
    """Confidence against the part of right answers.

    Attributes
    ----------
    ece
        Expected calibration error over bins of equal mass: each holds a tenth of the answers.
    curve
        The bins of equal mass.
    n
        Answers in all.
    """

    ece: float
    curve: ReliabilityBins
    n: int

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "ece": self.ece,
            "bins": "equal mass",
            "confidence": self.curve.confidence.tolist(),
            "accuracy": self.curve.accuracy.tolist(),
            "answers": self.curve.answers.tolist(),
            "n": self.n,
        }


def measure_calibration(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int | None = None
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
    >>> round(measure_calibration(sure, np.arange(10) < 6, bins=1).ece, 3)
    0.2
    """
    mass = equal_mass_bins(confidence, right, bins)
    return CalibrationResult(mass.error, mass, len(confidence))


def reliability_curve(
    truth: NDArray[np.int64], probabilities: NDArray[np.floating], bins: int = CURVE_STEPS
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
    truth: NDArray[np.int64], probabilities: NDArray[np.floating]
) -> float:
    """Return the expected calibration error: 0 is a confidence to rely on.

    Parameters
    ----------
    truth
        ``(n,)`` index of each cell's class.
    probabilities
        ``(n, k)``, rows sum to 1.

    Examples
    --------
    >>> expected_calibration_error(np.array([0, 0]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    0.0
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    return equal_mass_bins(confidence, right).error


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
