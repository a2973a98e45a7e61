"""Cells of all images of the project in one list, in an order that somebody else gives."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from qtpy.QtCore import QAbstractListModel, QModelIndex, QRect, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import QListView, QStyledItemDelegate

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.types import CellRef, CropSpec, Progress
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.plain_text import plain_tip

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from qtpy.QtCore import QObject
    from qtpy.QtGui import QPaintEvent
    from qtpy.QtWidgets import QStyleOptionViewItem, QWidget

    from napari_hemacells.core.annotate.cell_edits import Corrections
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.types import Cells, SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.session.likeness import LikeThis

REF_ROLE = Qt.ItemDataRole.UserRole + 1
_MARGIN = 4
_MAX_CROPS = 3000  # kept: about 75 MB at 80 px
_REST_MS = 60  # crops are read once the list stands still


class ProjectCellsModel(QAbstractListModel):
    """Cells of several images, in the order of their likeness to some others."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._found: LikeThis | None = None

    @property
    def found(self) -> LikeThis | None:
        """What is shown."""
        return self._found

    def show_found(self, found: LikeThis | None) -> None:
        """Show these cells; nothing for ``None``."""
        self.beginResetModel()
        self._found = found
        self.endResetModel()

    def ref(self, row: int) -> CellRef:
        """Return the cell of a row."""
        if self._found is None:
            raise IndexError(row)
        return self._found.refs(row, row + 1)[0]

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        """Return the number of cells."""
        return 0 if parent.isValid() or self._found is None else len(self._found.order)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the data shown for a cell; its picture comes from the delegate."""
        if not index.isValid() or self._found is None:
            return None
        ref = self.ref(index.row())
        if role == REF_ROLE:
            return ref
        if role == Qt.ItemDataRole.DisplayRole:
            return self.class_of(ref)[0]
        if role == Qt.ItemDataRole.ToolTipRole:
            project = self._session.project
            image = "" if project is None else project.image(ref.image_key).name
            name = self.class_of(ref)[0]
            return plain_tip(f"Cell {ref.cell}, {image}{': ' if name else ''}{name}")
        return None

    def class_of(self, ref: CellRef) -> tuple[str, QColor | None]:
        """Return name and colour of the class that a person gave a cell; empty for none."""
        history = self._session.history
        word = None if history is None else history.state.labels.get(ref)
        if word is None or word.class_id not in self._session.palette:
            return "", None
        cell_class = self._session.palette.by_id(word.class_id)
        return cell_class.name, QColor(cell_class.colour)


class _Delegate(QStyledItemDelegate):
    """Paints a crop with the frame of its class; a faint square until it is read."""

    def __init__(self, crops: CropReader, parent: QObject) -> None:
        super().__init__(parent)
        self._crops = crops
        self.side = 80

    def sizeHint(self, option: QStyleOptionViewItem, _index: QModelIndex) -> QSize:  # noqa: N802
        """Return the same size for all items."""
        side = self.side + 2 * _MARGIN
        return QSize(side, side + option.fontMetrics.height())

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Paint one item."""
        if painter is None:
            return
        model = cast("ProjectCellsModel", index.model())
        ref = index.data(REF_ROLE)
        box = QRect(option.rect.x() + _MARGIN, option.rect.y() + _MARGIN, self.side, self.side)
        picture = self._crops.picture(ref)
        text = theme.colour("text")
        faint = QColor(text)
        faint.setAlpha(40)
        if picture is None:
            painter.fillRect(box, faint)
        else:
            painter.drawImage(box, picture)
        name, colour = model.class_of(ref)
        found = model.found
        if found is not None and ref in found.picked:
            colour = text
        if colour is not None:
            pen = painter.pen()
            pen.setColor(colour)
            pen.setWidth(3)
            painter.setPen(pen)
            painter.drawRect(box)
        line = QRect(option.rect.x(), box.bottom() + 1, option.rect.width(), 18)
        painter.setPen(text)
        words = option.fontMetrics.elidedText(
            name or f"#{ref.cell}", Qt.TextElideMode.ElideRight, line.width() - 4
        )
        painter.drawText(line, Qt.AlignmentFlag.AlignCenter, words)


class CropReader:
    """Crops of cells of any image of the project, read in a thread.

    Parameters
    ----------
    ready
        Called when crops were read.
    """

    def __init__(self, session: Session, jobs: JobRunner, ready: Callable[[], None]) -> None:
        self._session, self._jobs, self._ready = session, jobs, ready
        self._crops: OrderedDict[CellRef, QImage | None] = OrderedDict()
        self.missing: set[str] = set()
        jobs.returned.connect(self._returned)
        jobs.refused.connect(self._failed)
        jobs.failed.connect(self._failed)

    def picture(self, ref: CellRef) -> QImage | None:
        """Return the crop of a cell; ``None`` while it is not read."""
        return self._crops.get(ref)

    def clear(self) -> None:
        """Forget all crops, as for another project."""
        self._jobs.cancel("read")
        self._crops.clear()
        self.missing.clear()

    def want(self, refs: Sequence[CellRef]) -> None:
        """Read those of these crops that are not there."""
        session = self._session
        project, history = session.project, session.history
        new = [ref for ref in refs if ref not in self._crops and ref.image_key not in self.missing]
        if not new or project is None or history is None or self._jobs.running("read"):
            return
        key = new[0].image_key  # an image at a time: what is in sight comes soon
        cells = [ref.cell for ref in new if ref.image_key == key]
        opened = None
        if session.image is not None and session.image.key == key and session.cells is not None:
            opened = (session.image, session.cells)
        spec = CropSpec() if session.embeddings is None else session.embeddings.spec
        self._jobs.start(
            "read",
            partial(
                read_crops_steps, project, key, cells, spec=spec, opened=opened,
                corrections=history.state.corrections_of(key),
            ),
        )  # fmt: skip

    def _returned(self, _kind: str, found: tuple[str, Mapping[int, NDArray[np.uint8]]]) -> None:
        key, crops = found
        if not crops:
            self.missing.add(key)
        for cell, pixels in crops.items():
            self._crops[CellRef(key, cell)] = _as_image(pixels)
        while len(self._crops) > _MAX_CROPS:
            self._crops.popitem(last=False)
        self._ready()

    def _failed(self, _kind: str, _error: Exception) -> None:
        self._ready()


def read_crops_steps(
    project: Project,
    key: str,
    cells: Sequence[int],
    *,
    spec: CropSpec,
    opened: tuple[SmearImage, Cells] | None,
    corrections: Corrections,
) -> Generator[Progress, None, tuple[str, dict[int, NDArray[np.uint8]]]]:
    """Return crops of one image by cell; none where the image was moved or cannot be read."""
    from napari_hemacells.core import annotate
    from napari_hemacells.core.crop import extract_crops, to_bytes
    from napari_hemacells.core.pictures.contact_sheet import sheet_of
    from napari_hemacells.core.store.project_images import read_stored_image

    yield Progress(0, 0)
    try:
        if opened is not None:
            image, table = opened
        else:
            image = read_stored_image(project, key)
            sheet = sheet_of(image)
            table = (
                annotate.apply_corrections(project.load_cells(key), corrections)
                if sheet is None
                else sheet.cells()
            )
        there = [cell for cell in cells if cell in table.position]
        if not there:
            return key, {}
        crops = to_bytes(extract_crops(image, table, spec, there))
    except HemaCellsError:  # told when the image is opened
        return key, {}
    return key, dict(zip(there, crops, strict=True))


def _as_image(pixels: NDArray[np.uint8]) -> QImage:
    rows, cols = pixels.shape[:2]
    borrowed = QImage(pixels.tobytes(), cols, rows, 3 * cols, QImage.Format.Format_RGB888)
    return borrowed.convertToFormat(QImage.Format.Format_RGB32)


class ProjectCellsView(QListView):
    """The list of crops; a click shows the cell in its image.

    Signals
    -------
    cell_clicked
        The cell that was clicked, or chosen with Enter.
    """

    cell_clicked = Signal(object)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.cells = ProjectCellsModel(session, self)
        self.jobs = JobRunner(self)
        self._crops = CropReader(session, self.jobs, self._crops_ready)
        self._item = _Delegate(self._crops, self)
        self.setModel(self.cells)
        self.setItemDelegate(self._item)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setLayoutMode(QListView.LayoutMode.Batched)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setAccessibleName("Cells of the whole project by likeness")
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_REST_MS)
        self._soon.timeout.connect(self._read)
        self.clicked.connect(self._tell)

    def show_found(self, found: LikeThis | None) -> None:
        """Show cells in this order."""
        self.cells.show_found(found)
        self.scrollToTop()

    def clear(self) -> None:
        """Show nothing, for another project."""
        self._crops.clear()
        self.cells.show_found(None)

    def set_side(self, side: int) -> None:
        """Set the side of the crops in pixels."""
        self._item.side = side
        self.scheduleDelayedItemsLayout()

    def refs_in_sight(self) -> list[CellRef]:
        """Return the cells whose crops are at least partly visible."""
        area = cast("QWidget", self.viewport()).rect()
        first = self.indexAt(area.topLeft())
        count = self.cells.rowCount()
        if not count:
            return []
        size = self.visualRect(self.cells.index(0)).size()
        if size.isEmpty():
            return []
        across = max(area.width() // size.width(), 1)
        bar = self.verticalScrollBar()
        top = 0 if bar is None else bar.value()
        start = first.row() if first.isValid() else top // size.height() * across
        rows = (area.height() // size.height() + 2) * across
        found = self.cells.found
        return [] if found is None else found.refs(start, min(start + rows, count))

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802
        """Enter shows the cell in its image."""
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._tell(self.currentIndex())
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Paint the crops, and read those in sight that are missing."""
        super().paintEvent(event)
        self._soon.start()

    def _read(self) -> None:
        if self.isVisible():
            self._crops.want(self.refs_in_sight())

    def _crops_ready(self) -> None:
        cast("QWidget", self.viewport()).update()

    def _tell(self, index: QModelIndex) -> None:
        if index.isValid():
            self.cell_clicked.emit(self.cells.ref(index.row()))
