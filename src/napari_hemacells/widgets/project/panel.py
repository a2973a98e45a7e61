"""The project panel: name and folder, the images with their progress, recent projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.widgets import theme
from napari_hemacells.widgets.plain_text import PlainLabel, heading, plain_tip

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.store.project_images import ImageSummary
    from napari_hemacells.core.store.recent import RecentProject

ICON = QSize(64, 48)
_VALUE = Qt.ItemDataRole.UserRole
_NO_PROJECT = "No project is open. Open an image, or choose a project below."
_HIDDEN = "Kept in the data folder of HemaCells. Save it under a name to find it as a folder."


class ProjectPanel(QWidget):
    """What is known of the open project, and the way to others.

    Signals
    -------
    name_changed
        The new name of the project.
    image_chosen
        The key of an image to open.
    done_changed
        The key of an image, and whether it is done.
    project_chosen
        The folder of a recent project to open.
    open_requested, save_as_requested
        A button was pressed.
    """

    name_changed = Signal(str)
    image_chosen = Signal(str)
    done_changed = Signal(str, bool)
    project_chosen = Signal(object)
    open_requested = Signal()
    save_as_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = QLineEdit()
        self.name.setPlaceholderText("A name for the project")
        self.name.setAccessibleName("Name of the project")
        self.folder = PlainLabel()
        self.folder.setWordWrap(True)
        self.save_as = QPushButton("&Save as…")
        self.open_other = QPushButton("&Open another…")
        self.images = _list("Images of the project")
        self.images.setIconSize(ICON)
        self.images.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.images.setToolTip(
            "Click an image to open it. Tick it when all its cells are as they should be."
        )
        self.recent = _list("Recent projects")
        self._pictures: dict[str, QIcon] = {}
        self._lay_out()
        self.name.editingFinished.connect(self._rename)
        self.save_as.clicked.connect(self.save_as_requested)
        self.open_other.clicked.connect(self.open_requested)
        self.images.itemClicked.connect(self._choose_image)
        self.images.itemActivated.connect(self._choose_image)
        self.images.itemChanged.connect(self._tick)
        self.recent.itemActivated.connect(self._choose_project)
        self.recent.itemClicked.connect(self._choose_project)
        self.show_project(None, "")

    # --- what is shown -----------------------------------------------------------------------

    def show_project(self, folder: Path | None, name: str, *, hidden: bool = False) -> None:
        """Show the open project.

        Parameters
        ----------
        hidden
            Whether it lies in the program's data folder, where nobody has put it.
        """
        if self.name.text() != name:
            self.name.setText(name)
        self._shown_name = name
        self.folder.setText(_NO_PROJECT if folder is None else str(folder))
        if hidden:
            self.folder.setText(f"{_HIDDEN}\n{folder}")
        for part in (self.name, self.save_as):
            part.setEnabled(folder is not None)
        self.save_as.setText("&Save as…" if hidden else "&Save a copy as…")

    def show_images(self, images: Sequence[ImageSummary], current: str | None) -> None:
        """Show the images of the project, the open one selected."""
        self.images.blockSignals(True)
        self.images.clear()
        for image in images:
            item = QListWidgetItem(f"{image.name}\n{format_summary(image)}")
            item.setData(_VALUE, image.key)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if image.done else Qt.CheckState.Unchecked)
            item.setIcon(self._pictures.get(image.key, _empty_icon()))
            self.images.addItem(item)
            if image.key == current:
                self.images.setCurrentItem(item)
        self.images.blockSignals(False)
        done = sum(image.done for image in images)
        self._images_title.setText(f"Images ({done} of {len(images)} done)")

    def show_picture(self, key: str, picture: NDArray[np.uint8]) -> None:
        """Show the thumbnail of an image: ``(rows, cols, 3)`` uint8."""
        self._pictures[key] = _icon(picture)
        self.images.blockSignals(True)
        for item in self._items(self.images):
            if item.data(_VALUE) == key:
                item.setIcon(self._pictures[key])
        self.images.blockSignals(False)

    @property
    def pictured(self) -> frozenset[str]:
        """Keys of the images whose thumbnail is known."""
        return frozenset(self._pictures)

    def show_recent(self, projects: Sequence[RecentProject], current: Path | None) -> None:
        """Show the projects opened lately; those that are not there any more are grey."""
        self.recent.clear()
        for project in projects:
            if project.folder == current:
                continue
            there = project.is_there
            when = project.when if there else "not found"
            item = QListWidgetItem(f"{project.name}  ·  {when}\n{project.folder}")
            item.setData(_VALUE, project.folder)
            moved = "" if there else " was moved, renamed or deleted"
            item.setToolTip(plain_tip(f"{project.folder}{moved}"))
            if not there:
                item.setFlags(Qt.ItemFlag.NoItemFlags)
            self.recent.addItem(item)
        for part in (self.recent, self._recent_title):
            part.setVisible(self.recent.count() > 0)

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        theme.mute_text(self.folder)

    # --- what is asked for -------------------------------------------------------------------

    def _rename(self) -> None:
        name = self.name.text().strip()
        if name and name != self._shown_name:
            self._shown_name = name
            self.name_changed.emit(name)
        else:
            self.name.setText(self._shown_name)

    def _choose_image(self, item: QListWidgetItem) -> None:
        self.image_chosen.emit(item.data(_VALUE))

    def _tick(self, item: QListWidgetItem) -> None:
        self.done_changed.emit(item.data(_VALUE), item.checkState() == Qt.CheckState.Checked)

    def _choose_project(self, item: QListWidgetItem) -> None:
        self.project_chosen.emit(item.data(_VALUE))

    @staticmethod
    def _items(shown: QListWidget) -> list[QListWidgetItem]:
        items = (shown.item(row) for row in range(shown.count()))
        return [item for item in items if item is not None]

    def _lay_out(self) -> None:
        self._shown_name = ""
        self._images_title, self._recent_title = heading(""), heading("Recent projects")
        label = PlainLabel("&Name")
        label.setBuddy(self.name)
        named, buttons = QHBoxLayout(), QHBoxLayout()
        named.addWidget(label)
        named.addWidget(self.name, 1)
        buttons.addWidget(self.save_as)
        buttons.addWidget(self.open_other)
        buttons.addStretch(1)
        left, right = QVBoxLayout(), QVBoxLayout()
        left.addLayout(named)
        left.addWidget(self.folder)
        left.addLayout(buttons)
        left.addWidget(self._recent_title)
        left.addWidget(self.recent, 1)
        left.addStretch(0)
        right.addWidget(self._images_title)
        right.addWidget(self.images, 1)
        columns = QHBoxLayout(self)
        columns.setContentsMargins(6, 6, 6, 6)
        columns.addLayout(left, 1)
        columns.addLayout(right, 1)


def format_summary(image: ImageSummary) -> str:
    """``120 cells, 34 annotated``."""
    if image.cells is None:
        return "no cells yet"
    cells = f"{image.cells:,} {'cell' if image.cells == 1 else 'cells'}"
    return f"{cells}, {image.annotated:,} annotated"


def _list(name: str) -> QListWidget:
    shown = QListWidget()
    shown.setAccessibleName(name)
    shown.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    shown.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    shown.setSpacing(1)
    return shown


def _icon(picture: NDArray[np.uint8]) -> QIcon:
    pixels = np.ascontiguousarray(picture)
    rows, cols = pixels.shape[:2]
    image = QImage(pixels.tobytes(), cols, rows, 3 * cols, QImage.Format.Format_RGB888)
    return QIcon(QPixmap.fromImage(image.copy()))


def _empty_icon() -> QIcon:
    blank = QPixmap(ICON)
    blank.fill(theme.colour("secondary"))
    return QIcon(blank)
