"""The buttons that correct a detection, used in two steps of the dock."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.widgets import theme
from napari_hemacells.widgets.plain_text import PlainLabel, elided, literal, plain_tip

_ADD = (
    "Add a missed cell: press, then click the cell in the image. Or point at it and press "
    "A, or Alt-click it at any time."
)
_DELETE = "Delete the chosen cells. Detecting again will not find a cell here (Del)"
_SPLIT = (
    "Split a cell in two. Chosen cells are split at once; otherwise press, then click a "
    "cell or draw a line across it. Or point at it and press S."
)
_MERGE = "Merge the chosen cells into one (M)"
_LABEL = (
    "Off: an added cell has no class. On: it is given the active class of Annotate, in the "
    "same undoable step."
)
_NO_CELLS = "There are no cells yet: detect them first."
_CHOOSE_ONE = "Choose cells first: Shift-click them. Or point at one and press Del."
_CHOOSE_TWO = "Choose two cells or more first: Shift-click each of them."
_HINTS: dict[str, str] = {
    "add": "Click each missed cell. Esc when done.",
    "split": "Click a cell, or draw a line across it. Esc when done.",
}


class EditState(NamedTuple):
    """The state that the buttons depend on."""

    has_cells: bool
    tool: Tool
    chosen: int
    with_class: bool
    class_name: str
    tally: str
    can_undo: bool


class EditBar(QWidget):
    """Buttons to add, delete, split and merge cells.

    Signals
    -------
    tool_requested
        Select a tool: ``"add"`` or ``"split"``; ``""`` for none.
    action_requested
        Do this to the chosen cells: ``"delete"``, ``"split"``, ``"merge"`` or ``"undo"``.
    with_class_toggled
        Whether added cells are given the active class.
    """

    tool_requested = Signal(str)
    action_requested = Signal(str)
    with_class_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None, *, undo: bool = False) -> None:
        super().__init__(parent)
        self.add_button = _button("Add", _ADD, checkable=True)
        self.delete_button = _button("Delete", _DELETE)
        self.split_button = _button("Split", _SPLIT, checkable=True)
        self.merge_button = _button("Merge", _MERGE)
        self.undo_button = _button("↶", "Undo the last step (Ctrl+Z)")
        self.undo_button.setAccessibleName("Undo")
        self.undo_button.setVisible(undo)
        self.with_class = QCheckBox()
        self.with_class.setToolTip(_LABEL)
        self.hint = PlainLabel()
        self.hint.setWordWrap(True)
        self._chosen = 0
        self._lay_out()
        self._connect()
        self.show_state(EditState(False, "", 0, False, "", "", False))

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(4)
        buttons = (self.add_button, self.delete_button, self.split_button, self.merge_button)
        for button in buttons:
            row.addWidget(button, 1)
        row.addWidget(self.undo_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.with_class)
        column.addWidget(self.hint)

    def _connect(self) -> None:
        self.add_button.clicked.connect(self._add)
        self.split_button.clicked.connect(self._split)
        self.delete_button.clicked.connect(self._delete)
        self.merge_button.clicked.connect(self._merge)
        self.undo_button.clicked.connect(self._undo)
        self.with_class.clicked.connect(self.with_class_toggled)

    def show_state(self, state: EditState) -> None:
        """Update the buttons and their tooltips."""
        self._chosen = state.chosen
        self.add_button.setChecked(state.tool == "add")
        self.split_button.setChecked(state.tool == "split")
        for button, tip, missing in (
            (self.add_button, _ADD, ""),
            (self.split_button, _SPLIT, ""),
            (self.delete_button, _DELETE, "" if state.chosen else _CHOOSE_ONE),
            (self.merge_button, _MERGE, "" if state.chosen > 1 else _CHOOSE_TWO),
        ):
            reason = missing if state.has_cells else _NO_CELLS
            button.setEnabled(not reason)
            button.setToolTip(reason or tip)
        self.undo_button.setEnabled(state.can_undo)
        name = elided(state.class_name)
        self.with_class.setText(f"Give added cells the class {literal(name) or '(none active)'}")
        whole = "" if name == state.class_name else f"{state.class_name}. "
        self.with_class.setToolTip(plain_tip(whole + _LABEL))
        self.with_class.setEnabled(state.has_cells and bool(state.class_name))
        self.with_class.setChecked(state.with_class)
        self.hint.setText(_HINTS.get(state.tool) or _format_selection(state.chosen) or state.tally)
        self.hint.setVisible(bool(self.hint.text()))

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        theme.mute_text(self.hint)

    def _add(self, pressed: bool) -> None:
        self.tool_requested.emit("add" if pressed else "")

    def _split(self, pressed: bool) -> None:
        if self._chosen:
            self.split_button.setChecked(False)
            self.action_requested.emit("split")
        else:
            self.tool_requested.emit("split" if pressed else "")

    def _delete(self) -> None:
        self.action_requested.emit("delete")

    def _merge(self) -> None:
        self.action_requested.emit("merge")

    def _undo(self) -> None:
        self.action_requested.emit("undo")


def _format_selection(chosen: int) -> str:
    if not chosen:
        return ""
    return f"{chosen} cell{'s' if chosen > 1 else ''} chosen. Esc to clear."


def _button(text: str, tip: str, *, checkable: bool = False) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setCheckable(checkable)
    button.setMinimumWidth(24)
    button.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
    return button


Tool: TypeAlias = Literal["", "add", "split"]
