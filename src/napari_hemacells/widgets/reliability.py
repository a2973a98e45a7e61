"""The reliability diagram: confidence against the part of right answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QLabel, QVBoxLayout, QWidget

from napari_hemacells.widgets import theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_hemacells.core.classify import Calibration

_SIDE = 340
_CAPTION = (
    "Each of {n} clicked cells was asked without itself. On the line, a confidence of 80 % is "
    "right in 80 of 100 cells; below it the classifier is too sure, above it too modest. The "
    "figures say how many cells a point stands for."
)


class ReliabilityDialog(QDialog):
    """A small figure in a window of its own; a few points, drawn in some tens of milliseconds."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Reliability of the confidence")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, on=False)
        self.figure = Figure(layout="constrained")
        self.canvas = FigureCanvasQTAgg(self.figure)  # type: ignore[no-untyped-call]
        self.canvas.setFixedSize(_SIDE, _SIDE)
        self.caption = QLabel()
        self.caption.setWordWrap(True)
        self.caption.setFixedWidth(_SIDE)
        column = QVBoxLayout(self)
        column.addWidget(self.canvas)
        column.addWidget(self.caption)

    def show_calibration(self, calibration: Calibration) -> None:
        """Draw the curve of a calibration that has one."""
        self.figure.clear()
        self.figure.set_facecolor(theme.css("background"))
        _draw(self.figure.add_subplot(), calibration)
        self.canvas.draw_idle()  # type: ignore[no-untyped-call]
        self.caption.setText(f"{calibration.reason} {_CAPTION.format(n=calibration.n)}")


def _draw(axes: Axes, calibration: Calibration) -> None:
    ink, line = theme.css("text"), theme.css("primary")
    axes.set_facecolor(theme.css("background"))
    axes.plot([0, 1], [0, 1], color=ink, alpha=0.5, linestyle="--", linewidth=1.5)
    sure = [one[0] for one in calibration.curve]
    right = [one[1] for one in calibration.curve]
    axes.plot(sure, right, color=ink, marker="o", clip_on=False, zorder=3)
    for one, other, count in calibration.curve:
        below = other > 0.5
        axes.annotate(
            str(count),
            (one, other),
            (0, -12 if below else 8),
            textcoords="offset points",
            ha="center",
            color=ink,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="part of right answers")
    axes.set_aspect("equal")
    axes.xaxis.label.set_color(ink)
    axes.yaxis.label.set_color(ink)
    axes.tick_params(colors=ink)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(line)
