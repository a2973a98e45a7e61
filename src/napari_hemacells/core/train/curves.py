"""What a training told, as curves: for the panel while it runs, for the report after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_hemacells.core.train.reports import TrainingReport

Points = list[tuple[int, float]]


class Curves:
    """Losses and held-out figures by step; a step that comes again replaces the first."""

    def __init__(self) -> None:
        self.losses: dict[str, Points] = {}
        self.metrics: dict[str, Points] = {}

    def add(self, report: TrainingReport) -> bool:
        """Whether the report had anything new."""
        new = False
        for name, value in report.losses.items():
            new |= _put(self.losses.setdefault(name, []), report.step, value)
        for name, value in report.metrics.items():
            new |= _put(self.metrics.setdefault(name, []), report.step, value)
        return new

    def state(self) -> dict[str, Any]:
        """As plain values, for a checkpoint."""
        return {"losses": self.losses, "metrics": self.metrics}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.losses = {name: list(map(_pair, points)) for name, points in state["losses"].items()}
        self.metrics = {
            name: list(map(_pair, points)) for name, points in state["metrics"].items()
        }


def _pair(point: Any) -> tuple[int, float]:
    step, value = point
    return int(step), float(value)


def _put(points: Points, step: int, value: float) -> bool:
    while points and points[-1][0] > step:  # resumed from an earlier checkpoint
        points.pop()
    if points and points[-1] == (step, value):
        return False
    if points and points[-1][0] == step:
        points.pop()
    points.append((step, value))
    return True
