"""The report's figures, each an ``<svg>`` in the colours of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_hemacells.core.train.learning_curves import COLOURS, PlotTheme, figure_svg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_hemacells.core.train.classifier.artifacts import EpochRecord, LRCurve
    from napari_hemacells.core.train.classifier.results import BinaryMetrics, ReliabilityBin

THEME = PlotTheme()
WIDE, SQUARE = (8.2, 2.5), (3.6, 3.2)


def learning_curves(history: Sequence[EpochRecord]) -> str:
    """Return the losses, and the accuracy, by round; a line where the body began to learn."""
    figure, (left, right) = new_figure(WIDE, 2)
    rounds = range(1, len(history) + 1)
    both = (("training", "train_loss"), ("validation", "validation_loss"))
    for colour, (name, field) in zip(COLOURS, both, strict=False):
        values = [getattr(record, field) for record in history]
        left.plot(rounds, values, color=colour, label=name, linewidth=1.5, marker=_mark(history))
    right.plot(
        rounds, [record.accuracy for record in history], color=COLOURS[2], linewidth=1.5,
        marker=_mark(history),
    )  # fmt: skip
    for axes, title in ((left, "Loss"), (right, "Accuracy, validation part")):
        style_axes(axes, title, "round")
        whole_numbers(axes)
        for index in range(1, len(history)):
            if history[index].stage != history[index - 1].stage:
                axes.axvline(index + 0.5, color=THEME.text, linewidth=0.6, linestyle=":")
    style_legend(left)
    return figure_svg(figure)


def lr_finder_plot(curve: LRCurve, taken: float, title: str) -> str:
    """Return the loss at each learning rate, the suggested rate, and the one that was taken."""
    figure, (axes,) = new_figure((4.1, 2.3), 1)
    draw_rate_search(axes, curve, taken, title)
    return figure_svg(figure)


def draw_rate_search(
    axes: Axes, curve: LRCurve, taken: float, title: str, theme: PlotTheme = THEME
) -> None:
    """Draw the loss at each learning rate, the suggested rate, and the one that was taken."""
    axes.plot(curve.rates, curve.losses, color=COLOURS[0], linewidth=1.5)
    axes.set_xscale("log")
    axes.axvline(
        curve.suggestion, color=COLOURS[5], linewidth=1,
        label=f"{'taken' if taken == curve.suggestion else 'suggested'}: {curve.suggestion:.1g}",
    )  # fmt: skip
    if taken != curve.suggestion:
        axes.axvline(taken, color=COLOURS[2], linewidth=1, label=f"taken, as given: {taken:.1g}")
    low, first = min(curve.losses), curve.losses[0]
    axes.set_ylim(low - 0.1 * (first - low), first + 0.6 * (first - low) + 1e-9)
    style_axes(axes, title, "learning rate", theme=theme)
    style_legend(axes, theme)


def class_balance(parts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> str:
    """Return the pictures of each class as bars, one colour a part."""
    figure, (axes,) = new_figure((8.2, max(1.6, 0.95 + 0.26 * len(classes))), 1)
    draw_class_balance(axes, parts, classes)
    return figure_svg(figure)


def draw_class_balance(
    axes: Axes,
    parts: Mapping[str, Mapping[str, int]],
    classes: Sequence[str],
    theme: PlotTheme = THEME,
) -> None:
    """Draw the pictures of each class as bars, one colour a part."""
    left = [0] * len(classes)
    for colour, (part, counts) in zip((*COLOURS[:3], theme.line), parts.items(), strict=False):
        own = [counts.get(name, 0) for name in classes]
        if any(own):
            axes.barh(range(len(classes)), own, left=left, color=colour, label=part, height=0.7)
            left = [before + more for before, more in zip(left, own, strict=True)]
    for row, total in enumerate(left):
        axes.text(total, row, f" {total:,}", va="center", color=theme.text, fontsize=7)
    axes.set_yticks(range(len(classes)), list(classes))
    axes.invert_yaxis()
    axes.margins(x=0.08)
    style_axes(axes, "Pictures of each class", "", theme=theme)
    whole_numbers(axes)
    style_legend(axes, theme, below=True)


def reliability_diagram(bins: Sequence[ReliabilityBin]) -> str:
    """Return how many were right at each confidence; the size of a dot is how many cells."""
    figure, (axes,) = new_figure(SQUARE, 1)
    axes.plot((0, 1), (0, 1), color=THEME.text, linewidth=0.6, linestyle=":")
    most = max((dot.n for dot in bins), default=1)
    axes.plot([dot.confidence for dot in bins], [dot.accuracy for dot in bins],
              color=COLOURS[0], linewidth=1)  # fmt: skip
    axes.scatter(
        [dot.confidence for dot in bins], [dot.accuracy for dot in bins],
        s=[12 + 110 * dot.n / most for dot in bins], color=COLOURS[0], zorder=3,
    )  # fmt: skip
    _unit(axes)
    style_axes(axes, "Reliability", "confidence", "part that was right")
    return figure_svg(figure)


def roc_curve(binary: BinaryMetrics) -> str:
    """Return the true positive rate by the false positive rate."""
    figure, (axes,) = new_figure(SQUARE, 1)
    axes.plot((0, 1), (0, 1), color=THEME.text, linewidth=0.6, linestyle=":")
    axes.step(*zip(*binary.roc, strict=True), color=COLOURS[2], linewidth=1.5, where="post")
    _unit(axes)
    title = f"ROC, AUC {binary.auc.value:.3f}"
    style_axes(axes, title, "false positive rate", "true positive rate")
    return figure_svg(figure)


def new_figure(size: tuple[float, float], panels: int) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure in the page's colours with so many panels side by side; size in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", facecolor=THEME.back)
    made: Any = figure.subplots(1, panels, squeeze=False)
    return figure, list(made[0])


def style_axes(
    axes: Axes, title: str, across: str, up: str = "", theme: PlotTheme = THEME
) -> None:
    """Give axes the colours of a theme, a title and labels."""
    axes.set_facecolor(theme.back)
    axes.set_title(title, color=theme.text, fontsize=9, loc="left")
    axes.set_xlabel(across, color=theme.text, fontsize=8)
    axes.set_ylabel(up, color=theme.text, fontsize=8)
    axes.tick_params(which="both", colors=theme.text, labelsize=8)
    axes.grid(color=theme.line, linewidth=0.5)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_color(theme.line)


def _unit(axes: Axes) -> None:
    axes.set_xlim(-0.02, 1.04)
    axes.set_ylim(-0.02, 1.04)
    axes.set_aspect("equal")


def style_legend(axes: Axes, theme: PlotTheme = THEME, *, below: bool = False) -> None:
    """Add a legend in the colours of a theme, below the axes where it would cover them."""
    placement: dict[str, Any] = {}
    if below:
        placement = {
            "loc": "upper right",
            "bbox_to_anchor": (1, 0),
            "borderaxespad": 2.6,
            "ncol": 4,
        }
    axes.legend(
        fontsize=7, labelcolor=theme.text, facecolor=theme.back, edgecolor=theme.line, **placement
    )


def whole_numbers(axes: Axes) -> None:
    """Mark no halves of rounds or of pictures."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _mark(history: Sequence[EpochRecord]) -> str | None:
    return "." if len(history) <= 30 else None
