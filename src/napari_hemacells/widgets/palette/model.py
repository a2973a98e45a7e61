"""The session's classes as a Qt table: one row per class, with live counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor, QFont

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.widgets.plain_text import plain_tip
from napari_hemacells.widgets.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtCore import QObject

    from napari_hemacells.core.annotate import CellClass
    from napari_hemacells.session import Session

COLOUR, NAME, KEY, ANNOTATED, PREDICTED = range(5)
COLOUR_ROLE = Qt.ItemDataRole.UserRole + 1
ACTIVE_ROLE = Qt.ItemDataRole.UserRole + 2
WITHIN_ROLE = Qt.ItemDataRole.UserRole + 3

_HEADERS = ("", "Class", "Key", "Annotated", "Predicted")
_HEADER_TIPS = (
    "Colour: click to change",
    "Double-click or F2 to rename",
    "The key that gives this class; click to change",
    "Cells of this image that you gave this class, or one within it",
    "Other cells of this image with this predicted class, or one within it",
)


class PaletteModel(QAbstractTableModel):
    """The session's palette and counts; edits call the session, whose events update the table.

    Signals
    -------
    refused
        Why the session refused a change, as a sentence.
    """

    refused = Signal(str)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._classes: tuple[CellClass, ...] = ()
        self._getters: dict[int, Callable[[CellClass, int], Any]] = {
            Qt.ItemDataRole.DisplayRole: self._text,
            Qt.ItemDataRole.EditRole: self._text,
            Qt.ItemDataRole.ToolTipRole: self._tip,
            Qt.ItemDataRole.FontRole: self._font,
            Qt.ItemDataRole.TextAlignmentRole: self._alignment,
            COLOUR_ROLE: self._colour,
            ACTIVE_ROLE: self._is_active,
            WITHIN_ROLE: self._is_within,
        }
        self._subscriptions = Subscriptions(self)
        events = session.events
        self._subscriptions.add(events.project, self._reload)
        self._subscriptions.add(events.palette, self._reload)
        for signal in (
            events.image, events.cells, events.corrected, events.annotations, events.prediction,
        ):  # fmt: skip
            self._subscriptions.add(signal, self._repaint)
        self._subscriptions.add(events.active_class, self._repaint)
        self._reload()

    # --- what Qt asks ------------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        """Return the number of classes."""
        return 0 if parent.isValid() else len(self._classes)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802
        """Return the number of columns: colour, name, key and two counts."""
        return 0 if parent.isValid() else len(_HEADERS)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Return the item flags: names are edited in place, rows are dragged onto others."""
        base = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        base |= Qt.ItemFlag.ItemIsDragEnabled | Qt.ItemFlag.ItemIsDropEnabled
        return base | Qt.ItemFlag.ItemIsEditable if index.column() == NAME else base

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return a column's title, or its tooltip."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return _HEADERS[section]
        return _HEADER_TIPS[section] if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the data of a class in one column."""
        getter = self._getters.get(role) if index.isValid() else None
        return None if getter is None else getter(self._classes[index.row()], index.column())

    def setData(  # noqa: N802
        self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        """Rename the class and return whether the session accepted the name."""
        if role != Qt.ItemDataRole.EditRole or index.column() != NAME:
            return False
        cell_class = self._classes[index.row()]
        if str(value).strip() == cell_class.own_name:
            return True
        return self.attempt(lambda: self._session.rename_class(cell_class.id, str(value)))

    # --- what the view asks ------------------------------------------------------------------

    def class_at(self, row: int) -> CellClass | None:
        """Return the class in a row, ``None`` if there is none."""
        return self._classes[row] if 0 <= row < len(self._classes) else None

    def row_of(self, class_id: str | None) -> int:
        """Return the row of a class, -1 if it has none."""
        return next(
            (row for row, cell_class in enumerate(self._classes) if cell_class.id == class_id), -1
        )

    def holder_of(self, key: int) -> CellClass | None:
        """Return the class that has this key, ``None`` if it is free."""
        return next((cell_class for cell_class in self._classes if cell_class.key == key), None)

    def kinds(self) -> tuple[CellClass, ...]:
        """Return the classes that are within no other one, in their order."""
        return tuple(cell_class for cell_class in self._classes if cell_class.parent is None)

    def within(self, class_id: str) -> tuple[CellClass, ...]:
        """Return the classes within this one, in their order."""
        return tuple(cell_class for cell_class in self._classes if cell_class.parent == class_id)

    def annotations_of(self, class_id: str) -> int:
        """Return the number of the class's annotations in the whole project."""
        history = self._session.history
        return 0 if history is None else len(history.state.of_class(class_id))

    def attempt(self, change: Callable[[], object]) -> bool:
        """Return whether the session accepted a change; if not, `refused` says why."""
        try:
            change()
        except HemaCellsError as error:
            self.refused.emit(str(error))
            return False
        return True

    # --- updaters ----------------------------------------------------------------------------

    def _reload(self) -> None:
        is_open = self._session.history is not None
        classes = self._session.palette.classes if is_open else ()
        same_rows = [(one.id, one.parent) for one in classes] == [
            (one.id, one.parent) for one in self._classes
        ]
        if same_rows:  # keeps the current row and an open editor
            self._classes = classes
            self._repaint()
            return
        self.beginResetModel()
        self._classes = classes
        self.endResetModel()

    def _repaint(self) -> None:
        """Let the view ask anew for what it shows, if it is seen: counts are made then."""
        if self._classes:
            last = self.index(len(self._classes) - 1, len(_HEADERS) - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    # --- what a cell of the table shows -------------------------------------------------------

    def _text(self, cell_class: CellClass, column: int) -> str:
        counts = {} if self._session.history is None else self._session.counts()
        family = (cell_class, *self.within(cell_class.id))
        pairs = [counts.get(member.id, (0, 0)) for member in family]
        annotated, predicted = (sum(pair[place] for pair in pairs) for place in (0, 1))
        key = "–" if cell_class.key is None else str(cell_class.key)
        return ("", cell_class.own_name, key, f"{annotated:,}", f"{predicted:,}")[column]

    def _tip(self, cell_class: CellClass, column: int) -> str:
        if column != NAME:
            return _HEADER_TIPS[column]
        active = self._is_active(cell_class, column)
        click = "a click on a cell gives this class" if active else "click to make it active"
        return plain_tip(f"{cell_class.name}: {click}")

    def _colour(self, cell_class: CellClass, _column: int) -> QColor:
        return QColor(cell_class.colour)

    def _is_active(self, cell_class: CellClass, _column: int) -> bool:
        return cell_class.id == self._session.active_class

    def _is_within(self, cell_class: CellClass, _column: int) -> bool:
        return cell_class.parent is not None

    def _font(self, cell_class: CellClass, column: int) -> QFont | None:
        if not self._is_active(cell_class, column):
            return None
        font = QFont()
        font.setBold(True)
        return font

    def _alignment(self, _one: CellClass, column: int) -> Qt.AlignmentFlag:
        side = Qt.AlignmentFlag.AlignHCenter if column >= KEY else Qt.AlignmentFlag.AlignLeft
        return side | Qt.AlignmentFlag.AlignVCenter
