"""Calibration in the dock: expected calibration error, reliability diagram, unknown cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.session.domain_shift import MIN_CLICKS
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.plain_text import PlainLabel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_hemacells.core.classify import Calibration
    from napari_hemacells.session import Session

_SIDE = 340
_CAPTION = (
    "Leave-one-out on {n} annotated cells. On the line, a confidence of 80 % means that 80 "
    "of 100 cells are classified correctly. Below the line the classifier is too confident, "
    "above it not confident enough. The number at each point is its number of cells."
)


class ReliabilityDialog(QDialog):
    """The reliability diagram in a window of its own."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Reliability of the confidence")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, on=False)
        self.figure = Figure(layout="constrained")
        self.canvas = FigureCanvasQTAgg(self.figure)  # type: ignore[no-untyped-call]
        self.canvas.setFixedSize(_SIDE, _SIDE)
        self.caption = PlainLabel()
        self.caption.setWordWrap(True)
        self.caption.setFixedWidth(_SIDE)
        column = QVBoxLayout(self)
        column.addWidget(self.canvas)
        column.addWidget(self.caption)

    def show_calibration(self, calibration: Calibration) -> None:
        """Draw the reliability curve of a calibration that has one."""
        self.figure.clear()
        self.figure.set_facecolor(theme.css("background"))
        _draw(self.figure.add_subplot(), calibration)
        self.canvas.draw_idle()  # type: ignore[no-untyped-call]
        self.caption.setText(f"{calibration.reason} {_CAPTION.format(n=calibration.n)}")


def _draw(axes: Axes, calibration: Calibration) -> None:
    ink, line = theme.css("text"), theme.css("primary")
    axes.set_facecolor(theme.css("background"))
    axes.plot([0, 1], [0, 1], color=ink, alpha=0.5, linestyle="--", linewidth=1.5)
    sure = [point[0] for point in calibration.curve]
    right = [point[1] for point in calibration.curve]
    axes.plot(sure, right, color=ink, marker="o", clip_on=False, zorder=3)
    for confidence, other, count in calibration.curve:
        below = other > 0.5
        axes.annotate(
            str(count),
            (confidence, other),
            (0, -12 if below else 8),
            textcoords="offset points",
            ha="center",
            color=ink,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="fraction correct")
    axes.set_aspect("equal")
    axes.xaxis.label.set_color(ink)
    axes.yaxis.label.set_color(ink)
    axes.tick_params(colors=ink)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(line)


_ECE_HELP = (
    "Expected calibration error: the mean difference between confidence and fraction "
    "correct, by leave-one-out on your annotations. At 0 points, a confidence of 80 % means "
    "that 80 of 100 cells are correct. With few annotations the error itself is uncertain."
)
_FEW_HELP = (
    "Until then the temperature usual for so many annotations is used, and how well the "
    "confidence fits this slide is not known. Only classes with three or more annotations can be "
    "measured."
)


class CalibrationBox(QWidget):
    """The calibration in one line, its reliability diagram, and the switch for unknown cells.

    Signals
    -------
    nearest_toggled
        Whether unknown cells are to be shown in their nearest class.
    """

    nearest_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.line = PlainLabel()
        self.line.setWordWrap(True)
        self.line.setAccessibleName("Calibration")
        self.plot = QPushButton("Reliabilit&y…")
        self.plot.setToolTip("Plot confidence against the fraction classified correctly")
        self.nearest = QCheckBox("Show &unknown cells in their nearest class")
        self.nearest.setToolTip(
            "Unknown cells are unlike all annotated cells. If checked, each is counted, "
            "coloured and exported in its nearest class; tables keep the flag"
        )
        self._calibration: Calibration | None = None
        self._dialog: ReliabilityDialog | None = None
        row = QHBoxLayout()
        row.addWidget(self.line, 1)
        row.addWidget(self.plot)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.nearest)
        self.plot.clicked.connect(self.open_plot)
        self.nearest.toggled.connect(self.nearest_toggled)

    def show_state(self, session: Session) -> None:
        """Show the calibration of the classifier in use."""
        latest = session.live.latest
        self._calibration = None if latest is None else latest.head.calibration
        text, tip = calibration_line(self._calibration)
        measurement, few = session.measured, len(session.annotated) < MIN_CLICKS
        if text and few and measurement is not None and measurement.shift.is_large:
            text += " It was measured on slides unlike this one."
        self.line.setText(text)
        self.line.setToolTip(tip)
        drawable = self._calibration is not None and bool(self._calibration.curve)
        self.line.setVisible(bool(text))
        self.plot.setVisible(bool(text))
        self.plot.setEnabled(drawable)
        self.plot.setToolTip(
            "Plot confidence against the fraction classified correctly"
            if drawable
            else "There are too few annotations to draw it"
        )
        if self._dialog is not None and self._dialog.isVisible():
            self.open_plot()

    def open_plot(self) -> None:
        """Show the reliability diagram; it is updated while it is open."""
        if self._calibration is None or not self._calibration.curve:
            return
        if self._dialog is None:
            self._dialog = ReliabilityDialog(self)
        self._dialog.show_calibration(self._calibration)
        self._dialog.show()


def calibration_line(calibration: Calibration | None) -> tuple[str, str]:
    """The calibration in a sentence, and its explanation."""
    if calibration is None:
        return "", ""
    if calibration.ece is None:
        more = f"{calibration.missing} more cell{'' if calibration.missing == 1 else 's'}"
        return (
            (
                f"Calibration: too few annotations to say. Annotate at least {more}, three or "
                "more per class."
            ),
            f"{calibration.reason} {_FEW_HELP}",
        )
    line = (
        f"Calibration: off by {100 * calibration.ece:.0f} points (ECE {calibration.ece:.2f}, "
        f"out of fold on {calibration.n:,} annotations)."
    )
    return line, _ECE_HELP
