"""A thin bar that shows how the cells of an image divide among the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QRectF, QSize
from qtpy.QtGui import QColor, QPainter, QPainterPath
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QPaintEvent

Part = tuple[int, str, float]
"""Cells, colour ``#rrggbb``, opacity 0 to 1."""


class ShareBar(QWidget):
    """Parts of a whole side by side; what no part claims stays empty."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.parts: tuple[Part, ...] = ()
        self.total = 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_parts(self, parts: Sequence[Part], total: int) -> None:
        """Show these parts of so many cells."""
        self.parts, self.total = tuple(parts), total
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a thin strip."""
        return QSize(200, 8)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002, N802
        """Paint the parts inside a rounded frame."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        outline = QPainterPath()
        outline.addRoundedRect(frame, 3, 3)
        empty = QColor(self.palette().windowText().color())
        empty.setAlphaF(0.18)
        painter.fillPath(outline, empty)
        painter.setClipPath(outline)
        left = frame.left()
        for count, name, opacity in self.parts:
            width = frame.width() * count / max(self.total, 1)
            colour = QColor(name)
            colour.setAlphaF(opacity)
            painter.fillRect(QRectF(left, frame.top(), width, frame.height()), colour)
            left += width
        painter.end()
