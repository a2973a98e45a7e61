"""The list of crops: what mouse and keys on it ask for. It changes nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from qtpy.QtCore import QEvent, QItemSelection, QItemSelectionModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QKeyEvent, QPainter
from qtpy.QtWidgets import QAbstractItemView, QListView

from napari_hemacells.widgets.gallery_item import CropItem

if TYPE_CHECKING:
    from qtpy.QtGui import QMouseEvent, QPaintEvent
    from qtpy.QtWidgets import QWidget

    from napari_hemacells.widgets.gallery_model import GalleryModel
    from napari_hemacells.widgets.thumbnails import Thumbnails

_OURS = set("0123456789rR")


class GalleryView(QListView):
    """Crops in rows, as many as fit; several are chosen by Shift, Ctrl or a rubber band.

    Signals
    -------
    cell_clicked
        Id of a cell that was clicked without a modifier, or chosen with Enter.
    key_pressed
        A digit 0 to 9.
    refresh_requested
        R.
    """

    cell_clicked = Signal(int)
    key_pressed = Signal(int)
    refresh_requested = Signal()

    def __init__(
        self, model: GalleryModel, thumbnails: Thumbnails, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._queue = model
        self._item = CropItem(thumbnails, self)
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
        self.setDragEnabled(False)
        self.setAccessibleName("Crops to review")
        self._mouse = False
        self.clicked.connect(self._on_click)
        model.looks_changed.connect(self._paint_again)
        self.set_side(self._item.side)

    # --- what the gallery asks ---------------------------------------------------------------

    def set_side(self, side: int) -> None:
        """Show crops of this many pixels; the one in sight stays in sight."""
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
        """Choose one crop and bring it into sight; none for -1."""
        if row < 0:
            self.clearSelection()
            return
        index = self._queue.index(row)
        self.setCurrentIndex(index)
        self.scrollTo(index)

    def choose_rows(self, rows: list[int]) -> None:
        """Choose these crops, the last of them the current one."""
        selection = QItemSelection()
        for row in rows:
            selection.select(self._queue.index(row), self._queue.index(row))
        flag = QItemSelectionModel.SelectionFlag
        picked = cast("QItemSelectionModel", self.selectionModel())
        if rows:
            picked.setCurrentIndex(self._queue.index(rows[-1]), flag.NoUpdate)
        picked.select(selection, flag.ClearAndSelect)

    def rows_in_sight(self) -> range:
        """Return the rows whose crops are wholly in sight."""
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
        """Keep our keys from the shortcuts of the window around us."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride:
            plain = event.modifiers() in (
                Qt.KeyboardModifier.NoModifier,
                Qt.KeyboardModifier.KeypadModifier,
            )
            if plain and event.text() in _OURS:
                event.accept()
                return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Turn keys into wishes; moving and choosing are Qt's."""
        if event is None:
            return
        text = event.text()
        if text in _OURS and text.isdigit():
            self.key_pressed.emit(int(text))
        elif text in _OURS and text:
            self.refresh_requested.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._tell(self.currentIndex())
        elif text.isalnum():
            event.ignore()  # for the viewer around us; Qt would search for a crop of that name
        else:
            super().keyPressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Note whether a modifier was held: extending a choice does not move the canvas."""
        self._mouse = event is not None and not event.modifiers()
        super().mouseReleaseEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Paint the crops, or why there are none."""
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
