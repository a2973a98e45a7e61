"""The window with all keys and gestures (F1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QGridLayout, QWidget

from napari_hemacells.widgets.canvas.keys import ACTIONS
from napari_hemacells.widgets.plain_text import PlainLabel, heading

if TYPE_CHECKING:
    from qtpy.QtGui import QKeyEvent

_GESTURES = (
    ("Click", "give the cell the active class"),
    ("Right-click", "remove the class"),
    ("Shift+click", "choose cells, to merge, split or delete them"),
    ("Alt+click", "add a cell here"),
)


def key_entries() -> list[tuple[str, str]]:
    """The keys and what they do, one line each."""
    rest = (
        (" or ".join(action.qt_keys), action.help)
        for action in ACTIONS
        if not action.action.removeprefix("class ").isdigit()
    )
    return [("1 to 9", "give the class with this key"), *rest, ("?", "show all keys, in the dock")]


class KeyHelpDialog(QDialog):
    """All keys and mouse gestures; Esc or F1 closes it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys of HemaCells")
        grid = QGridLayout(self)
        grid.setHorizontalSpacing(18)
        for title, entries in (("Keys", key_entries()), ("Mouse on the image", _GESTURES)):
            grid.addWidget(heading(title), grid.rowCount(), 0, 1, 2)
            for key, meaning in entries:
                row = grid.rowCount()
                grid.addWidget(PlainLabel(key), row, 0)
                grid.addWidget(PlainLabel(meaning), row, 1)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Close at F1 too."""
        if event is not None and event.key() == Qt.Key.Key_F1:
            self.close()
            return
        super().keyPressEvent(event)
