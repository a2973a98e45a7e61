"""Crops of a training, from their files: a click goes to the cell on its slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QListView, QListWidget, QListWidgetItem, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qtpy.QtGui import QKeyEvent, QResizeEvent

SIDE = 64
MOST = 200  # icons; more are not looked through one by one
_LINES = 2  # of crops in sight
_BAR = 16  # pixels of the scroll bar
_KEY = Qt.ItemDataRole.UserRole


class CropList(QListWidget):
    """Crops with a line below each.

    Signals
    -------
    chosen
        What the cell is called in the training's tables.
    """

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setIconSize(QSize(SIDE, SIDE))
        self.setGridSize(QSize(SIDE + 30, SIDE + 40))
        self.setWordWrap(True)
        self.setUniformItemSizes(True)
        self.setAccessibleName("Crops; Enter goes to the cell on the slide")
        self.currentItemChanged.connect(self._tell)
        self.itemClicked.connect(self._tell)

    def show_crops(self, crops: Sequence[tuple[str, Path, str, str]]) -> None:
        """Show crops: name, file, a line below, a tooltip; none is chosen."""
        self.blockSignals(True)
        self.clear()
        for key, path, words, tip in crops[:MOST]:
            item = QListWidgetItem(QIcon(str(path)), words)
            item.setData(_KEY, key)
            item.setToolTip(tip)
            self.addItem(item)
        self.setCurrentRow(-1)
        self.blockSignals(False)
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Be as high as the lines of crops are now."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        across = max(1, (self.width() - _BAR) // self.gridSize().width())
        lines = min(_LINES, -(-self.count() // across))
        self.setFixedHeight(max(1, lines) * self.gridSize().height() + 6)

    def mark(self, row: int) -> None:
        """Choose a crop without going to its cell."""
        self.blockSignals(True)
        self.setCurrentRow(row)
        self.blockSignals(False)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Arrows move here; class keys go on to the dock, which gives the cell its class."""
        if event is not None and event.text().isprintable() and event.text():
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _tell(self, item: QListWidgetItem | None, _before: object = None) -> None:
        if item is not None:
            self.chosen.emit(str(item.data(_KEY)))
