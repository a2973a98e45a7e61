"""One bin of the light table: a class, its annotated pictures first, then the predicted ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from qtpy.QtCore import QRect, Qt, Signal
from qtpy.QtGui import QColor, QDrag, QPainter, QPen, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QMenu,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.widgets import theme
from napari_hemacells.widgets.gallery.model import CELL_ROLE, GalleryModel, cells_of_mime
from napari_hemacells.widgets.gallery.view import GalleryView, Thumbnails
from napari_hemacells.widgets.plain_text import PlainLabel, plain_tip

if TYPE_CHECKING:
    from qtpy.QtCore import QModelIndex, QPoint
    from qtpy.QtGui import (
        QContextMenuEvent,
        QDragEnterEvent,
        QDragLeaveEvent,
        QDragMoveEvent,
        QDropEvent,
    )

    from napari_hemacells.session import Session

STACKED = 3  # pictures that are seen under the pointer while several are dragged
_OFFSET = 5  # pixels between them
_WIDEST_TITLE = 160  # pixels
_STRIPE = 4  # pixels of the class colour over a bin


class BinView(GalleryView):
    """The pictures of a bin; others can be dropped on it.

    Signals
    -------
    dropped
        Ids of the cells that were dropped.
    hovered
        Pictures are held over the bin.
    similar_wanted
        Ids of the chosen cells: show others like them.
    """

    dropped = Signal(list)
    hovered = Signal()
    similar_wanted = Signal(list)

    def __init__(
        self, session: Session, thumbnails: Thumbnails, *, takes_drops: bool, side: int
    ) -> None:
        self.queue = GalleryModel(session)
        super().__init__(self.queue, thumbnails)
        self.queue.setParent(self)
        self._session = session
        self.dragging = False
        self._hot = False
        self._item.captions = False  # the bin says it
        self.set_side(side)
        self.setAcceptDrops(takes_drops)
        mode = QAbstractItemView.DragDropMode
        self.setDragDropMode(mode.DragDrop if takes_drops else mode.DragOnly)
        self.setDropIndicatorShown(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.similar_requested.connect(self._ask_for_similar)

    def chosen_cells(self) -> list[int]:
        """Ids of the chosen pictures."""
        return [self.queue.cell_at(row) for row in self.chosen()]

    def _drags(self, _index: QModelIndex) -> bool:
        return True

    # --- dragging ----------------------------------------------------------------------------

    def startDrag(self, _actions: Qt.DropAction) -> None:  # noqa: N802
        """Drag the chosen pictures: a small stack of them is seen under the pointer."""
        indexes = self.selectedIndexes()
        if not indexes:
            return
        drag = QDrag(self)
        drag.setMimeData(self.queue.mimeData(indexes))
        picture = self._stack([index.data(CELL_ROLE) for index in indexes])
        drag.setPixmap(picture)
        drag.setHotSpot(picture.rect().center())
        self.dragging = True
        try:
            drag.exec(Qt.DropAction.CopyAction)
        finally:
            self.dragging = False

    def _stack(self, cells: list[int]) -> QPixmap:
        shown, ratio = cells[:STACKED], self.devicePixelRatioF()
        side = self._item.side
        size = side + _OFFSET * (len(shown) - 1)
        pixmap = QPixmap(round(size * ratio), round(size * ratio))
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(QColor(0, 0, 0, 0))
        painter = QPainter(pixmap)
        for layer, cell in reversed(list(enumerate(shown))):
            at = _OFFSET * layer
            painter.drawImage(at, at, self._thumbnails.picture(cell, side, ratio))
        if len(cells) > 1:
            badge = QRect(0, 0, 8 + 9 * len(str(len(cells))), 18)
            painter.fillRect(badge, theme.colour("primary"))
            painter.setPen(QColor(Qt.GlobalColor.white))
            painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, str(len(cells)))
        painter.end()
        return pixmap

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        """Take cells of this image only."""
        self._consider(event)

    def dragMoveEvent(self, event: QDragMoveEvent | None) -> None:  # noqa: N802
        """Take cells of this image only."""
        self._consider(event)

    def _consider(self, event: QDragEnterEvent | QDragMoveEvent | None) -> None:
        if event is None:
            return
        fits = bool(cells_of_mime(self._session, event.mimeData()))
        self._glow(fits)
        if fits:
            self.hovered.emit()
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
        else:
            event.ignore()

    def dragLeaveEvent(self, event: QDragLeaveEvent | None) -> None:  # noqa: N802
        """Take back the rim."""
        self._glow(False)
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        """Tell which cells were dropped; the session decides what becomes of them."""
        self._glow(False)
        if event is None:
            return
        cells = cells_of_mime(self._session, event.mimeData())
        if cells:
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self.dropped.emit(cells)
        else:
            event.ignore()

    def _glow(self, hot: bool) -> None:
        """Show a rim while a drop would be taken."""
        if hot != self._hot:
            self._hot = hot
            cast("QWidget", self.viewport()).update()

    def paintEvent(self, event: object) -> None:  # noqa: N802
        """Paint the pictures, and the rim."""
        super().paintEvent(event)  # type: ignore[arg-type]
        if self._hot:
            viewport = cast("QWidget", self.viewport())
            painter = QPainter(viewport)
            painter.setPen(QPen(theme.colour("primary"), 3))
            painter.drawRect(viewport.rect().adjusted(1, 1, -2, -2))
            painter.end()

    # --- the menu ----------------------------------------------------------------------------

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:  # noqa: N802
        """Offer cells that look like the chosen ones."""
        if event is None or not self.chosen():
            return
        self.menu(event.globalPos())

    def menu(self, where: QPoint) -> None:
        """Show the menu of the chosen pictures at a place of the screen."""
        menu = QMenu(self)
        action = menu.addAction("More like this (L)")
        if action is not None:
            action.triggered.connect(self._ask_for_similar)
        menu.exec(where)

    def _ask_for_similar(self, _checked: bool = False) -> None:
        cells = self.chosen_cells()
        if cells:
            self.similar_wanted.emit(cells)


class ClassBin(QFrame):
    """A bin with its title: name, key, and how many pictures are annotated and predicted.

    Parameters
    ----------
    class_id
        What a drop on it means: the class, or ``None`` for none.
    title, colour
        Of the class.
    """

    def __init__(
        self,
        session: Session,
        thumbnails: Thumbnails,
        class_id: str | None,
        *,
        title: str,
        colour: str,
        takes_drops: bool = True,
        side: int = 64,
    ) -> None:
        super().__init__()
        self.class_id = class_id
        self.title, self.count = PlainLabel(title), PlainLabel()
        self.title.setStyleSheet("font-weight: 600;")
        self.title.setToolTip(plain_tip(title))
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        # As wide as its name, unless that is very long: a name cut in the middle is another one.
        self.title.ensurePolished()
        self.title.setMinimumWidth(min(self.title.sizeHint().width(), _WIDEST_TITLE))
        self.view = BinView(session, thumbnails, takes_drops=takes_drops, side=side)
        self.view.setAccessibleName(f"Bin {title}")
        stripe = PlainLabel()
        stripe.setFixedHeight(_STRIPE)
        stripe.setStyleSheet(f"background: {colour};")
        theme.mute_text(self.count)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(stripe)
        column.addWidget(self.title)
        column.addWidget(self.count)
        column.addWidget(self.view, 1)

    def show_cells(self, cells: list[int], annotated: int, predicted: int) -> None:
        """Show these cells; the numbers are of all, of which some may not be shown."""
        scrolled = self.view.verticalScrollBar()
        at = 0 if scrolled is None else scrolled.value()
        chosen = set(self.view.chosen_cells())
        if [self.view.queue.cell_at(row) for row in range(self.view.queue.rowCount())] != cells:
            self.view.queue.show_queue(cells)
            rows = [self.view.queue.row_of(cell) for cell in chosen]
            self.view.choose_rows([row for row in rows if row >= 0])
            if scrolled is not None:
                scrolled.setValue(at)
        self.count.setText(f"{annotated:,} + {predicted:,}" if predicted else f"{annotated:,}")
        self.count.setToolTip(f"{annotated:,} annotated, {predicted:,} predicted")
