"""Short help on keys: little key caps with what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget
from superqt import QFlowLayout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QPaintEvent


class KeyCap(QLabel):
    """The name of a key in a rounded frame of the text's colour."""

    def __init__(self, key: str, parent: QWidget | None = None) -> None:
        super().__init__(key, parent)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the text's size and room for the frame."""
        metrics = self.fontMetrics()
        width = metrics.horizontalAdvance(self.text()) + 10
        return QSize(max(width, metrics.height() + 4), metrics.height() + 4)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the same: a key is never cut."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Paint the frame, then the text."""
        rim = QColor(self.palette().windowText().color())
        rim.setAlphaF(0.45)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(rim, 1))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
        painter.end()
        super().paintEvent(event)


class KeyHelp(QWidget):
    """Keys and what they do, as many side by side as there is room for."""

    def __init__(self, entries: Sequence[tuple[str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        flow = QFlowLayout(self)
        flow.setContentsMargins(0, 0, 0, 0)
        flow.setHorizontalSpacing(12)
        flow.setVerticalSpacing(4)
        for key, meaning in entries:
            flow.addWidget(_entry(key, meaning))


def _entry(key: str, meaning: str) -> QWidget:
    """Return a key cap and what the key does."""
    widget = QWidget()
    layout = QHBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    layout.addWidget(KeyCap(key))
    layout.addWidget(QLabel(meaning))
    return widget
