"""The project bar: where annotations are saved, and the menu of the project and others."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QAction, QFontMetrics, QResizeEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from napari_hemacells.widgets import theme
from napari_hemacells.widgets.folder_dialog import choose_folder
from napari_hemacells.widgets.plain_text import PlainLabel, elided

if TYPE_CHECKING:
    from collections.abc import Sequence


class ProjectBar(QWidget):
    """``Saved in …/projects/x``, and the menu *Project*.

    Attributes
    ----------
    suggested
        The folder that *Save project as…* suggests.
    """

    open_requested = Signal(object)
    save_as_requested = Signal(object)
    folder_chosen = Signal(object)  # a folder of cell pictures to open
    panel_requested = Signal()
    recent_requested = Signal()  # the menu opens: what is offered there is wanted
    recent_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._full = ""
        self._elide_mode = Qt.TextElideMode.ElideLeft
        self.suggested: Path | None = None
        self._label = PlainLabel()
        self._label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.button = QPushButton("Pro&ject")
        self.button.setToolTip("Name, images and folder of the project; other projects")
        menu = QMenu(self.button)
        self._open = QAction("&Open project…", menu)
        self._save_as = QAction("&Save project as…", menu)
        self._folder = QAction("Open a &folder of cell pictures…", menu)
        self._folder.triggered.connect(self.choose_pictures)
        self._panel = QAction("&Name and images…", menu)
        self._recent = QMenu("&Recent projects", menu)
        self._recent.setToolTipsVisible(True)
        menu.addAction(self._panel)
        menu.addSeparator()
        menu.addActions([self._open, self._save_as, self._folder])
        menu.addMenu(self._recent)
        self._panel.triggered.connect(self.panel_requested)
        self._open.triggered.connect(self.choose_project)
        self._save_as.triggered.connect(self.choose_place)
        menu.aboutToShow.connect(self.recent_requested)
        self.button.setMenu(menu)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._label, 1)
        row.addWidget(self.button)
        self.show_project_folder(None)

    def show_project_folder(
        self, folder: Path | None, name: str = "", *, automatic: bool = False
    ) -> None:
        """Show where annotations are saved, and the name of the project.

        Parameters
        ----------
        automatic
            Whether the program has chosen the folder, whose name means nothing to the user.
        """
        self._save_as.setEnabled(folder is not None)
        named = f"{name}, saved" if name else "Saved"
        self._elide_mode = Qt.TextElideMode.ElideLeft
        if folder is None:
            self._full = "Nothing to save yet"
        elif automatic:
            self._full = f"Project {elided(name)}, saved automatically" if name else "Saved"
            self._elide_mode = Qt.TextElideMode.ElideRight
        else:
            self._full = f"{named} in {folder}"
        self._label.setToolTip(
            "" if folder is None else f"{folder}\nEvery annotation is saved on disk at once."
        )
        self._elide()

    @property
    def text(self) -> str:
        """The full text."""
        return self._full

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        theme.mute_text(self._label)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Shorten the path at its beginning to the available width: its end is the name."""
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        metrics = QFontMetrics(self._label.font())
        self._label.setText(metrics.elidedText(self._full, self._elide_mode, self._label.width()))

    def offer_recent(self, projects: Sequence[tuple[Path, str, bool]]) -> None:
        """Offer these projects in the menu.

        Parameters
        ----------
        projects
            Folder and words of each, and whether it is still there; a missing one is grey.
        """
        self._recent.clear()
        for folder, words, is_there in projects:
            action = self._recent.addAction(words.replace("&", "&&"))
            if action is not None:
                action.setToolTip(str(folder))
                action.setEnabled(is_there)
                action.triggered.connect(partial(self._choose_recent, folder))
        self._recent.setEnabled(bool(projects))

    def _choose_recent(self, folder: Path, _checked: bool = False) -> None:
        self.recent_chosen.emit(folder)

    def choose_project(self) -> None:
        """Ask for the folder of a project to open."""
        chosen = QFileDialog.getExistingDirectory(self, "Open a project folder")
        if chosen:
            self.open_requested.emit(Path(chosen))

    def choose_pictures(self) -> None:
        """Ask for a folder of pictures of one cell each."""
        folder = choose_folder(self)
        if folder is not None:
            self.folder_chosen.emit(folder)

    def choose_place(self) -> None:
        """Ask for the folder to save the project in; beside the image unless told otherwise."""
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Save the project as a new folder", str(self.suggested or "")
        )
        if chosen:
            self.save_as_requested.emit(Path(chosen))
