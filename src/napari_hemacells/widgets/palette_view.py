"""The class palette: one table row a class, and a small bar to add and delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import (
    QColorDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.widgets.palette_model import PaletteModel
from napari_hemacells.widgets.palette_table import PaletteTable
from napari_hemacells.widgets.subscriptions import Subscriptions

if TYPE_CHECKING:
    from qtpy.QtCore import QPoint
    from qtpy.QtGui import QKeyEvent

    from napari_hemacells.core.annotate import CellClass
    from napari_hemacells.session import Session


class PaletteView(QWidget):
    """Classes with colour, name, key and counts; the active one is the tinted row.

    By keyboard: arrows move, Enter activates, F2 renames, Ins adds, Del deletes, the menu key
    opens the rest.

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
        self.add_button = QPushButton("&Add class")
        self.delete_button = QPushButton("&Delete")
        self.name_edit = NameEdit(self)
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
        self.add_button.clicked.connect(self.ask_name)
        self.delete_button.clicked.connect(self.delete_current)
        self.name_edit.returnPressed.connect(self._add_named)
        self.name_edit.cancelled.connect(self._stop_asking)
        self.table.activate_requested.connect(self._activate)
        self.table.add_requested.connect(self.ask_name)
        self.table.delete_requested.connect(self.delete_current)
        self.table.colour_requested.connect(self.ask_colour)
        self.table.key_menu_requested.connect(self._pop_up_keys)
        self.table.menu_requested.connect(self._pop_up_menu)

    # --- user input --------------------------------------------------------------------------

    def ask_name(self) -> None:
        """Open the line for the name of a new class."""
        self.name_edit.clear()
        self.name_edit.show()
        self.name_edit.setFocus()

    def ask_colour(self) -> None:
        """Let the user choose another colour for the current class."""
        one = self.table.current_class()
        if one is None:
            return
        before = self.table.colour_of(one)
        colour = QColorDialog.getColor(before, self, f"Colour of {one.name}")
        if colour.isValid() and colour != before:
            name = colour.name()
            self.model.attempt(lambda: self._session.recolour_class(one.id, name))

    def delete_current(self) -> None:
        """Delete the current class, after a question where it has annotations."""
        one = self.table.current_class()
        if one is not None and self._is_sure(one):
            self.model.attempt(lambda: self._session.delete_class(one.id))

    def key_menu(self, title: str = "&Key") -> QMenu:
        """Return a menu of the keys 1 to 9 for the current class; taken ones say by whom."""
        menu = QMenu(title, self)
        one = self.table.current_class()
        if one is None:
            return menu
        for key in (*range(1, 10), None):
            holder = None if key is None else self.model.holder_of(key)
            other = holder is not None and holder.id != one.id
            text = "No key" if key is None else f"&{key}"
            action = QAction(f"{text}   now {holder.name}" if other and holder else text, menu)
            action.setCheckable(True)
            action.setChecked(one.key == key)
            action.setData(key)
            menu.addAction(action)
        menu.triggered.connect(self._set_key)
        return menu

    def _set_key(self, action: QAction) -> None:
        one = self.table.current_class()
        key = action.data()
        if one is not None and key != one.key:
            self.model.attempt(lambda: self._session.set_class_key(one.id, key))

    def _add_named(self) -> None:
        name = self.name_edit.text()
        if self.model.attempt(lambda: self._session.add_class(name)):
            self._stop_asking()
        else:
            self.name_edit.selectAll()

    def _stop_asking(self) -> None:
        self.name_edit.hide()
        self.table.setFocus()

    def _activate(self, class_id: str) -> None:
        self._session.active_class = class_id

    def _is_sure(self, one: CellClass) -> bool:
        count = self.model.annotations_of(one.id)
        if count == 0:
            return True
        what = "1 annotation goes" if count == 1 else f"{count:,} annotations go"
        button = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self,
            "Delete a class",
            f"Delete the class “{one.name}”? {what} with it. Undo brings everything back.",
            button.Yes | button.Cancel,
            button.Cancel,
        )
        return bool(answer == button.Yes)

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
        menu.addSeparator()
        menu.addAction("&Delete\tDel", self.delete_current)
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
    """A line for a name that Escape closes.

    Signals
    -------
    cancelled
        Escape was pressed.
    """

    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText("Name of the new class, then Enter")

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Cancel at Escape; everything else is typing."""
        if event is not None and event.key() == Qt.Key.Key_Escape:
            self.cancelled.emit()
            return
        super().keyPressEvent(event)
