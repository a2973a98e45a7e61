"""Whether a confidence is a probability: reliability, ECE, and one number to set it right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 15
BOUNDS = (-3.0, 3.0)  # of the temperature's logarithm


def reliability(
    truth: NDArray[np.int64], probabilities: NDArray[np.floating], bins: int = BINS
) -> list[dict[str, Any]]:
    """Return, for equal steps of confidence, how many cells, how sure, and how many were right.

    Steps without cells are left out.
    """
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    return [
        {
            "from": round(one / bins, 4),
            "to": round((one + 1) / bins, 4),
            "n": int((place == one).sum()),
            "confidence": round(float(sure[place == one].mean()), 5),
            "accuracy": round(float(right[place == one].mean()), 5),
        }
        for one in np.unique(place)
    ]


def calibration_error(
    truth: NDArray[np.int64], probabilities: NDArray[np.floating], bins: int = BINS
) -> float:
    """Return the expected calibration error (Guo et al. 2017): 0 is a confidence to rely on.

    Examples
    --------
    >>> calibration_error(np.array([0, 0]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    0.0
    """
    found = reliability(truth, probabilities, bins)
    gaps = (one["n"] * abs(one["confidence"] - one["accuracy"]) for one in found)
    return float(sum(gaps) / max(1, len(truth)))


def best_temperature(logits: NDArray[np.floating], truth: NDArray[np.int64]) -> float:
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

    found = float(np.exp(minimize_scalar(loss, bounds=BOUNDS, method="bounded").x))
    return max(1.0, found) if bool((rows.argmax(axis=1) == truth).all()) else found
