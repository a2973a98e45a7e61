"""The class palette: a table of the classes, and buttons to add and delete them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from qtpy.QtCore import QModelIndex, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QAction, QColor, QPainter, QPen
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMenu,
    QMessageBox,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.annotate.class_table import read_class_table, write_class_table
from napari_hemacells.widgets.palette.model import (
    ACTIVE_ROLE,
    ANNOTATED,
    COLOUR,
    COLOUR_ROLE,
    KEY,
    NAME,
    PREDICTED,
    WITHIN_ROLE,
    PaletteModel,
)
from napari_hemacells.widgets.plain_text import literal, plain_tip
from napari_hemacells.widgets.subscriptions import Subscriptions

if TYPE_CHECKING:
    from qtpy.QtCore import QPoint
    from qtpy.QtGui import QContextMenuEvent, QDropEvent, QKeyEvent

    from napari_hemacells.core.annotate import CellClass
    from napari_hemacells.session import Session

ROW_HEIGHT, SHOWN_ROWS = 26, (3, 9)
TABLES = "Tables (*.csv *.tsv *.txt)"
INDENT = 16  # pixels before the name of a class within another
TINT, _CHOSEN = 75, 20  # of 255: the active class's colour, the text's colour, behind a row


class PaletteTable(QTableView):
    """The table of classes. It changes nothing itself; every request is a signal.

    Signals
    -------
    activate_requested
        Class id: Enter, or a click on its name or counts.
    add_requested, delete_requested
        Ins, Del.
    colour_requested
        A click on the swatch of the current row.
    key_menu_requested, menu_requested
        Where on the screen to open the menu for the current row.
    within_requested
        Class ids: a row was dragged onto another one; ``None`` onto the empty part.
    """

    activate_requested = Signal(str)
    add_requested = Signal()
    delete_requested = Signal()
    colour_requested = Signal()
    key_menu_requested = Signal(object)
    menu_requested = Signal(object)
    within_requested = Signal(str, object)

    def __init__(self, model: PaletteModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._classes = model
        self.setModel(model)
        self.setItemDelegate(ClassRow(self))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)  # Tab goes on to the buttons
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragDrop)
        self.setDragDropOverwriteMode(False)
        self.setDefaultDropAction(Qt.DropAction.CopyAction)  # Qt itself removes no row
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Classes")
        self._set_up_headers()
        self.clicked.connect(self._on_click)
        model.modelReset.connect(self.updateGeometry)

    def _set_up_headers(self) -> None:
        rows = QHeaderView(Qt.Orientation.Vertical, self)
        columns = self._titles = QHeaderView(Qt.Orientation.Horizontal, self)
        self.setVerticalHeader(rows)
        self.setHorizontalHeader(columns)
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(ROW_HEIGHT)
        columns.setMinimumSectionSize(24)
        columns.setHighlightSections(False)
        for column, width in ((COLOUR, 30), (KEY, 34), (ANNOTATED, 69), (PREDICTED, 67)):
            columns.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            self.setColumnWidth(column, width)
        columns.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)

    # --- what the palette asks ---------------------------------------------------------------

    def current_class(self) -> CellClass | None:
        """Return the class of the current row, ``None`` without one."""
        return self._classes.class_at(self.currentIndex().row())

    def colour_of(self, cell_class: CellClass) -> QColor:
        """Return the colour of a class."""
        return QColor(cell_class.colour)

    def select_row(self, row: int) -> None:
        """Select the row; none for -1."""
        self.setCurrentIndex(self._classes.index(row, NAME) if row >= 0 else QModelIndex())

    def rename_current(self) -> None:
        """Edit the name of the current class."""
        index = self.currentIndex().siblingAtColumn(NAME)
        if index.isValid():
            self.edit(index)

    # --- Qt ----------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a size that shows every class, up to nine."""
        least, most = SHOWN_ROWS
        rows = min(max(self._classes.rowCount(), least), most)
        header = self._titles.sizeHint().height()
        return QSize(340, header + rows * ROW_HEIGHT + 2 * self.frameWidth())

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return a size with room for three classes."""
        hint = self.sizeHint()
        most = self._titles.sizeHint().height() + SHOWN_ROWS[0] * ROW_HEIGHT
        return QSize(240, min(hint.height(), most + 2 * self.frameWidth()))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Emit requests for keys; Qt handles the arrows, the dock letters and digits."""
        if event is None:
            return
        if self.state() == QAbstractItemView.State.EditingState:
            super().keyPressEvent(event)  # Return ends the editor, then comes here
            return
        key, cell_class = event.key(), self.current_class()
        if (
            key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)
            and cell_class is not None
        ):
            self.activate_requested.emit(cell_class.id)
        elif key == Qt.Key.Key_F2:
            self.rename_current()
        elif key == Qt.Key.Key_Insert:
            self.add_requested.emit()
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_requested.emit()
        elif event.text().isalnum():
            event.ignore()  # Qt would search for a class of that name
        else:
            super().keyPressEvent(event)

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        """Request that the dragged class be within the one it was dropped on."""
        moved = self.current_class()
        if event is None or moved is None or event.source() is not self:
            return
        target = self._classes.class_at(self.rowAt(event.position().toPoint().y()))
        kind = None if target is None else target.parent or target.id
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        if kind != moved.id:
            self.within_requested.emit(moved.id, kind)

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:  # noqa: N802
        """Request the menu of the row under the mouse, or by keyboard of the current row."""
        if event is None or self.current_class() is None:
            return
        row = self.visualRect(self.currentIndex())
        by_mouse = event.reason() == event.Reason.Mouse
        where = event.globalPos() if by_mouse else self._on_screen(row.bottomLeft())
        self.menu_requested.emit(where)

    def _on_click(self, index: QModelIndex) -> None:
        cell_class = self._classes.class_at(index.row())
        if cell_class is None:
            return
        if index.column() == COLOUR:
            self.colour_requested.emit()
        elif index.column() == KEY:
            self.key_menu_requested.emit(self._on_screen(self.visualRect(index).bottomLeft()))
        else:
            self.activate_requested.emit(cell_class.id)

    def _on_screen(self, point: QPoint) -> QPoint:
        return cast("QWidget", self.viewport()).mapToGlobal(point)


class ClassRow(QStyledItemDelegate):
    """Paints the colour swatches and tints the row of the active class."""

    def setEditorData(self, editor: QWidget | None, index: QModelIndex) -> None:  # noqa: N802
        """Fill an editor once: new counts must not overwrite a name that is being typed."""
        if not (isinstance(editor, QLineEdit) and editor.isModified()):
            super().setEditorData(editor, index)

    def updateEditorGeometry(  # noqa: N802
        self, editor: QWidget | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Put an editor where the name is."""
        if editor is not None:
            indent = INDENT if index.data(WITHIN_ROLE) else 0
            editor.setGeometry(option.rect.adjusted(indent, 0, 0, 0))

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Paint one cell of the table."""
        if painter is None:
            return
        colour, text = QColor(index.data(COLOUR_ROLE)), option.palette.text().color()
        active = bool(index.data(ACTIVE_ROLE))
        plain = QStyleOptionViewItem(option)
        plain.state &= ~QStyle.StateFlag.State_HasFocus  # rows are chosen, not single cells
        if active:
            painter.fillRect(option.rect, option.palette.base())  # over the mark of a chosen row
            painter.fillRect(option.rect, _faded(colour, TINT))
            if plain.state & QStyle.StateFlag.State_Selected:
                painter.fillRect(option.rect, _faded(text, _CHOSEN))
            plain.state &= ~QStyle.StateFlag.State_Selected  # would cover the tint
        if index.column() == NAME and index.data(WITHIN_ROLE):
            plain.rect = plain.rect.adjusted(INDENT, 0, 0, 0)
        super().paint(painter, plain, index)
        if index.column() == COLOUR:
            _paint_swatch(painter, QRectF(option.rect), colour, text)
            if active:
                bar = option.rect.adjusted(0, 0, 4 - option.rect.width(), 0)
                painter.fillRect(bar, colour)


def _paint_swatch(painter: QPainter, cell: QRectF, colour: QColor, text: QColor) -> None:
    """Paint a rounded square; its thin border keeps black visible on dark."""
    side = 14.0
    swatch = QRectF(0, 0, side, side)
    swatch.moveCenter(cell.center())
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(_faded(text, 140), 1))
    painter.setBrush(colour)
    painter.drawRoundedRect(swatch, 3, 3)
    painter.restore()


def _faded(colour: QColor, alpha: int) -> QColor:
    faded = QColor(colour)
    faded.setAlpha(alpha)
    return faded


class PaletteView(QWidget):
    """Classes with colour, name, key and counts; the active one is the tinted row.

    A class within another one is shown below it, indented; its menu, or dragging its row, says
    within which. By keyboard: arrows move, Enter activates, F2 renames, Ins adds, Del deletes,
    the menu key opens the rest.

    Signals
    -------
    refused
        Why a change was not made, as a sentence.
    """

    refused = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.model = PaletteModel(session, self)
        self.table = PaletteTable(self.model, self)
        self.add_button = QPushButton("Add class")
        self.delete_button = QPushButton("Delete")
        self.name_edit = NameEdit(self)
        self._new_within: str | None = None
        self._lay_out()
        self._connect()
        self._subscriptions = Subscriptions(self)
        for signal in (session.events.project, session.events.palette):
            self._subscriptions.add(signal, self._follow_palette)
        self._subscriptions.add(session.events.active_class, self._follow_active)
        self._follow_palette()

    def _lay_out(self) -> None:
        self.add_button.setToolTip("Add a class (Ins)")
        self.delete_button.setToolTip("Delete the selected class and its annotations (Del)")
        self.name_edit.hide()
        bar = QHBoxLayout()
        bar.addWidget(self.add_button, 1)
        bar.addWidget(self.delete_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.table)
        layout.addWidget(self.name_edit)
        layout.addLayout(bar)

    def _connect(self) -> None:
        self.model.refused.connect(self.refused)
        self.add_button.clicked.connect(self._ask_new)
        self.delete_button.clicked.connect(self.delete_current)
        self.name_edit.returnPressed.connect(self._add_named)
        self.name_edit.cancelled.connect(self._stop_asking)
        self.table.activate_requested.connect(self._activate)
        self.table.add_requested.connect(self._ask_new)
        self.table.within_requested.connect(self._set_within)
        self.table.delete_requested.connect(self.delete_current)
        self.table.colour_requested.connect(self.ask_colour)
        self.table.key_menu_requested.connect(self._pop_up_keys)
        self.table.menu_requested.connect(self._pop_up_menu)

    # --- user input --------------------------------------------------------------------------

    def ask_name(self, within: CellClass | None = None) -> None:
        """Show the name field for a new class, within another one if given."""
        self._new_within = None if within is None else within.id
        self.name_edit.ask(within)
        self.name_edit.clear()
        self.name_edit.show()
        self.name_edit.setFocus()

    def ask_colour(self) -> None:
        """Open a dialog for the colour of the current class."""
        cell_class = self.table.current_class()
        if cell_class is None:
            return
        before = self.table.colour_of(cell_class)
        colour = QColorDialog.getColor(before, self, f"Colour of {cell_class.name}")
        if colour.isValid() and colour != before:
            name = colour.name()
            self.model.attempt(lambda: self._session.recolour_class(cell_class.id, name))

    def ask_table(self) -> None:
        """Ask for a table of classes and take them over."""
        chosen, _ = QFileDialog.getOpenFileName(self, "Read classes", "", TABLES)
        if chosen:
            self.model.attempt(lambda: self._session.read_classes(read_class_table(Path(chosen))))

    def ask_where_to_save(self) -> None:
        """Ask for a file and write the classes into it as a table."""
        chosen, _ = QFileDialog.getSaveFileName(self, "Save classes", "classes.csv", TABLES)
        if chosen:
            palette = self._session.palette
            self.model.attempt(lambda: write_class_table(Path(chosen), palette))

    def delete_current(self) -> None:
        """Delete the current class, after a question if it has annotations."""
        cell_class = self.table.current_class()
        if cell_class is not None and self._is_sure(cell_class):
            self.model.attempt(lambda: self._session.delete_class(cell_class.id))

    def key_menu(self, title: str = "&Key") -> QMenu:
        """Return a menu of the keys 1 to 9, with the classes that use them."""
        menu = QMenu(title, self)
        cell_class = self.table.current_class()
        if cell_class is None:
            return menu
        for key in (*range(1, 10), None):
            holder = None if key is None else self.model.holder_of(key)
            other = holder is not None and holder.id != cell_class.id
            text = "No key" if key is None else f"&{key}"
            action = QAction(
                f"{text}   now {literal(holder.name)}" if other and holder else text, menu
            )
            action.setCheckable(True)
            action.setChecked(cell_class.key == key)
            action.setData(key)
            menu.addAction(action)
        menu.triggered.connect(self._set_key)
        return menu

    def _set_key(self, action: QAction) -> None:
        cell_class = self.table.current_class()
        key = action.data()
        if cell_class is not None and key != cell_class.key:
            self.model.attempt(lambda: self._session.set_class_key(cell_class.id, key))

    def _add_named(self) -> None:
        name = self.name_edit.text()
        within = self._new_within
        if self.model.attempt(lambda: self._session.add_class(name, parent=within)):
            self._stop_asking()
        else:
            self.name_edit.selectAll()

    def _ask_new(self) -> None:
        self.ask_name()

    def _ask_inside(self) -> None:
        self.ask_name(self.table.current_class())

    def _choose_within(self, action: QAction) -> None:
        cell_class = self.table.current_class()
        if cell_class is not None:
            self._set_within(cell_class.id, action.data())

    def _set_within(self, class_id: str, kind: str | None) -> None:
        self.model.attempt(lambda: self._session.set_class_parent(class_id, kind))

    def _stop_asking(self) -> None:
        self.name_edit.hide()
        self.table.setFocus()

    def _activate(self, class_id: str) -> None:
        self._session.active_class = class_id

    def _is_sure(self, cell_class: CellClass) -> bool:
        count = self.model.annotations_of(cell_class.id)
        if count == 0:
            return True
        what = "1 annotation" if count == 1 else f"{count:,} annotations"
        inside = len(self.model.within(cell_class.id))
        stay = " The classes within it stay." if inside else ""
        button = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self,
            "Delete a class",
            plain_tip(
                f"Delete the class “{cell_class.name}” and {what}?{stay} Undo restores both."
            ),
            button.Yes | button.Cancel,
            button.Cancel,
        )
        return bool(answer == button.Yes)

    def within_menu(self, title: str = "&Within") -> QMenu:
        """Return a menu of the classes that the current one can be within."""
        menu = QMenu(title, self)
        cell_class = self.table.current_class()
        if cell_class is None:
            return menu
        kinds = [kind for kind in self.model.kinds() if kind.id != cell_class.id]
        for kind in (None, *kinds):
            action = QAction("No other class" if kind is None else literal(kind.name), menu)
            action.setCheckable(True)
            action.setChecked(cell_class.parent == (None if kind is None else kind.id))
            action.setData(None if kind is None else kind.id)
            # Of two levels only: one with classes within it stays above.
            action.setEnabled(kind is None or not self.model.within(cell_class.id))
            menu.addAction(action)
        menu.triggered.connect(self._choose_within)
        return menu

    # --- menus -------------------------------------------------------------------------------

    def _pop_up_keys(self, where: QPoint) -> None:
        menu = self.key_menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(where)

    def _pop_up_menu(self, where: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("&Rename\tF2", self.table.rename_current)
        menu.addAction("&Colour…", self.ask_colour)
        menu.addMenu(self.key_menu())
        menu.addMenu(self.within_menu())
        cell_class = self.table.current_class()
        if cell_class is not None and cell_class.parent is None:
            menu.addAction("Add a class &inside…", self._ask_inside)
        menu.addSeparator()
        menu.addAction("&Delete\tDel", self.delete_current)
        menu.addSeparator()
        menu.addAction("Read classes from a &table…", self.ask_table)
        menu.addAction("&Save classes as a table…", self.ask_where_to_save)
        menu.popup(where)

    # --- updaters ----------------------------------------------------------------------------

    def _follow_palette(self) -> None:
        if not self.table.currentIndex().isValid():  # the rows were made anew
            self._follow_active(self._session.active_class)
        is_open = self._session.history is not None
        self.add_button.setEnabled(is_open)
        self.delete_button.setEnabled(self.model.rowCount() > 0)
        self.table.setEnabled(is_open)

    def _follow_active(self, class_id: str | None) -> None:
        self.table.select_row(self.model.row_of(class_id))


class NameEdit(QLineEdit):
    """A name field that Escape closes.

    Signals
    -------
    cancelled
        Escape was pressed.
    """

    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Name of the class")
        self.ask(None)

    def ask(self, within: CellClass | None) -> None:
        """Say what is asked for: a class, or one within another."""
        what = "new class" if within is None else f"class within {within.name}"
        self.setPlaceholderText(f"Type the name of the {what}, then press Enter")

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Cancel at Escape; all other keys are text."""
        if event is not None and event.key() == Qt.Key.Key_Escape:
            self.cancelled.emit()
            return
        super().keyPressEvent(event)
