"""The step *Export*: choice of the formats and the folder."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from qtpy.QtCore import Qt, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.widgets import theme
from napari_hemacells.widgets.plain_text import rich_label

if TYPE_CHECKING:
    from collections.abc import Sequence

ExportFormat: TypeAlias = Literal[
    "csv", "joint", "report", "triage", "overlay", "labels", "crops", "coco", "bundle"
]

_FORMATS: dict[ExportFormat, tuple[str, str]] = {
    "csv": (
        "Cell &table (CSV)",
        "One row per cell: position, area, your class, predicted class, probabilities",
    ),
    "joint": (
        "One table of all ima&ges (CSV, Excel)",
        "cells.csv and cells.xlsx: the cells of every image of the project, and their counts",
    ),
    "report": ("&Report (HTML)", "One page with the overlay, the counts and the methods"),
    "triage": (
        "Triage, for a second loo&k (HTML, CSV)",
        "The odd cells of all images, with what each resembles most. It is no diagnosis",
    ),
    "overlay": ("Overla&y image (PNG)", "The image with every cell in the colour of its class"),
    "labels": ("Labels (T&IFF)", "The label image: each pixel has the id of its cell"),
    "crops": ("Crop&s in class folders (PNG)", "One image per cell, ready for training"),
    "coco": ("C&OCO boxes (JSON)", "Bounding boxes for training and annotation tools"),
    "bundle": ("&Model", "Classifies other images, here or with hemacells classify"),
}
NEED_MODEL: tuple[ExportFormat, ...] = ("triage", "bundle")
_DEFAULT_FORMATS: frozenset[ExportFormat] = frozenset({"csv", "joint", "report", "overlay"})


@dataclass(frozen=True)
class ExportRequest:
    """The formats and the folder of an export."""

    what: tuple[ExportFormat, ...]
    folder: Path


class ExportPanel(QWidget):
    """The panel to choose formats and a folder, and to export."""

    export_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.boxes: dict[ExportFormat, QCheckBox] = {}
        for what, (title, tip) in _FORMATS.items():
            box = QCheckBox(title)
            box.setToolTip(tip)
            box.setChecked(what in _DEFAULT_FORMATS)
            box.toggled.connect(self._update)
            self.boxes[what] = box
        self.folder = QLineEdit()
        self.folder.setPlaceholderText("Choose a folder")
        self.folder.setAccessibleName("Folder to write into")
        self.folder.textChanged.connect(self._update)
        self.browse = QPushButton("&Browse…")
        self.browse.clicked.connect(self._browse)
        self.button = QPushButton("E&xport")
        self.button.clicked.connect(self._export)
        self.result = rich_label()
        self.result.setWordWrap(True)
        self.result.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.result.linkActivated.connect(_open_folder)
        self._blocked, self._no_model = "", ""
        self._written: tuple[Path, tuple[Path, ...]] | None = None
        self._lay_out()
        self._update()

    def block(self, reason: str, no_model: str = "") -> None:
        """Disable Export, or the model alone, with these reasons; empty ones enable."""
        self._blocked, self._no_model = reason, no_model
        self._update()

    def suggest_folder(self, folder: Path) -> None:
        """Suggest a folder unless the user has chosen one."""
        if not self.folder.isModified():
            self.folder.setText(str(folder))
            self.folder.setCursorPosition(0)

    def request(self) -> ExportRequest:
        """The formats and the folder chosen now."""
        what = tuple(
            what for what, box in self.boxes.items() if box.isChecked() and box.isEnabled()
        )
        return ExportRequest(what, Path(self.folder.text()).expanduser())

    def show_result(self, folder: Path, written: Sequence[Path]) -> None:
        """Show which files were written, with a link to their folder."""
        self._written = (folder, tuple(written))
        self.restyle()

    def clear_result(self) -> None:
        """Show no files: another export has begun."""
        self._written = None
        self.result.clear()

    def restyle(self) -> None:
        """Apply the theme's colours; Qt's default link colour is unreadable on dark."""
        if self._written is None:
            return
        folder, written = self._written
        names = escape(", ".join(path.name for path in written), quote=False)
        link = QUrl.fromLocalFile(str(folder)).toString()
        opener = f'<a style="color: {theme.css("text")}" href="{escape(link)}">Open the folder</a>'
        self.result.setText(f"Written: {names}.<br>{opener}")

    def _export(self) -> None:
        self.export_requested.emit(self.request())

    def _browse(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Export into", self.folder.text())
        if chosen:
            self.folder.setText(chosen)
            self.folder.setModified(True)

    def _update(self, _value: object = None) -> None:
        for what in NEED_MODEL:
            box = self.boxes[what]
            box.setEnabled(not self._no_model)
            box.setToolTip(self._no_model or _FORMATS[what][1])
        reason = self._blocked or self._missing()
        self.button.setEnabled(not reason)
        self.button.setToolTip(reason or "Write the ticked files into the folder")

    def _missing(self) -> str:
        request = self.request()
        if not request.what:
            return "Tick at least one file to write."
        return "" if self.folder.text().strip() else "Choose a folder to write into."

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for box in self.boxes.values():
            column.addWidget(box)
        row = QHBoxLayout()
        row.addWidget(self.folder, 1)
        row.addWidget(self.browse)
        column.addLayout(row)
        column.addWidget(self.button)
        column.addWidget(self.result)
        column.addStretch(1)


def _open_folder(link: str) -> None:
    QDesktopServices.openUrl(QUrl(link))
