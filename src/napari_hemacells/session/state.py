"""The open project, history, image and cells, and the events that report their changes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from psygnal import Signal, SignalGroup

from napari_hemacells import layers
from napari_hemacells.core import annotate
from napari_hemacells.core.encode.catalog import portable_name
from napari_hemacells.core.encode.weights_store import file_sha256
from napari_hemacells.core.errors import (
    CellsError,
    ImageError,
    ProjectError,
    StorageError,
)
from napari_hemacells.core.files.fsio import file_name
from napari_hemacells.core.pictures.contact_sheet import sheet_image, sheet_of
from napari_hemacells.core.train.selfsupervised.encoder_store import list_encoders
from napari_hemacells.core.train.siamese.likeness_store import list_networks
from napari_hemacells.session.cached_embeddings import cell_embeddings, picture_embeddings
from napari_hemacells.session.cell_edits import CellsChange
from napari_hemacells.session.kept_cells import CellsRequest, keep_cells
from napari_hemacells.session.live_classifier import LiveClassifier
from napari_hemacells.session.not_cells import remember_not_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate import Annotation, CellRecord, History, Palette
    from napari_hemacells.core.annotate.cell_edits import Corrections
    from napari_hemacells.core.classify import SupportSet
    from napari_hemacells.core.classify.odd_ones import OddOnes
    from napari_hemacells.core.pictures import PictureChanges
    from napari_hemacells.core.pictures.contact_sheet import ContactSheet
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.store.project_pictures import OpenedPictures
    from napari_hemacells.core.types import (
        CellRef,
        Cells,
        Embeddings,
        Prediction,
        SmearImage,
    )
    from napari_hemacells.layers import CellColourCodes, DisplayMode

_Table = TypeVar("_Table")

ADAPTED_PREFIX, SIAMESE_PREFIX = "adapted:", "siamese:"


def project_encoder_name(project: Project) -> str:
    """Return the name of the project's encoder, as it can be loaded on this computer.

    An adapted encoder or a siamese network is named by its file in this computer's weights store.
    Where that file is missing, the project's own copy is used, recognised by the hash that is its
    file name.
    """
    name = project.content.encoder_name
    own_files = {ADAPTED_PREFIX: list_encoders, SIAMESE_PREFIX: list_networks}
    for prefix, files in own_files.items():
        file = Path(name.removeprefix(prefix))
        if not name.startswith(prefix) or file.is_file():
            continue
        for own in files(project):
            if file_sha256(own) == file.stem:
                try:
                    return portable_name(f"{prefix}{own}")
                except StorageError:
                    return f"{prefix}{own}"  # good enough to look at cells with
    return name


def format_left_out(reasons: Sequence[str]) -> str:
    """One sentence on pictures that were left out; three reasons at most."""
    named = " ".join(reason for reason in reasons[:3] if reason)
    more = " …" if len(reasons) > 3 else ""
    if len(reasons) == 1:
        return f"1 picture was left out. {named}"
    return f"{len(reasons):,} pictures were left out. {named}{more}"


class SessionEvents(SignalGroup):
    """Events of a session; each is emitted after the state has changed."""

    project = Signal()
    image = Signal()
    cells = Signal()  # other cells altogether
    corrected = Signal(object)  # CellsChange: a few cells were added, deleted, split or merged
    palette = Signal()
    annotations = Signal(tuple)  # ids of the cells of this image whose annotation changed
    embeddings = Signal()
    prediction = Signal()
    model = Signal()
    odd_ones = Signal()  # the odd ones of the image are known, or not any more
    settings = Signal()  # with what cells are looked at, or how they are classified
    shift = Signal()  # how far the image is from what the classifier knows, or what is done of it
    active_class = Signal(object)
    noticed = Signal(str)  # a sentence about the project's files that the user has to know


class SessionState:
    """The open project with its images, cells and annotations.

    Parameters
    ----------
    annotator
        The name that is saved with each annotation; only this annotator's annotations count.
        Empty: the sole annotator of a project that is reopened, else the name of the account.
    """

    def __init__(self, annotator: str = "") -> None:
        self.events = SessionEvents()
        self.project: Project | None = None
        self.history: History | None = None
        self.image: SmearImage | None = None
        self.cells: Cells | None = None
        self.live = LiveClassifier()
        self._requested_annotator = annotator
        self._active: str | None = None
        self._change = 0
        self._known_state: tuple[object, ...] = ()
        self._odd_ones: tuple[SmearImage, OddOnes] | None = None
        self._tables: dict[Hashable, Any] = {}

    # --- project and image -------------------------------------------------------------------

    def use_project(self, project: Project, palette: Palette | None = None) -> None:
        """Open this project; the one before is closed, with everything saved.

        Parameters
        ----------
        palette
            The classes that a new project starts with.

        Raises
        ------
        StorageError
            Where its journal cannot be written, or another window has it open.
        """
        if self.project is not None and self.project.folder == project.folder:
            return
        annotator = self._requested_annotator or annotate.default_annotator()
        history = project.open_history(annotator, palette)
        self._continue_as_sole_annotator(history)
        self.close()
        self.project, self.history = project, history
        self.live.encoder = project_encoder_name(project)
        self.live.params = project.content.classify
        self._active = self.palette.ids[0] if self.palette.ids else None
        self.events.project.emit()
        self.events.palette.emit()
        self.events.active_class.emit(self._active)
        self._tell_notices()

    def open_image(self, image: SmearImage, saved: Cells | None = None) -> None:
        """Show an image in the open project, in the project that knows it, or in a new one.

        Without an open project, the last project that holds this image is reopened, wherever it
        was saved; if there is none, one is made in the user's data folder, so that annotations
        are always saved.
        """
        from napari_hemacells.core.store import (
            Project,
            default_folder,
            find_project,
            holds_project,
        )
        from napari_hemacells.core.store.recent import recent_projects

        if self.project is None:
            folders = [entry.folder for entry in recent_projects() if entry.is_there]
            folder = find_project(image.key, elsewhere=folders) or default_folder(image)
            if holds_project(folder):  # a damaged one says so
                self.use_project(Project.open(folder))
            else:
                new = Project.create(folder, image.name)
                self.use_project(new, annotate.palette_for(image.modality))
        self.show_image(image, saved)

    def open_folder_project(self, folder: Path, names: Sequence[str]) -> None:
        """Open the project of class folders that a network is trained on, or make one.

        Parameters
        ----------
        names
            The classes that a new project starts with.

        Raises
        ------
        StorageError
            The project cannot be written, or is open in another window.
        """
        from napari_hemacells.core.store import Project, projects_root
        from napari_hemacells.core.store.project import holds_project

        key = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
        where = projects_root() / f"{file_name(folder.name)}-{key}"
        known = holds_project(where)
        project = Project.open(where) if known else Project.create(where, folder.name)
        self.use_project(project, annotate.palette_with(annotate.Palette(), names, ()))

    def open_pictures(self, folder: Path) -> None:
        """Show a folder of pictures of one cell each, in the project that holds it.

        If none does, one is made in the user's data folder.

        Raises
        ------
        ImageError
            There is no picture in the folder.
        StorageError
            The project cannot be written, or is open in another window.
        """
        from napari_hemacells.core.store import projects_root
        from napari_hemacells.core.store.project_pictures import open_pictures

        current = None if self.project is None else self.project.folder
        self.show_image(self.project_of_pictures(open_pictures(folder, projects_root(), current)))

    def project_of_pictures(self, opened: OpenedPictures) -> SmearImage:
        """Open the project of a folder of pictures, or make one; return the pictures' sheet."""
        from napari_hemacells.core.store import Project
        from napari_hemacells.core.store.project import default_folder, holds_project

        image = sheet_image(opened.pictures)
        if opened.project is not None:
            if self.project is None or self.project.folder != opened.project:
                self.use_project(Project.open(opened.project))
            return image
        folder = default_folder(image)
        known = holds_project(folder)  # that does not know the pictures any more
        project = Project.open(folder) if known else Project.create(folder, image.name)
        self.use_project(project, annotate.palette_for(opened.pictures.modality))
        return image

    def look_for_pictures(self) -> PictureChanges:
        """Look at the folder of pictures again, and show what is new or missing.

        Numbers and annotations of missing pictures are kept.

        Raises
        ------
        ImageError
            The image in use is no folder of pictures.
        """
        sheet = sheet_of(self._need_image())
        if sheet is None:
            raise ImageError("This image is no folder of pictures: open a folder of them first.")
        changes = sheet.pictures.rescan()
        image = self.changed_sheet(changes)
        if image is not None:
            self.show_image(image)
        return changes

    def changed_sheet(self, changes: PictureChanges) -> SmearImage | None:
        """The contact sheet with what has changed in its folder; ``None`` if nothing has.

        Show it with :meth:`show_image`.
        """
        sheet = sheet_of(self.image)
        if sheet is None or not changes.any:
            return None
        image = sheet_image(sheet.pictures)
        fresh = sheet_of(image)
        if fresh is not None:
            fresh.take_tiles(sheet)
            fresh.forget((*changes.changed, *changes.back))
        return image

    def show_image(self, image: SmearImage, saved: Cells | None = None) -> None:
        """Show an image of the open project with its saved cells; a new image is added.

        Parameters
        ----------
        saved
            Its cells, where they were read in a thread.
        """
        project = self._need_project()
        if problem := remember_not_cells(self.embeddings, self.annotated):
            self.events.noticed.emit(problem)
        if self.live.embeddings is not None:
            self.live.remember(self.live.embeddings, self.annotated)
        project.add_image(image)
        self.image, self.cells = image, None
        self.live.forget_cells()
        self.events.image.emit()
        sheet = sheet_of(image)
        if sheet is not None:
            self._put_cells(sheet.cells())
        elif project.has_cells(image.key):
            cells = project.load_cells(image.key) if saved is None else saved
            self._put_cells(annotate.apply_corrections(cells, self._corrections(image.key)))
        self._tell_notices()

    def save_as(self, folder: Path) -> None:
        """Go on in a copy of the project in a folder that the user chose."""
        self._need_history().rejoin()
        image, embeddings, model = self.image, self.embeddings, self.live.model
        self.use_project(self._need_project().copy_to(folder))
        self.live.model = model
        if image is not None:
            self.show_image(image)
        if embeddings is not None:
            self.set_embeddings(embeddings)

    def close(self) -> None:
        """Close the project; everything is saved already."""
        if problem := remember_not_cells(self.embeddings, self.annotated):
            self.events.noticed.emit(problem)
        if self.history is not None:
            self.history.close()
            self._tell_notices()
        self.project = self.history = self.image = self.cells = None
        self.live.forget_project()

    def _tell_notices(self) -> None:
        """Tell what was found out about the project's files."""
        for source in (self.project, self.history):
            while source is not None and source.notices:
                self.events.noticed.emit(source.notices.pop(0))

    def _continue_as_sole_annotator(self, history: History) -> None:
        """Use the name of the project's only annotator, whatever this account is called."""
        names = list(history.state.by_annotator)
        if not self._requested_annotator and len(names) == 1:
            history.state.annotator = names[0]

    # --- cells -------------------------------------------------------------------------------

    def set_cells(self, cells: Cells) -> None:
        """Set the cells of the image; annotated and hand-made cells survive with their ids.

        This holds for every annotator, and an id is not reused as long as an undoable step may
        refer to it. Cells that the user has deleted are not added again.
        """
        request = self.cells_request(cells)
        self.put_kept(request, keep_cells(request))

    def cells_request(self, cells: Cells) -> CellsRequest:
        """Freeze what :func:`~.kept_cells.keep_cells` needs to keep these cells, in a thread."""
        project, image, history = self._need_project(), self._need_image(), self._need_history()
        spoken_of, corrections = history.state.cells_of(image.key), self._corrections(image.key)
        steps = history.can_undo or history.can_redo
        return CellsRequest(
            project,
            image.key,
            cells,
            self.cells,
            frozenset(spoken_of) if spoken_of or corrections or steps else None,
            corrections,
            history.state.last_id(image.key),
            history.changes,
        )

    def put_kept(self, request: CellsRequest, kept: Cells) -> None:
        """Show cells that were kept; what the user did meanwhile is kept too."""
        history, image = self._need_history(), self._need_image()
        if image.key != request.image_key or self.project is not request.project:
            return  # they are saved, and shown when their image is opened again
        if history.changes != request.changes or self.cells is not request.before:
            self.set_cells(request.cells)
            return
        self._put_cells(annotate.apply_corrections(kept, request.corrections))

    def _corrections(self, image_key: str) -> Corrections:
        return self._need_history().state.corrections_of(image_key)

    def _exchange_cells(self, change: CellsChange, records: Collection[CellRecord]) -> None:
        """Replace a few cells; what is known of the others stays."""
        if self.cells is None:
            return
        self.cells = annotate.exchange_cells(self.cells, {*change.removed, *change.added}, records)
        self.live.keep_cells(self.cells, change.added)
        self.events.corrected.emit(change)

    def _put_cells(self, cells: Cells) -> None:
        self.cells = cells
        self.live.forget_cells()
        self.events.cells.emit()

    # --- what is there -----------------------------------------------------------------------

    @property
    def palette(self) -> Palette:
        """The classes, in order."""
        return self._need_history().state.palette

    @property
    def change(self) -> int:
        """Number of the present state: it grows with each change of what is known of the cells."""
        history = self.history
        # The parts that are replaced when they change, and the number of what changes in place.
        known = (
            self.image, self.cells, self.live.latest, self.live.embeddings, self._odd_ones,
            history, history and history.state.annotator, history and history.changes,
        )  # fmt: skip
        same = len(known) == len(self._known_state) and all(
            now is before or (isinstance(now, int | str) and now == before)
            for now, before in zip(known, self._known_state, strict=True)
        )
        if not same:
            self._known_state, self._change = known, self._change + 1
            self._tables.clear()
        return self._change

    def derived(self, name: Hashable, make: Callable[[], _Table]) -> _Table:
        """Return a table made of the present state, for all who want it: read it only.

        Made when it is first asked for after a change, so that nobody waits for what is not seen.
        """
        self.change  # noqa: B018 (tables of an earlier state go)
        if name not in self._tables:
            self._tables[name] = make()
        return cast("_Table", self._tables[name])

    @property
    def annotations(self) -> dict[int, Annotation]:
        """The current annotator's word about cells of this image; read only."""
        history, image = self.history, self.image
        if history is None or image is None:
            return {}
        return self.derived("annotations", lambda: history.state.annotations_of_image(image.key))

    @property
    def annotated(self) -> dict[int, str]:
        """Class id of each annotated cell of this image; read only."""
        return self.derived(
            "annotated",
            lambda: {cell: word.class_id for cell, word in self.annotations.items()},
        )

    @property
    def known_classes(self) -> list[str | None]:
        """The class known of each cell in table order, as :func:`~.layers.known_classes` says."""
        cells = self._need_cells()
        return self.derived(
            "classes", lambda: layers.known_classes(cells, self.annotated, self.prediction)
        )

    @property
    def confidences(self) -> NDArray[np.float32]:
        """``(n,)`` confidence of each cell, as :func:`~.layers.confidences` says."""
        cells = self._need_cells()
        return self.derived(
            "confidences", lambda: layers.confidences(cells, self.annotated, self.prediction)
        )

    def colour_codes(self, mode: DisplayMode) -> CellColourCodes:
        """The colour of each cell in a display mode, as :func:`~.layers.colour_codes` says."""
        cells = self._need_cells()
        return self.derived(
            ("colours", mode),
            lambda: layers.colour_codes(
                cells, self.annotated, self.prediction, self.palette, mode, odd=self._odd_ids()
            ),
        )

    @property
    def odd_ones(self) -> OddOnes | None:
        """How odd the cells of the image are, as it was last asked for."""
        if self._odd_ones is None or self._odd_ones[0] is not self.image:
            return None
        return self._odd_ones[1]

    def set_odd_ones(self, odd_ones: OddOnes) -> None:
        """Keep how odd the cells of the open image are."""
        self._odd_ones = (self._need_image(), odd_ones)
        self.events.odd_ones.emit()

    def _odd_ids(self) -> list[int]:
        odd_ones = self.odd_ones
        return [] if odd_ones is None else odd_ones.odd_ids.tolist()

    @property
    def embeddings(self) -> Embeddings | None:
        """Embeddings of the cells shown, once they are known."""
        return self.live.embeddings

    @property
    def prediction(self) -> Prediction | None:
        """Class probabilities of the cells shown."""
        return self.live.prediction

    def set_embeddings(self, embeddings: Embeddings) -> bool:
        """Set the embeddings, unless they are late; return whether they belong to these cells."""
        if self.image is None or self.cells is None:
            return False
        sheet = sheet_of(self.image)
        if sheet is not None and embeddings.image_key == self.image.key:
            self._leave_out_unreadable(sheet)
        if not self.live.put(embeddings, self.cells, self.image.key):
            return False
        self.recall()
        self.events.embeddings.emit()
        return True

    def _leave_out_unreadable(self, sheet: ContactSheet) -> None:
        """Take pictures that turned out to be missing or unreadable out of the cells, and say so.

        What the pictures' contents are is known by now, and kept with their numbers.
        """
        cells = self._need_cells()
        now = sheet.cells(cells.ids)
        gone = np.setdiff1d(cells.ids, now.ids)
        if len(gone):
            boxes = tuple(map(tuple, sheet.boxes(gone).tolist()))
            self.cells = now
            self.live.keep_cells(now, ())
            self.events.corrected.emit(CellsChange(tuple(gone.tolist()), (), boxes))
            reasons = [sheet.pictures.unreadable.get(number, "") for number in gone.tolist()]
            self.events.noticed.emit(format_left_out(reasons))
        self._need_project().save_pictures(sheet.pictures)

    def recall(self, *, again: bool = False) -> None:
        """Add annotated cells of the project's other images to the support set, if cached.

        Cells that cannot be read are left out; the user is told when their image is opened.

        Parameters
        ----------
        again
            Also read images that were read before: more of their cells may be cached now.
        """
        here = self.embeddings
        if here is None:
            return
        project, state = self._need_project(), self._need_history().state
        for stored in project.images:
            annotated = state.annotations_of_image(stored.key)
            elsewhere = stored.key != here.image_key
            fresh = again or not self.live.has_support_from(stored.key, here)
            if not (elsewhere and fresh and annotated and project.has_cells(stored.key)):
                continue
            words = {cell: annotation.class_id for cell, annotation in annotated.items()}
            try:
                if stored.kind == "pictures":
                    kept, _ = picture_embeddings(project, stored.key, here, list(words))
                    self.live.remember(kept, words)
                    continue
                saved = project.load_cells(stored.key)
                cells = annotate.apply_corrections(saved, self._corrections(stored.key))
            except ProjectError:
                continue
            kept, _ = cell_embeddings(project, stored.key, here, cells)
            self.live.remember(kept, words)

    def support(self) -> SupportSet | None:
        """The support set of the classifier: every annotated cell with its class."""
        return self.live.support(self.class_of_cell())

    def class_of_cell(self) -> dict[CellRef, str]:
        """Class id of each annotated cell of all images of the project."""
        return {
            ref: annotation.class_id
            for ref, annotation in self._need_history().state.labels.items()
        }

    # --- what must be there ------------------------------------------------------------------

    def _need_project(self) -> Project:
        if self.project is None:
            raise ProjectError("No project is open: choose an image first.")
        return self.project

    def _need_history(self) -> History:
        if self.history is None:
            raise ProjectError("No project is open: choose an image first.")
        return self.history

    def _need_image(self) -> SmearImage:
        if self.image is None:
            raise ImageError("No image is chosen: open a smear, then choose it under Detect.")
        return self.image

    def _need_cells(self) -> Cells:
        if self.cells is None:
            raise CellsError(
                "No cells yet: press Detect cells, or choose a layer that holds cells."
            )
        return self.cells
