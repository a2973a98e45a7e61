"""The class balance of a training as bars, and the curves of its rate searches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_hemacells.core.train.classifier.report.plots import (
    draw_class_balance,
    draw_rate_search,
)
from napari_hemacells.core.train.learning_curves import PlotTheme
from napari_hemacells.widgets import theme

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.core.train.classifier.report.figure_tables import (
        ClassBalance,
        RateSearch,
    )

BARS, BAR, CURVE = 90, 22, 200  # pixels: around the bars, of each, and of a curve


class TrainingCharts(QWidget):
    """Bars of the pictures of each class and part; below them the loss at each learning rate."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.searches: tuple[RateSearch, ...] = ()
        self.balance: ClassBalance | None = None
        self.figure = Figure(layout="constrained")
        self.canvas = FigureCanvasQTAgg(self.figure)  # type: ignore[no-untyped-call]
        self.canvas.setMinimumWidth(100)
        self.canvas.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Pictures of each class, and the loss at each learning rate")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.canvas)

    def show_charts(self, searches: Sequence[RateSearch], balance: ClassBalance | None) -> None:
        """Show these; nothing takes no room."""
        self.searches, self.balance = tuple(searches), balance
        self.setVisible(bool(searches) or balance is not None)
        self.redraw()

    def redraw(self) -> None:
        """Draw again, in the colours of the present theme."""
        ink = PlotTheme(theme.css("text"), theme.css("primary"), theme.css("background"))
        self.figure.clear()
        self.figure.set_facecolor(ink.back)
        heights = [CURVE] * len(self.searches)
        if self.balance is not None:
            heights.insert(0, BARS + BAR * len(self.balance.classes))
        if not heights:
            return
        self.canvas.setFixedHeight(sum(heights))
        panels = list(
            self.figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        )
        if self.balance is not None:
            draw_class_balance(panels.pop(0), self.balance.parts, self.balance.classes, ink)
        for axes, search in zip(panels, self.searches, strict=True):
            draw_rate_search(axes, search.curve, search.taken, search.title, ink)
        self.canvas.draw_idle()  # type: ignore[no-untyped-call]
