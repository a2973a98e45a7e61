"""What the project panel does: rename, save, tick images, open images and recent projects."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files.fsio import file_name
from napari_hemacells.core.store import projects_root
from napari_hemacells.core.store.project_images import (
    ImageSummary,
    mark_done,
    summarise_images,
    thumbnail_steps,
)
from napari_hemacells.core.store.recent import (
    RecentProject,
    forget_project,
    recent_projects,
    remember_project,
)
from napari_hemacells.widgets import project_images
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.canvas.viewer_bridge import images_in_memory
from napari_hemacells.widgets.project.panel import ProjectPanel
from napari_hemacells.widgets.subscriptions import SeenUpdates, Subscriptions

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.store import Project
    from napari_hemacells.core.types import SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
    from napari_hemacells.widgets.message_bar import Notifier
    from napari_hemacells.widgets.project_bar import ProjectBar
    from napari_hemacells.widgets.project_controller import ProjectController

MENU_LENGTH = 8  # recent projects in the menu; the panel shows all


def picture_steps(project: Project, images: tuple[SmearImage, ...]) -> Generator[Any, None, None]:
    """Yield the key and the thumbnail of each image, for a thread."""
    yield from thumbnail_steps(project, images)


class ProjectPanelController(QObject):
    """The behaviour of the project panel, which is made when it is asked for.

    Signals
    -------
    panel_made
        The panel, once: it needs a dock.
    """

    panel_made = Signal(object)

    def __init__(
        self,
        bar: ProjectBar,
        session: Session,
        bridge: ViewerBridge,
        projects: ProjectController,
        voice: Notifier,
    ) -> None:
        super().__init__()
        self._bar, self._session, self._bridge = bar, session, bridge
        self._projects, self._voice = projects, voice
        self.panel: ProjectPanel | None = None
        self.jobs = JobRunner(self)
        self.jobs.progressed.connect(self._show_picture)
        bar.panel_requested.connect(self.show_panel)
        bar.recent_requested.connect(self.show_recent)
        bar.recent_chosen.connect(self.open_recent)
        self._subscriptions = Subscriptions(self)
        self._subscriptions.add(session.events.project, self._project_changed)
        self._subscriptions.add(session.events.image, self._image_changed)
        # Not a method of self, which knows the dock.
        self.close_callbacks = (self._subscriptions.drop, self.jobs.close)

    # --- the panel ---------------------------------------------------------------------------

    def show_panel(self) -> None:
        """Show the panel in a dock below the canvas."""
        if self.panel is None:
            self.panel = self._make_panel()
            self.panel_made.emit(self.panel)
        self._bridge.raise_dock(self.panel)
        self.update()

    def _make_panel(self) -> ProjectPanel:
        panel = ProjectPanel()
        panel.name_changed.connect(self._rename)
        panel.image_chosen.connect(self.open_image)
        panel.done_changed.connect(self._mark_done)
        panel.project_chosen.connect(self.open_recent)
        panel.open_requested.connect(self._bar.choose_project)
        panel.save_as_requested.connect(self._bar.choose_place)
        self._seen = SeenUpdates(panel, self.update)
        events = self._session.events
        for signal in (
            events.project, events.image, events.cells, events.corrected, events.annotations,
        ):  # fmt: skip
            self._subscriptions.add(signal, self._seen.ask)
        panel.restyle()
        return panel

    def update(self) -> None:
        """Show the project as it is now."""
        if self.panel is None:
            return
        project, image = self._session.project, self._session.image
        folder = None if project is None else project.folder
        name = "" if project is None else project.name
        self.panel.show_project(folder, name, hidden=is_hidden(folder))
        summaries = self._summaries()
        self.panel.show_images(summaries, None if image is None else image.key)
        self.panel.show_recent(recent_projects(), folder)
        missing = {summary.key for summary in summaries} - self.panel.pictured
        if project is not None and missing and not self.jobs.running("read"):
            images = tuple(images_in_memory(self._session, self._bridge).values())
            self.jobs.start("read", partial(picture_steps, project, images))

    def _summaries(self) -> tuple[ImageSummary, ...]:
        project, history = self._session.project, self._session.history
        if project is None or history is None:
            return ()
        return summarise_images(project, history.state)

    def _show_picture(self, _kind: str, picture: object) -> None:
        if self.panel is not None and isinstance(picture, tuple):
            self.panel.show_picture(*picture)

    # --- what is asked for -------------------------------------------------------------------

    def open_image(self, key: str) -> None:
        """Open an image of the project: its layer, or its file where no layer shows it."""
        self._voice.attempt(partial(self._open_image, key))
        self.update()

    def _open_image(self, key: str) -> None:
        project, used = self._session.project, self._session.image
        if project is None or (used is not None and used.key == key and self._is_shown(key)):
            return
        stored = project.image(key)
        shown = project_images.find_shown(self._bridge, stored)
        if shown is None:
            image = project_images.load_stored_image(
                project, stored, self._bridge, self._projects.ask_for_image
            )
            layer_key = self._bridge.show_image(image)
        else:
            layer_key, image = shown
            if image.path is None and stored.path is not None:  # of a layer that we have added
                image = replace(image, path=Path(stored.path))
        layer = self._bridge.layer(layer_key)
        if layer is not None:
            layer.visible = True
        self._projects.use_image(image, layer_key)

    def _is_shown(self, key: str) -> bool:
        return self._bridge.find("image", key) is not None

    def open_recent(self, folder: Path) -> None:
        """Open a project of the list; one that is gone is taken off it."""
        entry = next((recent for recent in recent_projects() if recent.folder == folder), None)
        if entry is not None and not entry.is_there:
            self._voice.attempt(partial(forget_project, folder))
            self._voice.warn(
                f"There is no project in “{folder}” any more. If you moved it, choose "
                "Project ▸ Open project…."
            )
        else:
            self._projects.open_project(folder)
        self.update()

    def show_recent(self) -> None:
        """Offer the recent projects in the menu."""
        project = self._session.project
        current = None if project is None else project.folder
        others = [entry for entry in recent_projects() if entry.folder != current]
        self._bar.offer_recent([_menu_entry(entry) for entry in others[:MENU_LENGTH]])

    def _rename(self, name: str) -> None:
        project = self._session.project
        if project is None or not self._voice.attempt(partial(project.update, name=name)):
            self.update()
            return
        self._remember(project)
        self._show_folder(project, name)
        self._voice.say(f"The project is now called “{name}”.")

    def _mark_done(self, key: str, done: bool) -> None:
        project = self._session.project
        if project is not None:
            self._voice.attempt(partial(mark_done, project, key, done=done))
        self.update()

    # --- what happened -----------------------------------------------------------------------

    def _project_changed(self) -> None:
        project = self._session.project
        if project is not None:
            self._remember(project)
            self._show_folder(project, project.name)
        self.jobs.cancel("read")

    def _show_folder(self, project: Project, name: str) -> None:
        automatic = is_hidden(project.folder)
        self._bar.show_project_folder(project.folder, name, automatic=automatic)

    def _image_changed(self) -> None:
        project, image = self._session.project, self._session.image
        if project is not None:
            path = None if image is None else image.path
            self._bar.suggested = suggested_place(project, path)

    def _remember(self, project: Project) -> None:
        try:
            remember_project(project)
        except StorageError:
            return  # the list is a convenience: nothing of the project is lost without it


def is_hidden(folder: Path | None) -> bool:
    """Whether a project lies where the program puts those that nobody has saved yet."""
    return folder is not None and folder.is_relative_to(projects_root())


def suggested_place(project: Project, image: Path | None) -> Path:
    """Return where *Save as* suggests to save: beside the image, named by it or by the project."""
    if not is_hidden(project.folder):
        return project.folder.with_name(f"{project.folder.name} copy")
    if image is None:
        return Path.home() / f"{file_name(project.name)} project"
    return Path(image).absolute().parent / f"{file_name(Path(image).stem)} project"


def _menu_entry(entry: RecentProject) -> tuple[Path, str, bool]:
    """Return folder and words of a recent project, and whether it is still there."""
    when = entry.when if entry.is_there else "not found"
    return entry.folder, f"{entry.name}  ·  {when}", entry.is_there
