"""What a training told, as curves: for the panel while it runs, for the report after it.

Curves of a training as a matplotlib figure: the same in the panel and in the report.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_hemacells.core.train.progress import TrainingReport

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


# Okabe & Ito 2008: told apart with any common colour blindness.
COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#0072b2", "#d55e00")

TITLES = ("Loss (training)", "Held-out part")


@dataclass(frozen=True)
class PlotTheme:
    """Colours of text and lines, and of what is behind them."""

    text: str = "#1d2126"
    line: str = "#d9dee3"
    back: str = "#ffffff"


def draw_curves(
    figure: Figure,
    curves: Curves,
    steps: int,
    ink: PlotTheme | None = None,
    titles: tuple[str, str] = TITLES,
) -> None:
    """Draw the losses above (or left of) the held-out figures, over what was there."""
    ink = ink or PlotTheme()
    wide = figure.get_figwidth() > 1.6 * figure.get_figheight()
    figure.clear()
    figure.set_facecolor(ink.back)
    upper, lower = figure.subplots(*((1, 2) if wide else (2, 1)))
    total = {name: points for name, points in curves.losses.items() if name == "total"}
    _lines(upper, total or curves.losses, titles[0], ink)
    _lines(lower, curves.metrics, titles[1], ink)
    values = [value for points in curves.metrics.values() for _, value in points]
    if values and min(values) >= 0 and max(values) <= 1:
        lower.set_ylim(max(0.0, min(values) - 0.05), min(1.02, max(values) + 0.05))
    for axes in (upper, lower):
        axes.set_xlim(0, max(steps, 1))
    lower.set_xlabel("step", color=ink.text, fontsize=8)
    if wide:
        upper.set_xlabel("step", color=ink.text, fontsize=8)


def _lines(axes: Axes, lines: Mapping[str, Points], title: str, ink: PlotTheme) -> None:
    axes.set_facecolor(ink.back)
    axes.set_title(title, color=ink.text, fontsize=9, loc="left")
    axes.tick_params(colors=ink.text, labelsize=8)
    axes.grid(color=ink.line, linewidth=0.5)
    for side in axes.spines.values():
        side.set_color(ink.line)
    for colour, (name, points) in zip(COLOURS, lines.items(), strict=False):
        at, values = zip(*points, strict=True) if points else ((), ())
        mark = "o" if len(points) <= 20 else None
        axes.plot(at, values, color=colour, label=name, linewidth=1.5, marker=mark, markersize=3)
    if len(lines) > 1:
        axes.legend(
            fontsize=7, labelcolor=ink.text, facecolor=ink.back, edgecolor=ink.line, loc="best"
        )


def curves_svg(curves: Curves, steps: int) -> str:
    """Return the figure as an ``<svg>`` element for a page of HTML."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2, 2.6), layout="constrained")
    draw_curves(figure, curves, steps)
    return figure_svg(figure)


def figure_svg(figure: Figure) -> str:
    """Return a figure drawn in the usual ink as an ``<svg>`` that takes the page's colours."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "hemacells"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)
    ink = PlotTheme()
    for colour, name in ((ink.text, "ink"), (ink.line, "line"), (ink.back, "paper")):
        text = text.replace(f": {colour}", f": var(--{name}, {colour})")
    return text[text.index("<svg") :]
