"""The section of *Detect* about a folder of pictures: what it holds, and its classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QGroupBox, QPushButton, QVBoxLayout, QWidget

from napari_hemacells.widgets import theme
from napari_hemacells.widgets.plain_text import PlainLabel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.core.pictures import CellPictures

_SHOWN_NOTES = 4


class PicturesPanel(QGroupBox):
    """What is known of the folder of pictures in use, and what can be done with it.

    Signals
    -------
    classes_requested
        Take over the classes of the sub-folders or of the table.
    table_chosen
        The file of a table of classes.
    look_requested
        Look for new and missing pictures.
    light_table_requested
        Show the light table.
    breasts_requested
        Cut the breasts out of the thermograms, and open the folder of these crops.
    """

    classes_requested = Signal()
    table_chosen = Signal(object)
    look_requested = Signal()
    light_table_requested = Signal()
    breasts_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Folder of pictures", parent)
        self.text, self.notes = PlainLabel(), PlainLabel()
        self.light_table_button = QPushButton("Light table")
        self.light_table_button.setToolTip(
            "A bin for each class: drag pictures into them, the others sort themselves"
        )
        self.classes_button = QPushButton()
        self.table_button = QPushButton("Classes from a table…")
        self.table_button.setToolTip(
            "Take over classes from a CSV with the columns image and class; your own "
            "annotations stay"
        )
        self.look_button = QPushButton("Look for new pictures")
        self.look_button.setToolTip(
            "Show the pictures that were added to the folder since it was opened. Those that "
            "are missing keep their annotations"
        )
        self.breasts_button = QPushButton("Open the breasts as pictures")
        self.breasts_button.setToolTip(
            "Find both breasts in each frame, cut them out in °C, and open these crops as a "
            "folder of pictures of their own"
        )
        column = QVBoxLayout(self)
        for widget in (
            self.text, self.light_table_button, self.classes_button, self.table_button,
            self.look_button, self.breasts_button, self.notes,
        ):  # fmt: skip
            column.addWidget(widget)
        for label in (self.text, self.notes):
            label.setWordWrap(True)
        self.classes_button.clicked.connect(self.classes_requested)
        self.table_button.clicked.connect(self._choose_table)
        self.look_button.clicked.connect(self.look_requested)
        self.light_table_button.clicked.connect(self.light_table_requested)
        self.breasts_button.clicked.connect(self.breasts_requested)
        self.hide()

    def show_pictures(self, pictures: CellPictures, waiting: int, notes: Sequence[str]) -> None:
        """Show a folder.

        Parameters
        ----------
        waiting
            How many pictures have a class by their folder or a table, and none of the user's.
        notes
            What is worth knowing of its files.
        """
        there = len(pictures) - len(pictures.missing)
        counted = f"{there:,} {'picture' if there == 1 else 'pictures'}"
        thermal = pictures.modality == "temperature"
        what = "thermograms, each taken whole," if thermal else "of one cell each"
        counted = f"{there:,} {what}" if thermal else f"{counted} {what}"
        self.text.setText(f"{counted} in {pictures.folder}")
        self.breasts_button.setVisible(thermal)
        self.classes_button.setVisible(bool(waiting))
        self.classes_button.setText(
            "Take over the class of 1 picture"
            if waiting == 1
            else f"Take over the classes of {waiting:,} pictures"
        )
        self.classes_button.setToolTip(
            "The names of the sub-folders, or of the table, become annotations. Your own stay. "
            "Ctrl+Z takes them back"
        )
        more = len(notes) - _SHOWN_NOTES
        shown = [*notes[:_SHOWN_NOTES], *([f"… and {more:,} more."] if more > 0 else [])]
        self.notes.setText("\n".join(shown))
        self.notes.setToolTip("\n".join(notes[:40]))
        self.notes.setVisible(bool(shown))

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        theme.mute_text(self.notes)

    def _choose_table(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self, "A table with the columns image and class", "", "Tables (*.csv *.tsv *.txt)"
        )
        if chosen:
            self.table_chosen.emit(Path(chosen))
