"""Whether a confidence is what it says: calibration error and reliability curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.classify.calibrate import Bins, bins_of, equal_mass_bins

if TYPE_CHECKING:
    from numpy.typing import NDArray


BINS = 10


@dataclass(frozen=True, eq=False)
class Reliability:
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
    curve: Bins
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


def reliability(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = BINS
) -> Reliability:
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
    return Reliability(mass.error, width.error, mass, len(confidence))


def _equal_width(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int) -> Bins:
    """Return bins of equal width that hold an answer; the upper edge belongs to a bin."""
    place = np.clip(np.ceil(np.asarray(confidence) * bins).astype(int) - 1, 0, bins - 1)
    return bins_of([np.flatnonzero(place == one) for one in range(bins)], confidence, right)
