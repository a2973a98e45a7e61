"""Opens a folder of pictures in the dock, reads its tiles, and keeps it up to date."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QFileSystemWatcher, QObject, QTimer, Signal

from napari_hemacells.core.errors import HemaCellsError, StorageError
from napari_hemacells.core.pictures import read_labels
from napari_hemacells.core.pictures.contact_sheet import sheet_of
from napari_hemacells.core.store import projects_root
from napari_hemacells.core.store.project_pictures import open_pictures, tiles_file
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets import project_images
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from napari_hemacells.core.pictures import CellPictures, PictureChanges
    from napari_hemacells.core.pictures.contact_sheet import ContactSheet
    from napari_hemacells.core.store.project_pictures import OpenedPictures
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
    from napari_hemacells.widgets.detect.panel import DetectPanel
    from napari_hemacells.widgets.message_bar import Notifier
    from napari_hemacells.widgets.pictures.panel import PicturesPanel

BREASTS = "breasts"  # folder of the crops, in that of the exports
BATCH = 32  # pictures that are read between two looks at what is in sight
_REDRAW_MS = 250
_LOOK_MS = 150  # between two looks at what was shown and is not sharp yet
_REST_MS = 1500  # files come one by one: the folder is looked at once it rests
_WATCHED = 200  # folders


def opening_steps(folder: Path, current: Path | None) -> Generator[Progress, None, OpenedPictures]:
    """Return the pictures of a folder with their numbers."""
    yield Progress(0, 0, "Opening the folder")
    opened = open_pictures(folder, projects_root(), current)
    yield Progress(0, 0, "Opening the folder")
    _ = opened.pictures.modality  # read now, in the thread
    return opened


def tile_steps(sheet: ContactSheet, file: Path) -> Generator[Progress, None, None]:
    """Read the tiles of a sheet: those in sight sharp and first, then all others small."""
    if not sheet.loaded.any():
        sheet.read_tiles(file)
        yield Progress(0, 0)
    fresh = False
    while True:
        wanted = sheet.take_wanted(BATCH)
        shown = sheet.load_thumbnails(BATCH)
        rest = [] if wanted or shown else sheet.not_loaded()[:BATCH].tolist()
        if not wanted and not rest:
            if shown:
                yield Progress(0, 0)
                continue
            break
        fresh = fresh or bool(rest)
        sheet.load(wanted or rest, sharp=bool(wanted))
        yield Progress(0, 0)
    if fresh:
        try:
            sheet.save_tiles(file)
        except StorageError:
            return  # they are read again next time


def looking_steps(pictures: CellPictures) -> Generator[Progress, None, PictureChanges]:
    """Return what has changed in the folder of pictures."""
    yield Progress(0, 0)
    return pictures.rescan()


def breast_steps(
    files: Sequence[Path], out: Path
) -> Generator[Progress, None, tuple[Path, list[str]]]:
    """Write the crops of the breasts; return their folder, and why frames were left out."""
    from napari_hemacells.core.thermography.export_regions import CROPS, export_regions_steps

    _, left_out = yield from export_regions_steps(files, out, crops="breasts")
    return out / CROPS, left_out


class PicturesController(QObject):
    """The behaviour of folders of pictures.

    Signals
    -------
    changed
        A folder is being opened, or was: buttons need an update.
    drawn
        More pictures were read: views of them need painting.
    """

    changed = Signal()
    drawn = Signal()

    def __init__(
        self,
        panel: PicturesPanel,
        detect: DetectPanel,
        session: Session,
        bridge: ViewerBridge,
        voice: Notifier,
    ) -> None:
        super().__init__()
        self.panel, self._detect = panel, detect
        self._session, self._bridge, self._voice = session, bridge, voice
        self._pending: PictureChanges | None = None  # found, not shown yet
        self._left_out = ""  # of the thermograms, while their breasts are opened
        self.jobs = JobRunner(self)
        self.jobs.returned.connect(self._returned)
        self.jobs.refused.connect(self._refused)
        self.jobs.failed.connect(self._failed)
        self.jobs.progressed.connect(self._progressed)
        self.jobs.stopped.connect(self._stopped)
        self._redraw = _timer(self, _REDRAW_MS, self._draw)
        self._rest = _timer(self, _REST_MS, self._look_quietly)
        self._look = QTimer(self)
        self._look.setInterval(_LOOK_MS)
        self._look.timeout.connect(self._read_wanted)
        self._watcher = QFileSystemWatcher(self)
        self._watcher.directoryChanged.connect(self._rest.start)
        panel.classes_requested.connect(self.take_classes)
        panel.table_chosen.connect(self.take_table)
        panel.look_requested.connect(self.look_for_pictures)
        panel.breasts_requested.connect(self.open_breasts)
        self._subscriptions = Subscriptions(self)
        events = session.events
        self._subscriptions.add(events.image, self._image_changed)
        for signal in (events.annotations, events.corrected, events.embeddings):
            self._subscriptions.add(signal, self._update_if_seen)
        # Not a method of self, which knows the dock.
        self.close_callbacks = (self._subscriptions.drop, self._look.stop, self.jobs.close)

    # --- opening -----------------------------------------------------------------------------

    def open_folder(self, folder: Path) -> None:
        """Open a folder of pictures in its project, or in a new one."""
        current = None if self._session.project is None else self._session.project.folder
        self._voice.say("Opening the folder …")
        self.jobs.start("open", partial(opening_steps, folder, current))
        self.changed.emit()

    def _opened(self, opened: OpenedPictures) -> None:
        fresh = opened.project is None

        def show() -> None:
            image = self._session.project_of_pictures(opened)
            project_images.select_image(self._session, self._bridge, image)
            self._bridge.viewer.reset_view()

        if not self._voice.attempt(show):
            return
        self._welcome(opened.pictures)
        if fresh and len(set(opened.pictures.annotations().values())) > 1:
            self.take_classes()
        self.changed.emit()

    def _welcome(self, pictures: CellPictures) -> None:
        there, annotated = len(pictures) - len(pictures.missing), len(self._session.annotated)
        known = f" {annotated:,} are annotated." if annotated else ""
        self._voice.say(
            f"{there:,} pictures, one cell each.{known} Go on to Annotate: choose a picture and "
            "press the key of its class, or drag pictures into the bins of the light table."
        )
        if self._left_out:
            self._voice.warn(f"{there:,} crops. {self._left_out}")
            self._left_out = ""

    def open_breasts(self) -> None:
        """Cut the breasts out of the thermograms, and open the folder of these crops."""
        project, sheet = self._session.project, sheet_of(self._session.image)
        if project is not None and sheet is not None:
            numbers = [int(number) for number in sheet.cells().ids]
            files = [sheet.pictures.path(number) for number in numbers]
            out = project.folder / "export" / BREASTS
            self.jobs.start("export", partial(breast_steps, files, out))
            self.changed.emit()

    def _open_crops(self, folder: Path, left_out: list[str]) -> None:
        self._left_out = " ".join(left_out)
        self.open_folder(folder)

    # --- classes -----------------------------------------------------------------------------

    def take_classes(self) -> None:
        """Take over the classes of the folders or of a table; the user's own stay."""
        sheet = sheet_of(self._session.image)
        if sheet is None:
            return
        names = sheet.pictures.annotations()
        taken = 0

        def take() -> None:
            nonlocal taken
            taken = self._session.take_classes(names)

        if self._voice.attempt(take):
            classes = len(set(names.values()))
            self._voice.say(
                f"{taken:,} pictures have their class by their folder or table "
                f"({classes} {'class' if classes == 1 else 'classes'}). Ctrl+Z takes this back."
                if taken
                else "Every picture with a class in the folder or table is annotated already."
            )
        self.update()

    def take_table(self, file: Path) -> None:
        """Take over the classes in a table, and say what did not match."""
        sheet = sheet_of(self._session.image)
        project = self._session.project
        if sheet is None or project is None:
            return
        try:
            matched = sheet.pictures.apply_labels(read_labels(file))
            project.save_pictures(sheet.pictures)
        except HemaCellsError as error:
            self._voice.fail(str(error))
            return
        self.take_classes()
        if matched.sentences:
            self._voice.warn(" ".join([f"{len(matched.rows):,} rows fit.", *matched.sentences]))

    # --- new and missing pictures ------------------------------------------------------------

    def look_for_pictures(self) -> None:
        """Look at the folder again and show what is new or missing."""
        self._rest.stop()
        if self._pending is not None:
            self._show_changes(self._pending)
            return
        sheet = sheet_of(self._session.image)
        if sheet is not None:
            self.jobs.start("read", partial(looking_steps, sheet.pictures))

    def accept_offer(self) -> None:
        """Show the changes that the message bar told of."""
        if self._pending is not None:
            self._show_changes(self._pending)

    def _look_quietly(self) -> None:
        """Look at the folder after a file came or went; tell, and change nothing yet."""
        sheet = sheet_of(self._session.image)
        if sheet is not None and not self.jobs.running("read"):
            self.jobs.start("watch", partial(looking_steps, sheet.pictures))

    def _tell_changes(self, changes: PictureChanges) -> None:
        self._pending = join_changes(self._pending, changes)
        if self._pending is not None:
            self._voice.offer(
                f"The folder has changed: {format_changes(self._pending)}. Annotations are kept.",
                "Show the changes",
                self.accept_offer,
            )

    def _show_changes(self, changes: PictureChanges) -> None:
        self._pending = None
        if not changes.any:
            self._voice.say("The folder holds the same pictures as before.")
            return

        def show() -> None:
            sheet = sheet_of(self._session.image)
            image = None if sheet is None else self._session.changed_sheet(changes)
            if image is not None:
                project_images.select_image(self._session, self._bridge, image)

        if self._voice.attempt(show):
            self._voice.say(f"{format_changes(changes).capitalize()}. Annotations are kept.")

    # --- what is shown -----------------------------------------------------------------------

    def update(self, _what: object = None) -> None:
        """Show the section where the image is a folder of pictures."""
        sheet = sheet_of(self._session.image)
        self._detect.show_pictures(shown=sheet is not None)
        self.panel.setVisible(sheet is not None)
        if sheet is None:
            return
        pictures, annotated = sheet.pictures, self._session.annotated
        waiting = sum(number not in annotated for number in pictures.annotations())
        self.panel.show_pictures(pictures, waiting, format_notes(pictures))

    def _update_if_seen(self, _what: object = None) -> None:
        if self.panel.isVisible():
            self.update()

    def _image_changed(self) -> None:
        self._pending = None
        for kind in ("tiles", "read", "watch"):
            self.jobs.cancel(kind)
        sheet = sheet_of(self._session.image)
        if self._watcher.directories():
            self._watcher.removePaths(self._watcher.directories())
        self._look.stop()
        self.update()
        if sheet is not None:
            self._watcher.addPaths(_watched_folders(sheet.pictures))
            self._look.start()
            self._read_tiles()

    def _read_tiles(self) -> None:
        project, sheet = self._session.project, sheet_of(self._session.image)
        if project is not None and sheet is not None:
            file = tiles_file(project.folder, sheet.pictures.key)
            self.jobs.start("tiles", partial(tile_steps, sheet, file))

    def _read_wanted(self) -> None:
        """Read what was shown meanwhile and is not sharp yet."""
        sheet = sheet_of(self._session.image)
        if sheet is not None and sheet.has_wishes and not self.jobs.running("tiles"):
            self._read_tiles()

    def _draw(self) -> None:
        image = self._session.image
        if image is not None:
            self._bridge.redraw_image(image.key)
            self.drawn.emit()

    # --- what came back ----------------------------------------------------------------------

    def _progressed(self, kind: str, progress: Progress) -> None:
        if kind == "tiles" and not self._redraw.isActive():
            self._redraw.start()
        elif kind == "export":
            self._voice.say(f"{progress.message}: {progress.done:,} of {progress.total:,}")

    def _returned(self, kind: str, result: object) -> None:
        if kind == "open":
            self._opened(result)  # type: ignore[arg-type]
        elif kind == "read":
            self._show_changes(result)  # type: ignore[arg-type]
        elif kind == "watch":
            self._tell_changes(result)  # type: ignore[arg-type]
        elif kind == "tiles":
            self._redraw.start()
        elif kind == "export":
            self._open_crops(*result)  # type: ignore[misc]

    def _refused(self, _kind: str, error: HemaCellsError) -> None:
        self._voice.fail(str(error))

    def _failed(self, kind: str, error: Exception) -> None:
        if kind != "tiles":
            self._voice.fail(f"The folder could not be read ({error}). Annotations are safe.")

    def _stopped(self, _kind: str) -> None:
        self.changed.emit()


def join_changes(before: PictureChanges | None, after: PictureChanges) -> PictureChanges | None:
    """Return both changes as one, ``None`` for none."""
    if before is None:
        return after if after.any else None
    kinds = ("added", "missing", "back", "moved", "changed")
    numbers = {kind: {*getattr(before, kind), *getattr(after, kind)} for kind in kinds}
    numbers["missing"] -= set(after.back)
    return type(after)(**{kind: tuple(sorted(found)) for kind, found in numbers.items()})


def format_changes(changes: PictureChanges) -> str:
    """``12 new pictures, 1 missing``."""
    parts = [
        (len(changes.added), "new"), (len(changes.missing), "missing"),
        (len(changes.back), "there again"), (len(changes.moved), "renamed"),
        (len(changes.changed), "with another content"),
    ]  # fmt: skip
    told = [f"{count:,} {what}" for count, what in parts if count]
    return f"pictures: {', '.join(told)}" if told else "the same pictures"


def format_notes(pictures: CellPictures) -> list[str]:
    """Sentences on files that are missing, unreadable or no pictures."""
    notes = []
    missing = sorted(pictures.missing)
    if missing:
        first = pictures.entry(missing[0]).name
        notes.append(
            f"{first} is missing. Its annotation is kept."
            if len(missing) == 1
            else f"{len(missing):,} pictures are missing, such as {first}. Their annotations are "
            "kept."
        )
    notes += [why for number, why in sorted(pictures.unreadable.items()) if number not in missing]
    return [*notes, *pictures.passed_over]


def _watched_folders(pictures: CellPictures) -> list[str]:
    """The folder and those in it that hold pictures; not more than a system can watch."""
    parents = {pictures.folder, *(pictures.folder / name for name in _parents(pictures.names))}
    return [str(path) for path in sorted(parents)[:_WATCHED] if path.is_dir()]


def _parents(names: tuple[str, ...]) -> set[str]:
    return {name.rsplit("/", 1)[0] for name in names if "/" in name}


def _timer(parent: QObject, milliseconds: int, slot: Callable[[], None]) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(slot)
    return timer
