"""Opening of images and projects in the dock."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_hemacells.widgets import project_images

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_hemacells.core.types import SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.background.tasks import BackgroundTasks
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
    from napari_hemacells.widgets.dock_view import DockView
    from napari_hemacells.widgets.message_bar import Notifier


class ProjectController(QObject):
    """Opens the chosen image in its project.

    Signals
    -------
    annotated
        The opened image has annotations.
    changed
        An image or a project was chosen, or one is being opened.
    """

    annotated = Signal()
    changed = Signal()

    def __init__(
        self,
        view: DockView,
        session: Session,
        bridge: ViewerBridge,
        tasks: BackgroundTasks,
        voice: Notifier,
    ) -> None:
        super().__init__()
        self._view, self._session, self._bridge = view, session, bridge
        self._tasks, self._voice = tasks, voice
        view.detect.image_chosen.connect(self.choose_image)
        view.place.open_requested.connect(self.open_project)
        view.place.save_as_requested.connect(self._save_as)
        tasks.opened.connect(self._opened)

    def choose_image(self, key: str) -> None:
        """Open the image of this layer, in its project or in a new one.

        A large image is opened in a thread; the latest choice counts.
        """
        self._tasks.jobs.cancel("open")
        if self._bridge.is_small_in_memory(key):
            self._attempt(lambda: self._use(self._bridge.read_image(key), key))
        elif not self._shows(key):
            self._attempt(lambda: self._open(key))
        self.changed.emit()

    def use_image(self, image: SmearImage, key: str) -> None:
        """Use this image, which the layer with this key shows."""
        self._tasks.jobs.cancel("open")
        self._attempt(lambda: self._use(image, key))
        self.changed.emit()

    def open_project(self, folder: Path) -> None:
        """Open a project folder with its images."""

        def open_it() -> None:
            missing = project_images.open_project_images(
                self._session, self._bridge, folder, self._view.ask_for_image
            )
            self._welcome()
            for reason in missing:
                self._voice.warn(reason)

        self._voice.attempt(open_it)
        self.layers_changed()

    def ask_for_image(self, reason: str) -> Path | None:
        """Ask the user for the file of an image that was moved or changed."""
        return self._view.ask_for_image(reason)

    def layers_changed(self) -> None:
        """Offer the present layers; choose the active one if none was chosen."""
        self._view.detect.set_choices(self._bridge.images(), self._bridge.cell_sources())
        if self._session.image is None:
            key = self._bridge.active_image()
            if key is not None and not self._tasks.jobs.running("open"):
                self.choose_image(key)
        else:
            layer = self._bridge.find("image", self._session.image.key)
            self._view.detect.choose_image(None if layer is None else str(layer.unique_id))

    def layer_removed(self, role: str) -> None:
        """Show a message on a removed layer."""
        if role == "cells":
            self._voice.warn(
                "The layer of cells was removed; your annotations are kept. Press V to show "
                "the cells again."
            )
        elif role == "image":
            self._voice.warn(
                "The image was removed; your annotations are kept. Open it again to continue."
            )

    def _shows(self, key: str) -> bool:
        """Whether the layer of this choice shows the image in use."""
        image = self._session.image
        layer = None if image is None else self._bridge.find("image", image.key)
        return layer is not None and str(layer.unique_id) == key

    def _open(self, key: str) -> None:
        make = self._bridge.image_maker(key)
        if make is not None:
            self._view.detect.choose_image(key)
            self._tasks.open(make, key)

    def _opened(self, image: SmearImage, key: str) -> None:
        if self._bridge.layer(key) is not None:
            self._attempt(lambda: self._use(image, key))

    def _use(self, image: SmearImage | None, key: str) -> None:
        used = self._session.image
        if image is None or (used is not None and image.key == used.key):
            return
        project_images.select_image(self._session, self._bridge, image, key)
        self._view.detect.choose_image(key)
        self._welcome()

    def _attempt(self, choose: Callable[[], object]) -> None:
        if not self._voice.attempt(choose):
            self._view.detect.block("This image cannot be used: choose another one.")

    def _welcome(self) -> None:
        annotated = len(self._session.annotated)
        if annotated:
            self.annotated.emit()
            cells = "cell" if annotated == 1 else "cells"
            self._voice.say(f"Project reopened: {annotated:,} annotated {cells}.")
        elif self._session.cells is None:
            self._voice.say("Press Detect cells, or use the cells of a layer.")
        self.changed.emit()

    def _save_as(self, folder: Path) -> None:
        if self._voice.attempt(partial(self._session.save_as, folder)):
            self._voice.say(f"The project is now in {folder}.")
