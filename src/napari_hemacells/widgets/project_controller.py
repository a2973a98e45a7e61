"""Opening of images and projects in the dock."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hemacells.widgets import project_images

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_hemacells.core.store import Project
    from napari_hemacells.core.types import SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.background.tasks import BackgroundTasks
    from napari_hemacells.widgets.canvas.sight import Seen
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
    from napari_hemacells.widgets.detect.panel import DetectPanel
    from napari_hemacells.widgets.message_bar import Notifier
    from napari_hemacells.widgets.project_bar import ProjectBar
    from napari_hemacells.widgets.step_header import Step


_LONG_PIXELS = 2_000_000  # of an image: the cells of a larger one may be thousands
_SETTLED_MS = 120  # a slider that is dragged passes many frames: the one it rests at is opened


def _reads_long(project: Project, image: SmearImage) -> bool:
    """Whether the cells that a project has of an image take longer to read than a blink."""
    large = image.shape[0] * image.shape[1] > _LONG_PIXELS
    return large and image.sheet is None and project.has_cells(image.key)


def _given(image: SmearImage) -> SmearImage:
    return image


class ProjectView(Protocol):
    """What the controller needs of the dock: the choice of the image, the bar of the project."""

    detect: DetectPanel
    place: ProjectBar

    @property
    def step(self) -> Step:
        """The step shown."""

    def ask_for_image(self, reason: str) -> Path | None:
        """Return the file of an image that is not where the project has it."""


class ProjectController(QObject):
    """Opens the chosen image in its project, and keeps to the frame in sight.

    Signals
    -------
    annotated
        The opened image has annotations.
    step_kept
        The project is in another folder now; the work goes on in this step.
    changed
        An image or a project was chosen, or one is being opened.
    """

    annotated = Signal()
    step_kept = Signal(str)
    changed = Signal()

    def __init__(
        self,
        view: ProjectView,
        session: Session,
        bridge: ViewerBridge,
        tasks: BackgroundTasks,
        voice: Notifier,
    ) -> None:
        super().__init__()
        self._view, self._session, self._bridge = view, session, bridge
        self._tasks, self._voice = tasks, voice
        self._noticed: list[str] = []
        self._opening = False
        self._seen: Seen | None = None  # of the layer whose image is being opened
        self.settled = QTimer(self)
        self.settled.setSingleShot(True)
        self.settled.setInterval(_SETTLED_MS)
        self.settled.timeout.connect(self.keep_to_sight)
        self._follow = QTimer(self)  # of several files that are dropped, the last one counts
        self._follow.setSingleShot(True)
        self._follow.timeout.connect(self._follow_active)
        view.detect.image_chosen.connect(self.choose_image)
        view.place.open_requested.connect(self.open_project)
        view.place.save_as_requested.connect(self._save_as)
        tasks.opened.connect(self._opened)

    def notice(self, sentence: str) -> None:
        """Say what was found out about the project's files; after a greeting, say it again."""
        self._noticed.append(sentence)
        self._voice.warn(" ".join(self._noticed))

    def choose_image(self, key: str) -> None:
        """Open the image of this layer, in its project or in a new one.

        A large image is opened in a thread; the latest choice counts.
        """
        if self._bridge.is_small_in_memory(key) or not self._shows(key):
            self._read(key)
        self.changed.emit()

    def sight_changed(self, waits: bool) -> None:
        """Open the frame in sight once the slider rests; at once if something waits for it."""
        if waits:
            self.keep_to_sight()
        else:
            self.settled.start()

    def active_changed(self, _key: str) -> None:
        """Follow the image layer that the user has made active."""
        if not self._opening:
            self._follow.start(0)

    def _follow_active(self) -> None:
        active = self._bridge.active_image_layer()
        image = self._session.image
        busy = self._tasks.jobs.running("detect") or self._tasks.jobs.running("open")
        if active is None or image is None or busy or self._shows(active):
            return
        self.choose_image(active)

    def keep_to_sight(self) -> bool:
        """Open what the layer of the image shows now, and return whether it is in use.

        ``False`` while it is still being opened, or where it cannot be used.
        """
        self.settled.stop()
        image = self._session.image
        layer = None if image is None else self._bridge.find("image", image.key)
        if image is None or layer is None or not self._bridge.watch.has_changed:
            self._bridge.show_cells_again()
            self.changed.emit()
            return True
        done = self._read(str(layer.unique_id))
        if self._session.image is image and not self._bridge.watch.has_moved:
            self._bridge.show_cells_again()
        self.changed.emit()
        return done and not self._tasks.jobs.running("open")

    def _read(self, key: str) -> bool:
        """Read what a layer shows, a large image in a thread; return whether that worked."""
        self._tasks.jobs.cancel("open")

        def read() -> None:
            self._seen = self._bridge.look(key)
            if self._bridge.is_small_in_memory(key):
                self._use_soon(self._bridge.read_image(key), key)
            else:
                self._open(key)

        return self._attempt(read)

    def _use_soon(self, image: SmearImage | None, key: str) -> None:
        """Use an image; one whose cells take long to read, once a thread has read them."""
        project, used = self._session.project, self._session.image
        other = image is not None and (used is None or used.key != image.key)
        if image is not None and other and project is not None and _reads_long(project, image):
            self._tasks.open(partial(_given, image), key)
        else:
            self._use(image, key)

    def use_image(self, image: SmearImage, key: str) -> None:
        """Use this image, which the layer with this key shows."""
        self._tasks.jobs.cancel("open")
        self._seen = self._bridge.look(key)
        self._attempt(lambda: self._use(image, key))
        self.changed.emit()

    def open_project(self, folder: Path) -> None:
        """Open a project folder with its images."""

        def open_it() -> None:
            self._noticed.clear()
            missing = project_images.open_project_images(
                self._session, self._bridge, folder, self._view.ask_for_image
            )
            self._welcome()
            for reason in missing:
                self._voice.warn(reason)

        self._opening = True
        try:
            self._voice.attempt(open_it)
        finally:
            self._opening = False
        self.layers_changed()

    def ask_for_image(self, reason: str) -> Path | None:
        """Ask the user for the file of an image that was moved or changed."""
        return self._view.ask_for_image(reason)

    def layers_changed(self) -> None:
        """Offer the present layers; choose the active one if none was chosen."""
        if self._opening:
            return  # a layer of a project that is being opened is no choice of the user's
        self._view.detect.set_choices(self._bridge.images(), self._bridge.cell_sources())
        if self._session.image is None:
            key = self._bridge.active_image()
            if key is not None and not self._tasks.jobs.running("open"):
                self.choose_image(key)
        else:
            layer = self._bridge.find("image", self._session.image.key)
            self._view.detect.choose_image(None if layer is None else str(layer.unique_id))

    def layer_removed(self, role: str) -> None:
        """Show a message on a removed layer; the one that napari makes active is no choice."""
        self._follow.stop()
        if role in {"cells", "image"}:
            self._bridge.remove_marker()
        if role == "cells":
            self._voice.warn(
                "The layer of cells was removed; your annotations are kept. Press V to show "
                "the cells again."
            )
        elif role == "image":
            self._voice.refuse(
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
        if image is None:
            return
        if used is not None and image.key == used.key:
            self._voice.forget_refusal()  # that its layer was removed
            self._bridge.claim_image(key, image.key)
            self._bridge.follow(key, self._seen)
            return
        self._noticed.clear()
        saved = self._tasks.read_ahead
        project_images.select_image(
            self._session, self._bridge, image, key, self._seen, saved=saved
        )
        self._follow.stop()  # removing the cells of the image before made some layer active
        self._view.detect.choose_image(key)
        self._welcome()

    def _attempt(self, choose: Callable[[], object]) -> bool:
        done = self._voice.attempt(choose)
        if not done:
            self._view.detect.block("This image cannot be used: choose another one.")
        return done

    def _welcome(self) -> None:
        annotated = len(self._session.annotated)
        if annotated:
            self.annotated.emit()
            cells = "cell" if annotated == 1 else "cells"
            self._voice.say(f"Project reopened: {annotated:,} annotated {cells}.")
        elif self._session.cells is not None:
            count = len(self._session.cells)
            self._voice.say(
                f"Project reopened: {count:,} {'cell' if count == 1 else 'cells'}, none of them "
                "annotated yet. Check them, then go on to Annotate."
            )
        else:
            image = self._session.image
            notes = () if image is None else image.notes
            first_step = "Press Detect cells, or use the cells of a layer."
            if image is not None and image.modality == "temperature":
                first_step = "Press Find regions, or draw shapes on the thermogram."
            self._voice.say(" ".join((*notes, first_step)))
        self._repeat_notices()
        self.changed.emit()

    def _repeat_notices(self) -> None:
        if self._noticed:
            self._voice.warn(" ".join(self._noticed))
            self._noticed.clear()

    def _save_as(self, folder: Path) -> None:
        self._noticed.clear()
        step = self._view.step
        if self._voice.attempt(partial(self._session.save_as, folder)):
            self.step_kept.emit(step)  # not the first one, where another project begins
            self._voice.say(f"The project is now in {folder}.")
            self._repeat_notices()
