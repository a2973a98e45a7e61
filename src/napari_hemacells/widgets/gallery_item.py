"""How one crop of the gallery looks: picture, frame in the class colour, a line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex, QPointF, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QStyle, QStyledItemDelegate

from napari_hemacells.widgets.gallery_model import (
    ANNOTATED_ROLE,
    CELL_ROLE,
    COLOUR_ROLE,
    UNKNOWN_ROLE,
)

if TYPE_CHECKING:
    from qtpy.QtCore import QObject
    from qtpy.QtWidgets import QStyleOptionViewItem

    from napari_hemacells.widgets.thumbnails import Thumbnails

MARGIN, FRAME = 4, 3
_FAINT = 90  # of 255: the frame of a cell without a class, in the text colour


class CropItem(QStyledItemDelegate):
    """Paints crops; the pictures are cut when an item is first painted.

    A predicted cell has a thin frame, an annotated one a thick frame and a tick, an unknown one a
    dashed frame and a question mark.
    """

    def __init__(self, thumbnails: Thumbnails, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thumbnails = thumbnails
        self.side = 80

    def item_size(self, line_height: int) -> QSize:
        """Return the size of an item: crop, frame, margin and one line of text."""
        width = self.side + 2 * (MARGIN + FRAME)
        return QSize(width, width + line_height)

    def sizeHint(self, option: QStyleOptionViewItem, _index: QModelIndex) -> QSize:  # noqa: N802
        """Return the same size for all items."""
        return self.item_size(option.fontMetrics.height())

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Paint one item."""
        if painter is None:
            return
        painter.save()
        text = option.palette.text().color()
        picture = self._picture_rect(option.rect)
        if option.state & QStyle.StateFlag.State_Selected:
            _paint_selection(painter, option.rect, text)
        device = painter.device()
        ratio = 1.0 if device is None else device.devicePixelRatioF()
        cell = index.data(CELL_ROLE)
        painter.drawImage(picture.topLeft(), self._thumbnails.picture(cell, self.side, ratio))
        _paint_frame(painter, picture, index, text)
        self._paint_text(painter, option, index, text)
        painter.restore()

    def _picture_rect(self, item: QRect) -> QRect:
        corner = item.topLeft()
        offset = MARGIN + FRAME
        return QRect(corner.x() + offset, corner.y() + offset, self.side, self.side)

    def _paint_text(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex, colour: QColor
    ) -> None:
        height = option.fontMetrics.height()
        line = QRect(option.rect)
        line.setTop(line.bottom() - height - 1)
        line.adjust(2, 0, -2, 0)
        text = _elided(option, index.data(Qt.ItemDataRole.DisplayRole), line.width())
        painter.setPen(colour)
        painter.setFont(option.font)
        painter.drawText(line, Qt.AlignmentFlag.AlignCenter, text)


def _elided(option: QStyleOptionViewItem, text: str, width: int) -> str:
    """Return ``"Lympho… 87%"``: the name gives way, the figure stays."""
    name, space, figure = text.rpartition(" ")
    if not figure.endswith("%"):
        name, space, figure = text, "", ""
    metrics = option.fontMetrics
    room = width - metrics.horizontalAdvance(space + figure)
    return metrics.elidedText(name, Qt.TextElideMode.ElideRight, room) + space + figure


def _paint_selection(painter: QPainter, item: QRect, text: QColor) -> None:
    """Paint a rounded field behind the item and a rim, in the text's colour."""
    field, rim = QColor(text), QColor(text)
    field.setAlpha(30)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(rim, 2))
    painter.setBrush(field)
    painter.drawRoundedRect(QRectF(item).adjusted(1, 1, -1, -1), 4, 4)
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _paint_frame(painter: QPainter, picture: QRect, index: QModelIndex, text: QColor) -> None:
    """Paint the frame in the colour of the class, with a tick where it is the user's word."""
    colour, annotated = index.data(COLOUR_ROLE), index.data(ANNOTATED_ROLE)
    if index.data(UNKNOWN_ROLE):
        _paint_unknown(painter, picture, colour, text)
        return
    if colour is None:
        colour = QColor(text)
        colour.setAlpha(_FAINT)
    width = FRAME if annotated else FRAME - 1 if index.data(COLOUR_ROLE) else 1
    grow = width / 2
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
    painter.setPen(QPen(colour, width, join=Qt.PenJoinStyle.MiterJoin))
    painter.drawRect(QRectF(picture).adjusted(-grow, -grow, grow, grow))
    if annotated:
        _paint_tick(painter, picture, colour)


def _paint_unknown(painter: QPainter, picture: QRect, colour: QColor, text: QColor) -> None:
    """Paint a dashed frame, seen in both themes, and a question mark on a patch."""
    grow = (FRAME - 1) / 2
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
    painter.setPen(QPen(text, FRAME - 1, Qt.PenStyle.DashLine))
    painter.drawRect(QRectF(picture).adjusted(-grow, -grow, grow, grow))
    patch = QRectF(picture.right() - 13, picture.top() - 1, 15, 15)
    painter.fillRect(patch, colour)
    painter.setPen(QColor(Qt.GlobalColor.white))
    painter.drawText(patch, Qt.AlignmentFlag.AlignCenter, "?")


def _paint_tick(painter: QPainter, picture: QRect, colour: QColor) -> None:
    """Paint a tick on a patch of the class colour in the upper right corner."""
    patch = QRectF(picture.right() - 13, picture.top() - 1, 15, 15)
    ink = QColor(Qt.GlobalColor.black if colour.lightnessF() > 0.45 else Qt.GlobalColor.white)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.fillRect(patch, colour)
    painter.setPen(QPen(ink, 2, cap=Qt.PenCapStyle.RoundCap))
    left, top = patch.left(), patch.top()
    points = ((3.5, 7.5), (6.5, 10.5), (11.5, 4.5))
    painter.drawPolyline(QPolygonF([QPointF(left + x, top + y) for x, y in points]))
