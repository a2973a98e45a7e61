"""The project bar: where annotations are saved, and a menu to open or copy a project."""

from __future__ import annotations

from pathlib import Path

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
from napari_hemacells.widgets.plain_text import PlainLabel


class ProjectBar(QWidget):
    """``Saved in …/projects/x``, and the menu *Project*."""

    open_requested = Signal(object)
    save_as_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._full = ""
        self._label = PlainLabel()
        self._label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.button = QPushButton("Pro&ject")
        self.button.setToolTip("Open another project, or continue in a copy of this one")
        menu = QMenu(self.button)
        self._open = QAction("&Open project…", menu)
        self._save_as = QAction("&Save project as…", menu)
        menu.addActions([self._open, self._save_as])
        self._open.triggered.connect(self._choose_project)
        self._save_as.triggered.connect(self._choose_place)
        self.button.setMenu(menu)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._label, 1)
        row.addWidget(self.button)
        self.show_project_folder(None)

    def show_project_folder(self, folder: Path | None) -> None:
        """Show where annotations are saved."""
        self._save_as.setEnabled(folder is not None)
        self._full = "Nothing to save yet" if folder is None else f"Saved in {folder}"
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
        self._label.setText(
            metrics.elidedText(self._full, Qt.TextElideMode.ElideLeft, self._label.width())
        )

    def _choose_project(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Open a project folder")
        if chosen:
            self.open_requested.emit(Path(chosen))

    def _choose_place(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the project as a new folder")
        if chosen:
            self.save_as_requested.emit(Path(chosen))
