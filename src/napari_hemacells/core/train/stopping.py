"""Keeping the best state, and stopping when it does not get better."""

from __future__ import annotations

from typing import Any


class BestSoFar:
    """The best value of a figure, and how long ago that was.

    Parameters
    ----------
    patience
        After so many looks without a better value, :attr:`exhausted` is true.
    least
        What must be gained for a value to be better.
    """

    def __init__(self, patience: int, least: float = 0.0) -> None:
        self.patience, self.least = patience, least
        self.value, self.step, self.since = float("-inf"), 0, 0

    def look(self, value: float, step: int) -> bool:
        """Whether this value, of this step, is the best so far."""
        if value > self.value + self.least:
            self.value, self.step, self.since = value, step, 0
            return True
        self.since += 1
        return False

    @property
    def exhausted(self) -> bool:
        """Whether waiting longer is not worth it."""
        return self.since >= self.patience

    def state(self) -> dict[str, Any]:
        """As plain values, for a checkpoint."""
        return {"value": self.value, "step": self.step, "since": self.since}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.value, self.step, self.since = state["value"], state["step"], state["since"]
