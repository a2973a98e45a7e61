"""A confusion matrix whose cells can be clicked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_hemacells.widgets import theme

if TYPE_CHECKING:
    from napari_hemacells.core.train.classifier.findings import Confusion

_NAMES = 118  # pixels of the class names on the left
_ROW = 24


class ConfusionView(QTableWidget):
    """Rows: the classes that you gave; columns: those that the network says, by number.

    Signals
    -------
    cell_chosen
        The class given and the class predicted.
    """

    cell_chosen = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._confusion: Confusion | None = None
        self._normalised = False
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Confusion matrix: rows are your classes, columns the predicted")
        across, down = self.horizontalHeader(), self.verticalHeader()
        if across is not None and down is not None:
            across.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
            across.setMinimumSectionSize(22)
            down.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
            down.setDefaultSectionSize(_ROW)
            down.setFixedWidth(_NAMES)
            down.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.cellClicked.connect(self._tell)
        self.cellActivated.connect(self._tell)

    def show_confusion(self, confusion: Confusion, *, normalised: bool) -> None:
        """Show counts, or shares of each row in percent."""
        self._confusion, self._normalised = confusion, normalised
        names = confusion.classes
        self.clear()
        self.setRowCount(len(names))
        self.setColumnCount(len(names))
        self.setHorizontalHeaderLabels([str(n) for n in range(1, len(names) + 1)])
        self.setVerticalHeaderLabels([f"{n} {name}" for n, name in enumerate(names, start=1)])
        for place, name in enumerate(names):
            for header in (self.horizontalHeaderItem(place), self.verticalHeaderItem(place)):
                if header is not None:
                    header.setToolTip(name)
        self._fill(confusion)
        self.updateGeometry()
        self.setFixedHeight(self.sizeHint().height())

    def restyle(self) -> None:
        """Take the colours of the present theme."""
        if self._confusion is not None:
            self._fill(self._confusion)

    def sizeHint(self) -> QSize:  # noqa: N802
        """As high as all rows, however wide."""
        header = self.horizontalHeader()
        top = 24 if header is None else header.sizeHint().height()
        return QSize(300, top + _ROW * max(1, self.rowCount()) + 4)

    def _fill(self, confusion: Confusion) -> None:
        shares = np.nan_to_num(confusion.normalised)
        right, wrong, text = (theme.colour(one) for one in ("current", "error", "text"))
        for row, given in enumerate(confusion.classes):
            for col, said in enumerate(confusion.classes):
                count, share = int(confusion.counts[row, col]), float(shares[row, col])
                shown = f"{share:.0%}" if self._normalised else f"{count:,}"
                item = QTableWidgetItem(shown if count else "")
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                item.setBackground(QBrush(_shade(right if row == col else wrong, share)))
                item.setForeground(QBrush(text))
                cells = f"{count:,} cell{'s' * (count != 1)}"
                item.setToolTip(f"{cells} of your {given} called {said} ({share:.1%} of {given})")
                self.setItem(row, col, item)

    def _tell(self, row: int, col: int) -> None:
        if self._confusion is not None and self._confusion.counts[row, col]:
            names = self._confusion.classes
            self.cell_chosen.emit(names[row], names[col])


def _shade(colour: QColor, share: float) -> QColor:
    """Return the colour, the stronger the larger the share; nothing for nothing."""
    shade = QColor(colour)
    shade.setAlphaF(0.0 if share == 0 else 0.2 + 0.7 * share)
    return shade
