"""Learning curves, drawn while a training runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_hemacells.core.train.learning_curves import TITLES, Curves, PlotTheme, draw_curves
from napari_hemacells.widgets import theme

if TYPE_CHECKING:
    from napari_hemacells.core.train.progress import TrainingReport

_EVERY = 500  # milliseconds between two drawings, each of some tens
_HEIGHT = 260


class LearningCurvesView(QWidget):
    """Losses above, held-out metrics below; drawn at most twice a second.

    Parameters
    ----------
    titles
        Titles of the two plots.
    """

    def __init__(self, titles: tuple[str, str] = TITLES, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._titles = titles
        self.curves = Curves()
        self._steps = 1
        self._figure = Figure(layout="constrained")
        self.canvas = FigureCanvasQTAgg(self._figure)  # type: ignore[no-untyped-call]
        self.canvas.setMinimumHeight(_HEIGHT)
        self.setAccessibleName("Loss and held-out metrics by step")
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_EVERY)
        self._timer.timeout.connect(self.redraw)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.canvas)

    def clear(self) -> None:
        """Begin a new training."""
        self.curves, self._steps = Curves(), 1
        self.redraw()

    def add(self, report: TrainingReport) -> None:
        """Add a report; it is drawn soon."""
        self._steps = max(report.steps, 1)
        if self.curves.add(report) and not self._timer.isActive():
            self._timer.start()

    def redraw(self) -> None:
        """Draw all reports, in the colours of the present theme."""
        ink = PlotTheme(theme.css("text"), theme.css("primary"), theme.css("background"))
        draw_curves(self._figure, self.curves, self._steps, ink, self._titles)
        self.canvas.draw_idle()  # type: ignore[no-untyped-call]
