"""The thermogram section of *Detect*: find the breasts, measure, export the table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, cast

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QGroupBox,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.files.fsio import file_name
from napari_hemacells.widgets.plain_text import PlainLabel

if TYPE_CHECKING:
    import pandas as pd

_COLUMN_TITLES = {
    "mean (°C)": "mean\n°C",
    "max (°C)": "max\n°C",
    "p5 (°C)": "5 %\n°C",
    "hot_spots": "hot\nspots",
    "hot_spot_contrast (°C)": "hot by\n°C",
}
_NO_OUTLINE = "There is no outline of a breast yet: press Find regions, or draw one."
_NO_TABLE = "Press Measure first."


class ThermogramPanel(QGroupBox):
    """Buttons for the regions of the chosen thermogram, and a short table.

    Signals
    -------
    find_requested, measure_requested
        The button was pressed.
    export_requested
        The file to write the whole table to.
    """

    find_requested = Signal()
    measure_requested = Signal()
    export_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Thermogram", parent)
        self.find_button = QPushButton("Find &regions")
        self.find_button.setToolTip(
            "Outline both breasts and mark spots warmer than the skin around them"
        )
        self.measure_button = QPushButton("&Measure")
        self.export_button = QPushButton("E&xport table…")
        self.table = QTableWidget(0, len(_COLUMN_TITLES))
        self.result = PlainLabel()
        self.result.setWordWrap(True)
        self.name = ""  # of the thermogram, for its table's file
        self._blocked, self._outlined, self._measured = "", False, False
        self._lay_out()
        self.find_button.clicked.connect(self._find)
        self.measure_button.clicked.connect(self._measure)
        self.export_button.clicked.connect(self._export)
        self.show_table(None)

    def set_state(self, *, blocked: str, outlined: bool) -> None:
        """Set why nothing can be done (empty: it can), and whether there are outlines."""
        self._blocked, self._outlined = blocked, outlined
        self._update()

    def show_table(self, table: pd.DataFrame | None) -> None:
        """Show the region table, ``None`` for none."""
        self._measured = table is not None
        self.table.setVisible(self._measured)
        self.say("")
        if table is not None:
            self._fill(table)
        self._update()

    def say(self, text: str) -> None:
        """Show a sentence below the table."""
        self.result.setText(text)
        self.result.setVisible(bool(text))

    @property
    def table_name(self) -> str:
        """The name proposed for the table's file: that of the thermogram, and what it is."""
        return f"{file_name(self.name)}.regions.csv" if self.name else "regions.csv"

    def ask_for_file(self) -> Path | None:
        """Ask for the file of the table."""
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Write the region table", self.table_name, "Table (*.csv)"
        )
        return Path(chosen) if chosen else None

    def _fill(self, table: pd.DataFrame) -> None:
        self.table.setRowCount(len(table))
        for row, (_, line) in enumerate(table.iterrows()):
            self.table.setVerticalHeaderItem(row, QTableWidgetItem(_short(str(line["region"]))))
            for column, name in enumerate(_COLUMN_TITLES):
                self.table.setItem(row, column, _number(line.get(name), degrees="°C" in name))
        self.table.resizeRowsToContents()
        head = cast("QHeaderView", self.table.horizontalHeader()).sizeHint().height()
        rows = sum(self.table.rowHeight(row) for row in range(len(table)))
        self.table.setFixedHeight(head + rows + 2 * self.table.frameWidth())

    def _update(self) -> None:
        no_outline = "" if self._outlined else _NO_OUTLINE
        for button, reason, tip in (
            (
                self.find_button,
                self._blocked,
                "Outline both breasts and mark spots warmer than the skin around them",
            ),
            (
                self.measure_button,
                self._blocked or no_outline,
                "Measure the temperatures in the outlines",
            ),
            (
                self.export_button,
                "" if self._measured else _NO_TABLE,
                "Export all measurements with all digits",
            ),
        ):
            button.setEnabled(not reason)
            button.setToolTip(reason or tip)

    def _find(self) -> None:
        self.find_requested.emit()

    def _measure(self) -> None:
        self.measure_requested.emit()

    def _export(self) -> None:
        file = self.ask_for_file()
        if file is not None:
            self.export_requested.emit(file)

    def _lay_out(self) -> None:
        self.table.setHorizontalHeaderLabels(list(_COLUMN_TITLES.values()))
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setAccessibleName("Regions and their temperatures")
        self.table.setTabKeyNavigation(False)
        self.table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        head = cast("QHeaderView", self.table.horizontalHeader())
        head.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        row = QHBoxLayout()
        for button in (self.find_button, self.measure_button, self.export_button):
            row.addWidget(button)
        column = QVBoxLayout(self)
        column.addLayout(row)
        column.addWidget(self.table)
        column.addWidget(self.result)


def _short(region: str) -> str:
    return {"right breast": "right", "left breast": "left", "left minus right": "L − R"}.get(
        region, region
    )


def _number(value: object, *, degrees: bool) -> QTableWidgetItem:
    """Return the text of a number: temperatures with two digits, counts whole, empty for none."""
    number = float(cast("float", value)) if value is not None else math.nan
    text = "" if math.isnan(number) else f"{number:.{2 if degrees else 0}f}"
    item = QTableWidgetItem(text)
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item
