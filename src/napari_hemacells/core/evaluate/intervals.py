"""Intervals of a figure over repeated draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return between which two values the middle `level` of the draws lie.

    With a draw of clicks a value, this is where the next user's figure is to be expected. It is
    no confidence interval of the mean, which more draws would make as narrow as one likes.

    Examples
    --------
    >>> interval([0.0, 0.5, 1.0], level=0.5)
    (0.25, 0.75)
    """
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(np.asarray(values, dtype=np.float64), [tail, 1.0 - tail])
    return float(low), float(high)
