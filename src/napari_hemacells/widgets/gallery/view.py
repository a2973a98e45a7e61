"""The list of crops: its keys and mouse, the painting of crops, and the cache of thumbnails."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

from qtpy.QtCore import (
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPointF,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor, QImage, QKeyEvent, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate

from napari_hemacells.core import crop
from napari_hemacells.core.types import CropSpec
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.gallery.model import (
    ANNOTATED_ROLE,
    CELL_ROLE,
    COLOUR_ROLE,
    UNKNOWN_ROLE,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from qtpy.QtCore import QObject
    from qtpy.QtGui import QMouseEvent, QPaintEvent
    from qtpy.QtWidgets import QStyleOptionViewItem, QWidget

    from napari_hemacells.session import Session
    from napari_hemacells.widgets.gallery.model import GalleryModel

MARGIN, FRAME = 4, 3
_FAINT = 90  # of 255: the frame of a cell without a class, in the text colour


class CropDelegate(QStyledItemDelegate):
    """Paints crops; thumbnails are made when an item is first painted.

    A predicted cell has a thin frame, an annotated one a thick frame and a tick, an unknown one a
    dashed frame and a question mark.
    """

    def __init__(self, thumbnails: Thumbnails, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thumbnails = thumbnails
        self.side = 80
        self.captions = True  # the class below each crop

    def item_size(self, line_height: int) -> QSize:
        """Return the size of an item: crop, frame, margin and one line of text."""
        width = self.side + 2 * (MARGIN + FRAME)
        return QSize(width, width + (line_height if self.captions else 0))

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
        if self.captions:
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
    """Return ``"Lympho… 87%"``: the name is shortened, the confidence is not."""
    name, space, figure = text.rpartition(" ")
    if not figure.endswith("%"):
        name, space, figure = text, "", ""
    metrics = option.fontMetrics
    room = width - metrics.horizontalAdvance(space + figure)
    return metrics.elidedText(name, Qt.TextElideMode.ElideRight, room) + space + figure


def _paint_selection(painter: QPainter, item: QRect, text: QColor) -> None:
    """Paint a rounded background for the item and a border in the text colour."""
    field, rim = QColor(text), QColor(text)
    field.setAlpha(30)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(rim, 2))
    painter.setBrush(field)
    painter.drawRoundedRect(QRectF(item).adjusted(1, 1, -1, -1), 4, 4)
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _paint_frame(painter: QPainter, picture: QRect, index: QModelIndex, text: QColor) -> None:
    """Paint the frame in the class colour, with a tick if the cell is annotated."""
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
    if colour.alpha() == 255 and theme.contrast(colour, theme.ink_on(text)) < theme.VISIBLE:
        painter.setPen(QPen(text, 1))  # black on dark: a rim around the frame
        painter.drawRect(QRectF(picture).adjusted(-width, -width, width, width))
    if annotated:
        _paint_tick(painter, picture, colour)


def _paint_unknown(painter: QPainter, picture: QRect, colour: QColor, text: QColor) -> None:
    """Paint a dashed frame, visible in both themes, and a question mark."""
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
    ink = theme.ink_on(colour)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.fillRect(patch, colour)
    painter.setPen(QPen(ink, 2, cap=Qt.PenCapStyle.RoundCap))
    left, top = patch.left(), patch.top()
    points = ((3.5, 7.5), (6.5, 10.5), (11.5, 4.5))
    painter.drawPolyline(QPolygonF([QPointF(left + x, top + y) for x, y in points]))


_SHORTCUT_KEYS = set("0123456789rRlLcCoO")


class GalleryView(QListView):
    """Crops in rows; several are chosen by Shift, Ctrl or a rubber band.

    Signals
    -------
    cell_clicked
        Id of a cell that was clicked without a modifier, or chosen with Enter.
    key_pressed
        A digit 0 to 9.
    refresh_requested
        R was pressed.
    similar_requested
        L was pressed: show cells that look like the chosen ones; with Shift of the whole project.
    compare_requested
        C was pressed: compare the chosen cells.
    odd_requested
        O was pressed: the next odd cell (1), with Shift the one before (-1).
    """

    cell_clicked = Signal(int)
    key_pressed = Signal(int)
    refresh_requested = Signal()
    similar_requested = Signal(bool)
    compare_requested = Signal()
    odd_requested = Signal(int)

    def __init__(
        self, model: GalleryModel, thumbnails: Thumbnails, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._queue = model
        self._item = CropDelegate(thumbnails, self)
        self._thumbnails = thumbnails
        self.empty_text = ""
        self.setModel(model)
        self.setItemDelegate(self._item)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setSelectionRectVisible(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        self.setDragEnabled(False)
        self.setAccessibleName("Crops to review")
        self._mouse = False
        self.clicked.connect(self._on_click)
        model.appearance_changed.connect(self._paint_again)
        self.set_side(self._item.side)

    # --- what the gallery asks ---------------------------------------------------------------

    def set_side(self, side: int) -> None:
        """Set the side of the crops in pixels; the visible crop stays visible."""
        self._item.side = side
        size = self._item.item_size(self.fontMetrics().height())
        self.setGridSize(size)
        bar = self.verticalScrollBar()
        if bar is not None:
            bar.setSingleStep(max(size.height() // 3, 1))  # a notch of the wheel is one row
        self.scheduleDelayedItemsLayout()
        if self.currentIndex().isValid():
            self.scrollTo(self.currentIndex())

    def chosen(self) -> list[int]:
        """Return the rows of the chosen crops, ascending."""
        return sorted(index.row() for index in self.selectedIndexes())

    def choose(self, row: int) -> None:
        """Choose one crop and scroll to it; none for -1."""
        if row < 0:
            self.clearSelection()
            return
        index = self._queue.index(row)
        # Not Qt's own way: with Ctrl still held, as after an undo, it would add to the selection.
        picked = cast("QItemSelectionModel", self.selectionModel())
        picked.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        self.scrollTo(index)

    def choose_rows(self, rows: list[int]) -> None:
        """Choose these crops; the last becomes the current one."""
        selection = QItemSelection()
        for row in rows:
            selection.select(self._queue.index(row), self._queue.index(row))
        flag = QItemSelectionModel.SelectionFlag
        picked = cast("QItemSelectionModel", self.selectionModel())
        if rows:
            picked.setCurrentIndex(self._queue.index(rows[-1]), flag.NoUpdate)
        picked.select(selection, flag.ClearAndSelect)

    def rows_in_sight(self) -> range:
        """Return the rows whose crops are fully visible."""
        count = self._queue.rowCount()
        area = cast("QWidget", self.viewport()).rect()
        grid = self.gridSize()
        if not count or not area.isValid():
            return range(0)
        across = max(area.width() // grid.width(), 1)
        bar = self.verticalScrollBar()
        top = 0 if bar is None else bar.value()
        first = -(-top // grid.height()) * across
        last = max((top + area.height()) // grid.height(), 1) * across
        return range(min(first, count), min(max(last, first + across), count))

    # --- Qt ----------------------------------------------------------------------------------

    def event(self, event: QEvent | None) -> bool:
        """Keep this list's keys from the window's shortcuts."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride:
            plain = event.modifiers() in (
                Qt.KeyboardModifier.NoModifier,
                Qt.KeyboardModifier.ShiftModifier,
                Qt.KeyboardModifier.KeypadModifier,
            )
            if plain and event.text() in _SHORTCUT_KEYS:
                event.accept()
                return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Emit requests for keys; Qt handles moving and choosing."""
        if event is None:
            return
        text = event.text()
        if text in _SHORTCUT_KEYS and text.isdigit():
            self.key_pressed.emit(int(text))
        elif text and text in "lL":
            self.similar_requested.emit(text == "L")
        elif text and text in "cC":
            self.compare_requested.emit()
        elif text and text in "oO":
            self.odd_requested.emit(-1 if text == "O" else 1)
        elif text in _SHORTCUT_KEYS and text:
            self.refresh_requested.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._tell(self.currentIndex())
        elif text.isalnum():
            event.ignore()  # for the viewer around us; Qt would search for a crop of that name
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Drag chosen crops, into the bins of the light table; elsewhere draw a rubber band."""
        if event is not None:
            index = self.indexAt(event.position().toPoint())
            self.setDragEnabled(index.isValid() and self._drags(index))
        super().mousePressEvent(event)

    def _drags(self, index: QModelIndex) -> bool:
        """Whether a drag from this crop moves crops, and is no rubber band."""
        return index in self.selectedIndexes()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Note modifiers: extending the selection does not move the canvas."""
        self._mouse = event is not None and not event.modifiers()
        super().mouseReleaseEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Paint the crops, or the reason why there are none."""
        super().paintEvent(event)
        if self._queue.rowCount() or not self.empty_text:
            return
        viewport = cast("QWidget", self.viewport())
        painter = QPainter(viewport)
        painter.setPen(self.palette().text().color())
        where = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(viewport.rect().adjusted(12, 8, -12, -8), where, self.empty_text)
        painter.end()

    def _paint_again(self, cells: tuple[int, ...]) -> None:
        if not cells:
            cast("QWidget", self.viewport()).update()
        for row in map(self._queue.row_of, cells):
            self.update(self._queue.index(row))

    def _on_click(self, index: QModelIndex) -> None:
        if self._mouse:
            self._tell(index)

    def _tell(self, index: QModelIndex) -> None:
        if index.isValid():
            self.cell_clicked.emit(self._queue.cell_at(index.row()))


MAX_CACHED = 1500
"""Number of thumbnails kept: about 55 MB at 96 px."""


class Thumbnails:
    """Thumbnails of the image's cells, made on request.

    Only the region around a cell is read, so a lazy image stays lazy. Pictures of a folder are
    shown enlarged until they were read; then the view is painted again.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._cached = lru_cache(maxsize=MAX_CACHED)(self._cut)
        self._pictures: dict[tuple[int, int, float], QImage] = {}  # of a folder, the sharp ones

    def picture(self, cell: int, side: int, ratio: float = 1.0) -> QImage:
        """Return the crop of a cell, `side` logical pixels wide at this device pixel ratio."""
        image, cells = self._session.image, self._session.cells
        if image is None or image.sheet is None:
            return self._cached(cell, side, ratio)
        known = self._pictures.get((cell, side, ratio))
        if known is not None:
            return known
        if cells is None or cell not in cells.position:
            return QImage()
        pixels, sharp = image.sheet.thumbnail_now(cell, max(round(side * ratio), 1))
        picture = _as_qimage(pixels, ratio)
        if sharp:
            if len(self._pictures) >= MAX_CACHED:
                self._pictures.clear()
            self._pictures[(cell, side, ratio)] = picture
        return picture

    def clear(self) -> None:
        """Forget all thumbnails, for other cells or another image."""
        self._cached.cache_clear()
        self._pictures.clear()

    def _cut(self, cell: int, side: int, ratio: float) -> QImage:
        image, cells = self._session.image, self._session.cells
        if image is None or cells is None or cell not in cells.position:
            return QImage()
        size = max(round(side * ratio), 1)
        crops = crop.to_bytes(crop.extract_crops(image, cells, CropSpec(size=size), [cell]))
        return _as_qimage(crops[0], ratio)


def _as_qimage(pixels: NDArray[np.uint8], ratio: float) -> QImage:
    """A square picture, which owns its pixels."""
    size = len(pixels)
    borrowed = QImage(pixels.tobytes(), size, size, 3 * size, QImage.Format.Format_RGB888)
    picture = borrowed.convertToFormat(QImage.Format.Format_RGB32)
    picture.setDevicePixelRatio(ratio)
    return picture
