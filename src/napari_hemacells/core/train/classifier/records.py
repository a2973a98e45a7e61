"""What is written down while a classifier learns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """What came of one round.

    Attributes
    ----------
    portion
        Crops that went through the network at once; smaller than the batch after the memory was
        full.
    """

    stage: str
    epoch: int
    train_loss: float
    validation_loss: float
    accuracy: float
    rate: float
    portion: int
    seconds: float


@dataclass(frozen=True)
class RateCurve:
    """The smoothed loss at each learning rate, and the rate to take."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float
