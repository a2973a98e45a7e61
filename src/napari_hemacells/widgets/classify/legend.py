"""The legend of the confidence shown on the image."""

from __future__ import annotations

from qtpy.QtCore import QRectF, QSize
from qtpy.QtGui import QBrush, QColor, QLinearGradient, QPainter, QPaintEvent
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QSizePolicy, QWidget

from napari_hemacells.core.annotate.palette import UNKNOWN_COLOUR
from napari_hemacells.layers import confidence_scale
from napari_hemacells.widgets.plain_text import PlainLabel

_HEIGHT = 12
PERCENTAGES = ("0 % unsure", "50 %", "100 % sure, or yours")
WORDS = ("less sure", "", "surer, or yours")  # with so few annotations that no number is honest


class GradientBar(QWidget):
    """The colours from no confidence to full confidence."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.colours = [QColor.fromRgbF(*colour[:3]) for colour in confidence_scale()]

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a thin strip."""
        return QSize(200, _HEIGHT)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002, N802
        """Paint the colours from left to right."""
        gradient = QLinearGradient(0, 0, self.width(), 0)
        for place, colour in enumerate(self.colours):
            gradient.setColorAt(place / (len(self.colours) - 1), colour)
        painter = QPainter(self)
        painter.fillRect(QRectF(self.rect()), QBrush(gradient))
        painter.end()


class ConfidenceLegend(QWidget):
    """What the colours of the confidence view mean: a scale in per cent, and the grey ones."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = GradientBar()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(1)
        grid.addWidget(self.bar, 0, 0, 1, 3)
        self.labels = [PlainLabel(text) for text in PERCENTAGES]
        for column, label in enumerate(self.labels):
            grid.addWidget(label, 1, column)
            grid.setColumnStretch(column, column != 1)
        swatch = QWidget()
        swatch.setFixedSize(_HEIGHT, _HEIGHT)
        swatch.setStyleSheet(f"background: {UNKNOWN_COLOUR};")
        row = QHBoxLayout()
        row.addWidget(swatch)
        row.addWidget(PlainLabel("unknown, unlike all annotated cells"), 1)
        grid.addLayout(row, 2, 0, 1, 3)
        self.setAccessibleName("Legend of the confidence")

    def show_percentages(self, *, shown: bool) -> None:
        """Show the scale in per cent, or in words."""
        for label, text in zip(self.labels, PERCENTAGES if shown else WORDS, strict=True):
            label.setText(text)
