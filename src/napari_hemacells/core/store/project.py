"""A project folder: what a session keeps, reopened as it was.

::

    project.json                  name, images by path and hash, settings
    journal.jsonl                 classes and annotations, append-only
    cells/<image key>.labels.tif  label image and table (.masks.npz of a large image); .cells.csv
                                beside it is a copy to read
    pictures/<image key>.json     numbers of the pictures of a folder (:mod:`.project_pictures`)
    detection/<image key>/        parts of a detection that was interrupted
    models/                       fine-tuned detectors and classifiers
    adapted/<day and time>/       encoders adapted to the project's cells
    siamese/<day and time>/       likenesses that were trained
    embeddings/                   cache; may be deleted at any time

Where a session is kept that nobody has named yet.

The cells of a project's images as they count: detected, and corrected by hand.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from napari_hemacells.core.annotate.cell_edits import apply_corrections
from napari_hemacells.core.annotate.history import History, open_history, replay
from napari_hemacells.core.annotate.journal import read_journal, scan_journal, torn_line_sentence
from napari_hemacells.core.cell_masks import LazyLabels
from napari_hemacells.core.errors import ProjectError, StorageError
from napari_hemacells.core.files.fsio import (
    atomic_folder,
    discard,
    file_name,
    recover,
    set_aside,
    storage_error,
    sweep,
)
from napari_hemacells.core.files.safe_files import (
    check_tree,
    copy_regular,
    is_regular,
    unreadable_error,
)
from napari_hemacells.core.pictures.contact_sheet import ContactSheet, sheet_of
from napari_hemacells.core.store import image_paths, project_pictures
from napari_hemacells.core.store.cells_file import (
    read_cell_ids,
    read_cells,
    read_masks,
    write_cells,
    write_csv,
    write_masks,
)
from napari_hemacells.core.store.schema import (
    FILE_NAME,
    JOURNAL_NAME,
    DamagedProjectError,
    ProjectFile,
    StoredImage,
    read_project_file,
    write_project_file,
)
from napari_hemacells.core.types import Groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari_hemacells.core.annotate.palette import Palette
    from napari_hemacells.core.annotate.state import AnnotationState
    from napari_hemacells.core.params import ClassifyParams, DetectParams
    from napari_hemacells.core.pictures import CellPictures
    from napari_hemacells.core.types import Cells, CropSpec, EncoderInfo, SmearImage


_FOLDERS = (
    "cells",
    "pictures",
    "detection",
    "models",
    "adapted",
    "siamese",
    "embeddings",
    "export",
)
_LOCK_NAME = f"{FILE_NAME}.lock"
_FILES = (
    FILE_NAME, _LOCK_NAME, JOURNAL_NAME, f"{JOURNAL_NAME}.lock", f"{JOURNAL_NAME}.torn",
)  # fmt: skip
_PATIENCE = 10.0  # seconds that another process may take to write project.json


class Project:
    """A project folder; use :meth:`create` or :meth:`open`.

    Attributes
    ----------
    folder
        Where it lies.
    content
        What ``project.json`` holds; every change of it is on the disk when a method returns.
    notices
        Sentences about what was not as it should be, for the user to read.
    """

    def __init__(self, folder: Path, content: ProjectFile) -> None:
        self.folder = folder
        self.content = content
        self.notices: list[str] = []

    @classmethod
    def create(cls, folder: str | Path, name: str | None = None) -> Project:
        """A new project in a folder that holds none yet.

        Raises
        ------
        ProjectError
            Where there is a project already.
        StorageError
            Where the folder cannot be written, and for links among what it holds.
        """
        where = Path(folder).expanduser().absolute()
        check_tree(where, (*_FILES, *_FOLDERS))
        if is_regular(where / FILE_NAME):
            raise ProjectError(
                f"“{where}” holds a project already: open it, or choose another folder."
            )
        content = ProjectFile(name=name or where.name)
        write_project_file(where, content)
        return cls(where, content)

    @classmethod
    def open(cls, folder: str | Path) -> Project:
        """The project of a folder (or of its ``project.json``).

        What killed processes left in it is cleared up. Without a ``project.json``, the journal
        alone makes it a project, whose images have to be opened again.

        Raises
        ------
        ProjectError
            Where there is none, or one that is damaged or of a newer version.
        StorageError
            For links, pipes or devices among its files, and for one that may not be read.
        """
        where = Path(folder).expanduser().absolute()
        where = where.parent if where.name == FILE_NAME else where
        recover(where)
        check_tree(where, (*_FILES, *_FOLDERS))
        found = is_regular(where / FILE_NAME) or not is_regular(where / JOURNAL_NAME)
        project = cls(where, read_project_file(where) if found else ProjectFile(name=where.name))
        if not found:
            project.notices.append(
                f"“{FILE_NAME}” was missing, and the project starts from its journal: open its "
                "images again, and their cells and annotations come back."
            )
        sweep(where, _FOLDERS)
        return project

    @property
    def name(self) -> str:
        """What the user calls it."""
        return self.content.name

    @property
    def images(self) -> tuple[StoredImage, ...]:
        """The images in the order they were added."""
        return self.content.images

    @property
    def journal_path(self) -> Path:
        """Where classes and annotations are."""
        return self.folder / JOURNAL_NAME

    @property
    def embeddings_folder(self) -> Path:
        """Where the embedding cache may lie."""
        return self.folder / "embeddings"

    def open_history(self, annotator: str, palette: Palette | None = None) -> History:
        """The annotations, replayed from the journal; the journal stays locked until closed.

        ``palette`` is what a new project starts with. Raises as
        :func:`~napari_hemacells.core.annotate.history.open_history` does.
        """
        missing = self.content.journal and not is_regular(self.journal_path)
        history = open_history(self.journal_path, annotator, palette)
        try:
            if missing:
                self.notices.append(_missing_journal(self.journal_path))
            if not self.content.journal:
                self._write({"journal": True})
        except BaseException:
            history.close()
            raise
        return history

    def update(
        self,
        *,
        name: str | None = None,
        encoder: EncoderInfo | None = None,
        crop: CropSpec | None = None,
        detect: DetectParams | None = None,
        encoder_name: str | None = None,
        classify: ClassifyParams | None = None,
    ) -> None:
        """Keep these settings; what is ``None`` stays."""
        given = {
            "name": name, "encoder": encoder, "crop": crop, "detect": detect,
            "encoder_name": encoder_name, "classify": classify,
        }  # fmt: skip
        self._write({key: value for key, value in given.items() if value is not None})

    @property
    def classifier(self) -> Path | None:
        """Folder of the fine-tuned model that the project uses; ``None`` for clicks alone."""
        chosen = self.content.classifier
        return None if chosen is None else self.folder / chosen

    def choose_classifier(self, model: Path | None) -> None:
        """Use this model, a folder inside the project's, from now on; or none."""
        chosen = None if model is None else model.relative_to(self.folder).as_posix()
        self._write({"classifier": chosen})

    @property
    def likeness(self) -> Path | None:
        """Folder of the likeness that the project uses; ``None`` for that of its annotations."""
        chosen = self.content.likeness
        return None if chosen is None else self.folder / chosen

    def choose_likeness(self, folder: Path | None) -> None:
        """Use this likeness, a folder inside the project's, from now on; or none."""
        chosen = None if folder is None else folder.relative_to(self.folder).as_posix()
        self._write({"likeness": chosen})

    def image(self, image_key: str) -> StoredImage:
        """What the project knows of an image.

        Raises
        ------
        ProjectError
            For an image that does not belong to the project.
        """
        for stored in self.images:
            if stored.key == image_key:
                return stored
        raise ProjectError(f"The project “{self.name}” holds no image {image_key}: add it first.")

    def add_image(self, image: SmearImage) -> StoredImage:
        """Take an image in by path and hash, or bring up to date what is known of it.

        What is known of its file, origin and pixel size stays where `image`, as one that was
        read from a layer, says nothing of it.
        """
        sheet = sheet_of(image)
        if sheet is not None:
            self.save_pictures(sheet.pictures)
        stored = StoredImage(
            key=image.key,
            kind="image" if sheet is None else "pictures",
            name=image.name,
            shape=image.shape,
            modality=image.modality,
            pixel_size_um=image.pixel_size_um,
            groups=image.groups,
            **image_paths.image_reference(self.folder, image.path),
        )
        known = next((one for one in self.images if one.key == image.key), None)
        if known is not None:
            stored = _with_what_was_known(stored, known)
        self._put(stored)
        return stored

    def locate(self, image_key: str) -> Path:
        """The file of an image, with the content it had when it was added.

        Raises
        ------
        ProjectError
            Where it was moved or changed: a sentence that asks for it (:meth:`relink`).
        """
        stored = self.image(image_key)
        if stored.kind == "pictures":
            return project_pictures.locate_pictures(self.folder, stored)
        places = image_paths.candidate_paths(self.folder, stored)
        if not places:
            raise ProjectError(
                f"The image “{stored.name}” was a layer without a file: open it in napari, "
                "and the project finds it by its content."
            )
        there = [path for path in places if path.exists()]
        for path in there:
            if image_paths.has_content(path, stored):
                return path
        if there:
            raise ProjectError(
                f"“{there[0]}” has changed since “{stored.name}” was annotated: "
                "point to the file as it was."
            )
        raise ProjectError(
            f"The image “{stored.name}” is not at “{places[-1]}” any more: point to where it is."
        )

    def relink(self, image_key: str, path: str | Path) -> Path:
        """The same path, noted as the image's place after its content was checked.

        Raises
        ------
        ProjectError
            For a file that cannot be read or shows another image.
        """
        stored, file = self.image(image_key), Path(path).expanduser().absolute()
        if not file.exists():
            raise ProjectError(f"There is no file “{file}”.")
        if stored.kind == "pictures":
            place = project_pictures.folder_of(self.folder, stored, file)
        else:
            place = file if image_paths.has_content(file, stored) else None
        if place is None:
            raise ProjectError(
                f"“{file}” is not the image “{stored.name}” that was annotated: its content is "
                "another one. Choose the original file."
            )
        self._put(stored.model_copy(update=image_paths.image_reference(self.folder, place)))
        return place

    def pictures_path(self, image_key: str) -> Path:
        """Where the numbers of a folder of pictures are kept."""
        return project_pictures.numbers_file(self.folder, image_key)

    def save_pictures(self, pictures: CellPictures) -> None:
        """Keep the numbers of a folder of pictures; raises :class:`StorageError`."""
        pictures.save(self.pictures_path(pictures.key))

    def load_pictures(self, image_key: str) -> CellPictures:
        """The numbered pictures of a folder, as it is now; raises :class:`ProjectError`."""
        return project_pictures.load_pictures(self.folder, self.image(image_key))

    def has_cells(self, image_key: str) -> bool:
        """Whether cells of this image are kept."""
        paths = (self._cells_path, self._masks_path, self.pictures_path)
        return any(path(image_key).is_file() for path in paths)

    def save_cells(self, image_key: str, cells: Cells) -> None:
        """Keep the cells of an image; raises :class:`StorageError`."""
        tif, masks = self._cells_path(self.image(image_key).key), self._masks_path(image_key)
        csv = tif.with_name(f"{image_key}.cells.csv")
        if isinstance(cells.labels, LazyLabels):
            write_masks(masks, cells.labels, cells)
            write_csv(csv, cells.table)
            discard(tif)
        else:
            write_cells(tif, csv, cells)
            discard(masks)

    def load_cells(self, image_key: str) -> Cells:
        """The cells of an image as they were saved.

        Raises
        ------
        ProjectError
            Where none were saved, or the file is damaged.
        """
        stored = self.image(image_key)
        if not self.has_cells(image_key):
            raise ProjectError(f"No cells of “{stored.name}” were saved: detect them.")
        if stored.kind == "pictures":
            return ContactSheet(self.load_pictures(image_key)).cells()
        masks = self._masks_path(image_key)
        return read_masks(masks) if masks.is_file() else read_cells(self._cells_path(image_key))

    def cell_ids(self, image_key: str) -> frozenset[int]:
        """The ids of the cells of an image as they were saved; raises :class:`ProjectError`."""
        paths = (self.pictures_path(image_key), self._masks_path(image_key))
        there = (path for path in paths if path.is_file())
        return read_cell_ids(next(there, self._cells_path(image_key)))

    def copy_to(self, folder: str | Path) -> Project:
        """A copy of everything in another folder, to go on with there.

        Links stay behind, and the copy's notices name them.

        Raises
        ------
        ProjectError
            For a folder that holds anything.
        StorageError
            Where it cannot be written.
        """
        where = Path(folder).expanduser().absolute()
        try:
            taken = os.path.lexists(where) and (not where.is_dir() or any(where.iterdir()))
        except OSError as error:
            raise unreadable_error(error, where) from error
        if taken:
            raise ProjectError(f"“{where}” is not empty: choose a new folder.")
        if where.is_relative_to(self.folder):
            raise ProjectError("A project cannot be saved inside itself: choose another folder.")
        with atomic_folder(where) as temporary:
            ignored = shutil.ignore_patterns("*.lock", ".*.part", ".*.old", ".*.tmp")
            left_behind = copy_regular(self.folder, temporary, ignored)
        copy = Project(where, self.content)
        copy._change(
            lambda content: {
                "images": tuple(
                    image_paths.rebase_reference(where, image) for image in content.images
                )
            }
        )
        if left_behind:
            names = ", ".join(f"“{path.relative_to(self.folder)}”" for path in left_behind)
            copy.notices.append(
                f"Not copied, because it is a link or no file: {names}. Copy what it stands for "
                "by hand, if you need it."
            )
        return copy

    def _cells_path(self, image_key: str) -> Path:
        return self.folder / "cells" / f"{image_key}.labels.tif"

    def _masks_path(self, image_key: str) -> Path:
        return self.folder / "cells" / f"{image_key}.masks.npz"

    def _write(self, changes: dict[str, Any]) -> None:
        self._change(lambda _: changes)

    def _change(self, make: Callable[[ProjectFile], dict[str, Any]]) -> None:
        """Change some values of the file as it is now: others may have it open as well."""
        with self._locked():
            there = self._content_on_disk()
            content = there.model_copy(update=make(there))
            if content != there or not is_regular(self.folder / FILE_NAME):
                write_project_file(self.folder, content)
        self.content = content

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self.folder / _LOCK_NAME
        is_regular(lock)
        try:
            self.folder.lstat()  # a lock would make it again
            with FileLock(lock, timeout=_PATIENCE):
                yield
        except Timeout as error:
            raise StorageError(
                f"Another window or program is writing “{self.folder / FILE_NAME}”: wait a "
                "moment, and do it again."
            ) from error
        except OSError as error:
            raise storage_error(error, lock, f"“{FILE_NAME}” was not saved") from error

    def _content_on_disk(self) -> ProjectFile:
        """What the file holds now; where it was deleted or damaged meanwhile, what we know."""
        path = self.folder / FILE_NAME
        try:
            return read_project_file(self.folder) if is_regular(path) else self.content
        except DamagedProjectError:
            aside = set_aside(path, "damaged")
            self.notices.append(
                f"“{path}” was damaged while the project was open. It was written anew, and the "
                f"damaged one is kept as “{aside.name}”."
            )
            return self.content

    def _put(self, stored: StoredImage) -> None:
        if stored not in self.images:
            self._change(
                lambda content: {
                    "images": tuple(
                        (
                            {image.key: image for image in content.images} | {stored.key: stored}
                        ).values()
                    )
                }
            )


def _with_what_was_known(stored: StoredImage, known: StoredImage) -> StoredImage:
    """What is stored of an image, with gaps filled by what was stored before."""
    groups = {field.name: getattr(stored.groups, field.name) or getattr(known.groups, field.name)
              for field in fields(Groups)}  # fmt: skip
    update: dict[str, Any] = {"groups": Groups(**groups)}
    if stored.pixel_size_um is None:
        update["pixel_size_um"] = known.pixel_size_um
    if stored.path is None:
        update |= {name: getattr(known, name) for name in ("path", "relative", "file_sha256")}
    return stored.model_copy(update=update)


def projects_root() -> Path:
    """The user's folder for such projects, by the custom of the system; it may not exist yet."""
    import platformdirs

    return Path(platformdirs.user_data_path("hemacells", appauthor=False)) / "projects"


def default_folder(image: SmearImage, root: Path | None = None) -> Path:
    """The folder for a project that starts with this image, named by it and by its content."""
    return (root or projects_root()) / f"{file_name(image.name)}-{image.key}"


def holds_project(folder: Path) -> bool:
    """Whether a folder holds a ``project.json``, damaged or not.

    Raises
    ------
    StorageError
        For a link in its place, and where one may not look.
    """
    return is_regular(folder / FILE_NAME)


def find_project(
    key: str, root: Path | None = None, elsewhere: Iterable[Path] = ()
) -> Path | None:
    """The folder of the project last changed that holds this image, ``None`` without one.

    Looked through are the projects in `root` (the user's own if ``None``) and those `elsewhere`.
    """
    files = {folder / FILE_NAME for folder in elsewhere}
    files.update((root or projects_root()).glob(f"*/{FILE_NAME}"))
    newest = max((file for file in files if _holds(file, key)), key=_changed_at, default=None)
    return None if newest is None else newest.parent


def _changed_at(file: Path) -> float:
    """When a project or its annotations were changed last, in seconds."""
    both = (file, file.with_name(JOURNAL_NAME))
    return max((path.stat().st_mtime for path in both if path.is_file()), default=0.0)


def _holds(file: Path, image_key: str) -> bool:
    try:
        return any(image.key == image_key for image in read_project_file(file.parent).images)
    except StorageError:
        return False  # a damaged project is told when it is opened, not when another is sought


def annotation_state(project: Project) -> AnnotationState:
    """Return what the journal of a project says, whether it is open elsewhere or not.

    A last line that is torn is left out, with a sentence among the project's notices.

    Raises
    ------
    ProjectError
        For a damaged journal, and for one that is missing although there was one.
    """
    path = project.journal_path
    if is_regular(path):
        state = replay(read_journal(path))
        if scan_journal(path).tail:
            project.notices.append(torn_line_sentence(path))
        return state
    if project.content.journal:
        raise ProjectError(_missing_journal(path))
    return replay(())


def _missing_journal(path: Path) -> str:
    return (
        f"The annotations of this project are missing: there is no “{path}” any more. If a "
        "backup or a sync tool has it, close the project, put it back, and open it again."
    )


def corrected_cells(
    project: Project, image_key: str, state: AnnotationState | None = None
) -> Cells:
    """Return the detected cells of an image with the user's corrections; no session is needed.

    Parameters
    ----------
    state
        From :func:`annotation_state`, where several images are asked for.

    Raises
    ------
    ProjectError
        Where no cells were saved, or they or the journal are damaged.
    """
    journal_state = annotation_state(project) if state is None else state
    return apply_corrections(
        project.load_cells(image_key), journal_state.corrections_of(image_key)
    )
