"""Cells by class, with the total, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_hemacells.core.annotate.palette import UNKNOWN_COLOUR
from napari_hemacells.core.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_hemacells.core.annotate import Palette

_HEADS = ("Class", "Annotated", "Predicted", "Total")
_UNKNOWN_LINE = "unknown"
_UNKNOWN_HELP = "Unlike everything annotated, so not forced into a class"


class CountsTable(QTableWidget):
    """Class, annotated, predicted, total; the last rows are unknown, without a class, the sum."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_HEADS), parent)
        self.setHorizontalHeaderLabels(_HEADS)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setAccessibleName("Cells by class")
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        rows, head = _header(self.verticalHeader()), _header(self.horizontalHeader())
        rows.setVisible(False)
        head.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        head.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def show_counts(
        self, palette: Palette, counts: Mapping[str, tuple[int, int]], cells: int
    ) -> None:
        """Show these counts of so many cells."""
        rows = [(one.name, one.colour, *counts.get(one.id, (0, 0))) for one in palette]
        annotated, predicted = sum(row[2] for row in rows), sum(row[3] for row in rows)
        unknown = counts.get(UNKNOWN, (0, 0))[1]
        lines = [
            (name, colour, mine, theirs, mine + theirs) for name, colour, mine, theirs in rows
        ]
        if unknown:
            lines.append((_UNKNOWN_LINE, UNKNOWN_COLOUR, 0, 0, unknown))
        if cells > annotated + predicted + unknown:
            lines.append(("no class yet", "", 0, 0, cells - annotated - predicted - unknown))
        lines.append(("Total", "", annotated, predicted, cells))
        self.setRowCount(len(lines))
        for row, (name, colour, *numbers) in enumerate(lines):
            bold = row == len(lines) - 1
            head = _item(name, colour=colour, bold=bold)
            if name == _UNKNOWN_LINE:
                head.setToolTip(_UNKNOWN_HELP)
            self.setItem(row, 0, head)
            for column, number in enumerate(numbers, start=1):
                self.setItem(row, column, _item(f"{number:,}", right=True, bold=bold))
        self._fit_height()

    def _fit_height(self) -> None:
        """As high as its rows: the panel scrolls, not the table."""
        self.resizeRowsToContents()
        height = _header(self.horizontalHeader()).sizeHint().height() + 2 * self.frameWidth()
        self.setFixedHeight(height + sum(self.rowHeight(row) for row in range(self.rowCount())))


def _header(header: QHeaderView | None) -> QHeaderView:
    """The header, which every table has, though Qt's types do not say so."""
    return cast("QHeaderView", header)


def _item(
    text: str, *, colour: str = "", right: bool = False, bold: bool = False
) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    if colour:
        swatch = QPixmap(12, 12)
        swatch.fill(QColor(colour))
        item.setData(Qt.ItemDataRole.DecorationRole, swatch)
    if right:
        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    font = item.font()
    font.setBold(bold)
    item.setFont(font)
    return item
