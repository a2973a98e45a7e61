"""The review queue as a Qt list model: a fixed order of cells with live classes and colours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from qtpy.QtCore import (
    QAbstractListModel,
    QByteArray,
    QMimeData,
    QModelIndex,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor

from napari_hemacells.core.annotate.palette import UNKNOWN_COLOUR
from napari_hemacells.core.types import UNKNOWN
from napari_hemacells.layers import format_confidence
from napari_hemacells.widgets.plain_text import plain_tip
from napari_hemacells.widgets.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from qtpy.QtCore import QObject

    from napari_hemacells.core.params import QueueOrder
    from napari_hemacells.core.types import Cells
    from napari_hemacells.session import CellsChange, Session

CELL_ROLE = Qt.ItemDataRole.UserRole + 1
COLOUR_ROLE = Qt.ItemDataRole.UserRole + 2
ANNOTATED_ROLE = Qt.ItemDataRole.UserRole + 3
UNKNOWN_ROLE = Qt.ItemDataRole.UserRole + 4

ALL_CELLS, ANNOTATED, UNCLASSIFIED, PROPOSED = "", "!", "?", "*"
"""Filters beside the class ids and ``UNKNOWN``: all, annotated, unclassified, proposed cells."""


MIME_TYPE = "application/x-hemacells-cells"


def cells_mime(session: Session, cells: Sequence[int]) -> QMimeData:
    """What is dragged: ids of cells, of the image of a session."""
    mime = QMimeData()
    key = "" if session.image is None else session.image.key
    text = json.dumps({"image": key, "cells": [int(cell) for cell in cells]})
    mime.setData(MIME_TYPE, QByteArray(text.encode()))
    return mime


def cells_of_mime(session: Session, mime: QMimeData | None) -> list[int]:
    """The ids of the dragged cells; empty for anything else, and for those of another image."""
    if mime is None or not mime.hasFormat(MIME_TYPE) or session.image is None:
        return []
    dragged = json.loads(bytes(mime.data(MIME_TYPE).data()))
    return list(dragged["cells"]) if dragged["image"] == session.image.key else []


class DisplayedClass(NamedTuple):
    """The displayed class of a cell."""

    class_id: str | None
    confidence: float
    annotated: bool


_UNKNOWN = DisplayedClass(None, float("nan"), annotated=False)


class _CellClasses(NamedTuple):
    """The displayed classes of all cells; a single one is assembled on request."""

    position: Mapping[int, int]
    classes: Sequence[str | None]
    sure: Sequence[float] | NDArray[np.float32]
    annotated: Mapping[int, str]

    def of(self, cell: int) -> DisplayedClass:
        index = self.position.get(cell)
        if index is None:
            return _UNKNOWN
        return DisplayedClass(self.classes[index], float(self.sure[index]), cell in self.annotated)


class GalleryModel(QAbstractListModel):
    """The cells of the image in the order of a queue that only `show_queue` changes.

    Classes, confidences and colours follow the session at once; the order does not, so that
    nothing moves while the user works.

    Signals
    -------
    outdated_changed
        Whether something happened since the queue was made.
    appearance_changed
        Visible crops of these cells need repainting; of all cells if none is named. This is not
        ``dataChanged``: for that a list in icon mode lays all items out again, which with 5,000
        cells takes longer than the classifier.
    """

    outdated_changed = Signal(bool)
    appearance_changed = Signal(tuple)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._queue: list[int] = []
        self._rows: dict[int, int] = {}
        self._names: dict[str, tuple[str, QColor]] = {}
        self.order: QueueOrder = "active"
        self.proposed: tuple[int, ...] = ()
        self.descending = False
        self.only = ALL_CELLS
        self.outdated = False
        self._getters: dict[int, Callable[[int], Any]] = {
            Qt.ItemDataRole.DisplayRole: self._text,
            Qt.ItemDataRole.ToolTipRole: self._tip,
            CELL_ROLE: int,
            COLOUR_ROLE: self._colour,
            ANNOTATED_ROLE: lambda cell: self.shown(cell).annotated,
            UNKNOWN_ROLE: lambda cell: self.shown(cell).class_id == UNKNOWN,
        }
        self._subscriptions = Subscriptions(self)
        events = session.events
        self._subscriptions.add(events.palette, self._update_names)
        self._subscriptions.add(events.annotations, self._update_labelled)
        self._subscriptions.add(events.prediction, self._update_shown)
        self._subscriptions.add(events.corrected, self._drop)
        self._update_names()

    # --- what Qt asks ------------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        """Return the number of cells in the queue."""
        return 0 if parent.isValid() else len(self._queue)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the data shown for a cell; its picture comes from the delegate."""
        getter = self._getters.get(role) if index.isValid() else None
        return None if getter is None else getter(self._queue[index.row()])

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Crops can be dragged into the bins of the light table."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsDragEnabled if index.isValid() else flags

    def mimeTypes(self) -> list[str]:  # noqa: N802
        """Return the one type that crops are dragged as."""
        return [MIME_TYPE]

    def mimeData(self, indexes: Iterable[QModelIndex]) -> QMimeData:  # noqa: N802
        """Return the ids of the dragged cells, and of which image they are."""
        cells = sorted({index.row() for index in indexes if index.isValid()})
        return cells_mime(self._session, [self._queue[row] for row in cells])

    # --- what the view asks ------------------------------------------------------------------

    def cell_at(self, row: int) -> int:
        """Return the id of the cell in a row."""
        return self._queue[row]

    def row_of(self, cell: int) -> int:
        """Return the row of a cell, -1 if it is not in the queue."""
        return self._rows.get(cell, -1)

    def shown(self, cell: int) -> DisplayedClass:
        """Return the class, its confidence, and whether it was annotated."""
        return self._known.of(cell)

    @property
    def _known(self) -> _CellClasses:
        """What is known now; put together when an item in sight is painted."""
        return self._session.derived("gallery", lambda: _cell_classes(self._session))

    def show_queue(self, cells: Sequence[int], *, current: bool = True) -> None:
        """Show a new queue: the cells that pass the filter now.

        Parameters
        ----------
        current
            Whether the queue is up to date; otherwise it can be refreshed at once.
        """
        self.beginResetModel()
        if self.only == PROPOSED:
            position = self._known.position
            self._queue = [cell for cell in cells if cell in position]
        elif self.only == ALL_CELLS:
            self._queue = list(cells)
        else:
            known = self._known
            self._queue = [cell for cell in cells if self._passes(known.of(cell))]
        self._rows = {cell: row for row, cell in enumerate(self._queue)}
        self.endResetModel()
        self._set_outdated(outdated=not current)

    def clear(self) -> None:
        """Show nothing until the next refresh: the earlier cells were replaced."""
        self.beginResetModel()
        self._queue, self._rows = [], {}
        self.endResetModel()

    # --- updaters ----------------------------------------------------------------------------

    def _update_names(self) -> None:
        is_open = self._session.history is not None
        classes = self._session.palette.classes if is_open else ()
        self._names = {
            cell_class.id: (cell_class.name, QColor(cell_class.colour)) for cell_class in classes
        }
        self._names[UNKNOWN] = ("unknown", QColor(UNKNOWN_COLOUR))
        self._repaint()

    def _update_shown(self) -> None:
        self._update_labelled(())

    def _update_labelled(self, cells: tuple[int, ...]) -> None:
        """Show what is known now; what is known of other cells than these is as before."""
        self._set_outdated(outdated=True)
        self._repaint(cells)

    def _drop(self, change: CellsChange) -> None:
        """Remove deleted cells from the queue; new cells come with the next refresh."""
        for cell in change.deleted:
            row = self._rows.get(cell)
            if row is not None:
                self.beginRemoveRows(QModelIndex(), row, row)
                del self._queue[row]
                self._rows = {
                    queued_cell: position for position, queued_cell in enumerate(self._queue)
                }
                self.endRemoveRows()
        self._update_shown()

    def _set_outdated(self, *, outdated: bool) -> None:
        if outdated != self.outdated:
            self.outdated = outdated
            self.outdated_changed.emit(outdated)

    def _repaint(self, cells: tuple[int, ...] = ()) -> None:
        if self._queue:
            self.appearance_changed.emit(cells)

    def _passes(self, displayed: DisplayedClass) -> bool:
        if self.only == ANNOTATED:
            return displayed.annotated
        return self.only in (ALL_CELLS, displayed.class_id or UNCLASSIFIED)

    # --- what an item shows ------------------------------------------------------------------

    def _text(self, cell: int) -> str:
        class_id, confidence, annotated = self.shown(cell)
        name, _ = self._names.get(class_id or "", ("", None))
        prediction = self._session.prediction
        few = prediction is not None and prediction.too_few
        if not name or annotated or few or class_id == UNKNOWN:
            return name
        return f"{name}{format_confidence(confidence)}"

    def _colour(self, cell: int) -> QColor | None:
        return self._names.get(self.shown(cell).class_id or "", ("", None))[1]

    def _tip(self, cell: int) -> str:
        displayed = self.shown(cell)
        what = self._text(cell) or "not classified yet"
        if displayed.class_id == UNKNOWN:
            what = "unknown, unlike all annotated cells"
        size = _format_picture(self._session.cells, cell)
        return plain_tip(f"Cell {cell}: {what}{' (yours)' if displayed.annotated else ''}{size}")


def _cell_classes(session: Session) -> _CellClasses:
    """Return what is known of each cell of the image now."""
    cells = session.cells
    if cells is None:
        return _CellClasses({}, [], [], {})
    return _CellClasses(
        cells.position, session.known_classes, session.confidences, session.annotated
    )


def _format_picture(cells: Cells | None, cell: int) -> str:
    """Return the file of a picture, or the height and width of a cell's box, as text."""
    if cells is None or cell not in cells.position:
        return ""
    if "file" in cells.table:
        return f", {cells.table['file'].iloc[cells.position[cell]]}"
    min_row, min_col, max_row, max_col = cells.boxes[cells.position[cell]].tolist()
    return f", {max_row - min_row} × {max_col - min_col} px"
