"""How steep the softmax over the scores is: a confidence should be a probability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A prior for the slope by shots a class, near the one with the least log loss on the cells not
# clicked, over PBC, Jiangxi, BCCD and Chula, 2 to 11 classes: 6.5, 7, 8 and 10 for 1, 2, 5 and 20
# shots of the linear head; 7 for cosines, whatever the shots.
LINEAR_SLOPE, LINEAR_GROWTH, COSINE_SLOPE = 6.5, 0.14, 7.0
STEEPEST = 15.0
PRIOR_WEIGHT = 8.0  # nats for a factor of e: leave-one-out on few clicks is noisy
SHOTS_TO_LEAVE_ONE = 3  # a class of two loses half of what is known of it


def softmax(scores: NDArray[np.floating], slope: float) -> NDArray[np.float32]:
    """``(n, k)`` probabilities of ``(n, k)`` scores; rows sum to 1."""
    steep = np.asarray(scores, dtype=np.float32) * np.float32(slope)
    steep -= steep.max(axis=1, keepdims=True)
    np.exp(steep, out=steep)
    return np.asarray(steep / steep.sum(axis=1, keepdims=True), dtype=np.float32)


def linear_slope(left_out: NDArray[np.float64], targets: NDArray[np.intp]) -> float:
    """Return the slope for the scores of the linear head.

    The one with the least log loss on the leave-one-out scores, drawn towards what is usual for
    that number of shots. Rows of classes with fewer than three are not asked.
    """
    counts = np.bincount(targets, minlength=left_out.shape[1])
    usual = min(LINEAR_SLOPE * float(np.median(counts)) ** LINEAR_GROWTH, STEEPEST)
    asked = counts[targets] >= SHOTS_TO_LEAVE_ONE
    scores, truth = left_out[asked], targets[asked]
    slopes = np.geomspace(1.0, 2 * STEEPEST, 48)
    losses = [
        _log_loss(scores, truth, slope) + PRIOR_WEIGHT * np.log(slope / usual) ** 2
        for slope in slopes
    ]
    return float(slopes[int(np.argmin(losses))])


def _log_loss(scores: NDArray[np.float64], truth: NDArray[np.intp], slope: float) -> float:
    """Return the log loss summed over the rows, in nats."""
    steep = scores * slope
    top = steep.max(axis=1, initial=0.0)
    normaliser = top + np.log(np.exp(steep - top[:, np.newaxis]).sum(axis=1))
    return float((normaliser - steep[np.arange(len(truth)), truth]).sum())
