"""Crops with captions, to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QListView, QListWidget, QListWidgetItem

from napari_hemacells.widgets.plain_text import plain_tip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from qtpy.QtGui import QKeyEvent, QResizeEvent
    from qtpy.QtWidgets import QWidget

SIDE = 64
MAX_CROPS = 200  # icons; more are not looked through one by one
_LINES = 2  # of crops in sight
_BAR = 16  # pixels of the scroll bar
_KEY = Qt.ItemDataRole.UserRole


class CropList(QListWidget):
    """Crops with a caption.

    Signals
    -------
    chosen
        The name of the cell in the tables of the training.
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
        """Show crops: name, file, caption, tooltip; none is chosen."""
        self.blockSignals(True)
        self.clear()
        for key, path, words, tip in crops[:MAX_CROPS]:
            item = QListWidgetItem(QIcon(str(path)), words)
            item.setData(_KEY, key)
            item.setToolTip(plain_tip(tip))
            self.addItem(item)
        self.setCurrentRow(-1)
        self.blockSignals(False)
        self._fit()

    def show_pictures(self, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Show other pictures, ``(rows, cols, 3)``, of crops by name; the others stay."""
        for row in range(self.count()):
            item = self.item(row)
            picture = None if item is None else pictures.get(str(item.data(_KEY)))
            if item is not None and picture is not None:
                rows, cols = picture.shape[:2]
                form = QImage.Format.Format_RGB888
                borrowed = QImage(picture.tobytes(), cols, rows, 3 * cols, form)
                item.setIcon(QIcon(QPixmap.fromImage(borrowed.copy())))

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Set the height to that of the crops."""
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
        """Use arrow keys here; leave class keys to the dock, which annotates the cell."""
        if event is not None and event.text().isprintable() and event.text():
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _tell(self, item: QListWidgetItem | None, _before: object = None) -> None:
        if item is not None:
            self.chosen.emit(str(item.data(_KEY)))
