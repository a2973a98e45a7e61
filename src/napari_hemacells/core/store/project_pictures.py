"""Folders of pictures of one cell each in a project: their numbers are kept, they are not copied.

::

    pictures/<key>.json   numbers and names of the pictures, and what is known of their contents
    pictures/<key>.npz    small copies of them for the contact sheet; may be deleted at any time
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import ProjectError, StorageError
from napari_hemacells.core.pictures import CellPictures
from napari_hemacells.core.pictures.table import read_picture_table
from napari_hemacells.core.store.image_paths import candidate_paths
from napari_hemacells.core.store.schema import FILE_NAME, read_project_file

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.core.pictures.table import PictureEntry
    from napari_hemacells.core.store.schema import StoredImage

FOLDER = "pictures"
SAMPLE = 12  # pictures that tell whether a folder is the one that was moved
ALIKE = 0.5  # of the names, where a folder was moved


def numbers_file(project_folder: Path, key: str) -> Path:
    """Where the numbers of a folder's pictures are kept."""
    return project_folder / FOLDER / f"{key}.json"


def tiles_file(project_folder: Path, key: str) -> Path:
    """Where small copies of the pictures are kept."""
    return project_folder / FOLDER / f"{key}.npz"


def locate_pictures(project_folder: Path, stored: StoredImage) -> Path:
    """Return the folder of the pictures: beside the project, or where it was.

    Raises
    ------
    ProjectError
        It is not there, or holds none of the pictures.
    """
    folders = candidate_paths(project_folder, stored)
    entries = read_picture_table(numbers_file(project_folder, stored.key)).entries
    for folder in folders:
        if holds_pictures(folder, entries):
            return folder
    where = f"“{folders[-1]}”" if folders else "its place"
    raise ProjectError(
        f"The pictures of “{stored.name}” are not in {where} any more: choose one of them where "
        "they are now. Annotations are kept."
    )


def holds_pictures(folder: Path, entries: tuple[PictureEntry, ...]) -> bool:
    """Whether a folder holds a picture of these names, where there are any."""
    if not folder.is_dir():
        return False
    return not entries or any((folder / entry.name).is_file() for entry in entries)


def folder_of(project_folder: Path, stored: StoredImage, place: Path) -> Path | None:
    """The folder of the pictures, given itself, a folder in it, or one of them; or ``None``."""
    entries = read_picture_table(numbers_file(project_folder, stored.key)).entries
    for folder in (place, *list(place.parents)[:3]):
        if holds_pictures(folder, entries):
            return folder
    return None


def load_pictures(project_folder: Path, stored: StoredImage) -> CellPictures:
    """The numbered pictures of a project, with the changes of their folder since.

    Raises
    ------
    ProjectError
        The folder is not there, or the table of numbers is damaged.
    """
    where = locate_pictures(project_folder, stored)
    return CellPictures.load(numbers_file(project_folder, stored.key), where)


def picture_numbers(file: Path) -> frozenset[int]:
    """The numbers in a file of :func:`numbers_file`; raises :class:`ProjectError`."""
    return frozenset(entry.number for entry in read_picture_table(file).entries)


@dataclass(frozen=True, eq=False)
class OpenedPictures:
    """A folder of pictures with the numbers they have in a project.

    Attributes
    ----------
    project
        Folder of the project that holds them; ``None`` where none does.
    """

    pictures: CellPictures
    project: Path | None = None


def open_pictures(folder: Path, root: Path, current: Path | None = None) -> OpenedPictures:
    """Return the pictures of a folder, under their numbers where a project knows them.

    Nothing is changed, so this may run in any thread.

    Parameters
    ----------
    root
        The folder of projects.
    current
        Folder of the open project, which is looked into first.

    Raises
    ------
    ImageError
        There is no such folder, or no picture in it.
    ProjectError
        The numbers of the pictures are damaged.
    """
    pictures = CellPictures.open(folder)
    key, project = pictures.key, current
    if current is None or not numbers_file(current, key).is_file():
        stored = find_pictures(pictures, root)
        if stored is None:
            return OpenedPictures(pictures)
        project, key = stored
    if project is None:
        return OpenedPictures(pictures)
    known = CellPictures.load(numbers_file(project, key), pictures.folder)
    return OpenedPictures(known, project)


def find_pictures(pictures: CellPictures, root: Path) -> tuple[Path, str] | None:
    """Return the project that holds these pictures, and the key it knows them by.

    By the place of their folder, else by names and contents: it may have been moved.

    Parameters
    ----------
    root
        The folder of projects.
    """
    moved = None
    files = sorted(root.glob(f"*/{FILE_NAME}"), key=_changed_at, reverse=True)
    for file in files:
        try:
            images = read_project_file(file.parent).images
        except StorageError:
            continue  # a damaged project is told when it is opened
        for stored in images:
            if stored.kind != "pictures":
                continue
            if stored.key == pictures.key:
                return file.parent, stored.key
            if moved is None and _was_moved(file.parent, stored, pictures):
                moved = file.parent, stored.key
    return moved


def _was_moved(project_folder: Path, stored: StoredImage, pictures: CellPictures) -> bool:
    """Whether these are the pictures of the project, whose folder is not where it was."""
    try:
        entries = read_picture_table(numbers_file(project_folder, stored.key)).entries
    except (ProjectError, StorageError):
        return False
    if any(holds_pictures(folder, entries) for folder in candidate_paths(project_folder, stored)):
        return False
    number_of = dict(zip(pictures.names, pictures.numbers.tolist(), strict=True))
    known = [entry for entry in entries if entry.digest and entry.name in number_of]
    shared = sum(entry.name in number_of for entry in entries)
    if not known or shared < ALIKE * len(entries):
        return False
    sample = known[:: -(-len(known) // SAMPLE)]
    digests = pictures.digests([number_of[entry.name] for entry in sample])
    return all(
        row.astype("<i8").tobytes().hex() == entry.digest
        for row, entry in zip(digests, sample, strict=True)
    )


def _changed_at(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
