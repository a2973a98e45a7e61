"""The images of a project at a glance: cells, annotations, whether they are done, a thumbnail."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import (
    HemaCellsError,
    ImageError,
    ProjectError,
    StorageError,
)
from napari_hemacells.core.files.fsio import atomic_path, read_bytes, write_bytes
from napari_hemacells.core.image import read_image
from napari_hemacells.core.image.reading_options import DEFAULT_READING, ReadingOptions
from napari_hemacells.core.pictures.contact_sheet import sheet_image

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate.state import AnnotationState
    from napari_hemacells.core.store.project import Project
    from napari_hemacells.core.types import SmearImage

DONE, THUMBNAILS = "done.json", "thumbnails"
SIDE = 96  # pixels of a thumbnail's longer side
_LIMIT = 2**20  # bytes


@dataclass(frozen=True)
class ImageSummary:
    """An image of a project at a glance.

    Attributes
    ----------
    cells
        How many are saved; ``None`` before any were detected, or where the file is damaged.
    annotated
        How many of its cells the current annotator gave a class.
    done
        Whether the user said that the image is done.
    """

    key: str
    name: str
    cells: int | None
    annotated: int
    done: bool


def summarise_images(project: Project, state: AnnotationState) -> tuple[ImageSummary, ...]:
    """Return every image of the project, in the order they were added."""
    done = done_images(project)
    return tuple(
        ImageSummary(
            stored.key,
            stored.name,
            _count_cells(project, stored.key),
            len(state.annotations_of_image(stored.key)),
            stored.key in done,
        )
        for stored in project.images
    )


def _count_cells(project: Project, key: str) -> int | None:
    try:
        return len(project.cell_ids(key)) if project.has_cells(key) else None
    except ProjectError:
        return None


def done_images(project: Project) -> frozenset[str]:
    """Return the keys of the images that are done; none where the file is damaged."""
    file = project.folder / DONE
    if not file.is_file():
        return frozenset()
    try:
        keys = json.loads(read_bytes(file, _LIMIT))
    except (ValueError, RecursionError, StorageError):
        return frozenset()
    known = {stored.key for stored in project.images}
    return frozenset(key for key in keys if key in known) if _are_texts(keys) else frozenset()


def _are_texts(keys: object) -> bool:
    return isinstance(keys, list) and all(isinstance(key, str) for key in keys)


def mark_done(project: Project, key: str, *, done: bool) -> None:
    """Note that an image is done, or that it is not.

    Raises
    ------
    StorageError
        The project cannot be written.
    """
    keys = done_images(project) | {key} if done else done_images(project) - {key}
    write_bytes(project.folder / DONE, json.dumps(sorted(keys)).encode() + b"\n")


def project_reading(project: Project) -> ReadingOptions:
    """Return how the images of a project are read from their files: with one scale of values.

    Only files are looked at that have more than 8 bits a sample and do not say how many are used.
    """
    files = []
    for stored in project.images:
        if stored.modality == "colour" and stored.kind != "pictures":
            with suppress(HemaCellsError):  # told when the image is read
                files.append(project.locate(stored.key))
    return ReadingOptions.for_files(files)


def project_image(
    project: Project,
    key: str,
    reading: ReadingOptions = DEFAULT_READING,
    opened: SmearImage | None = None,
) -> SmearImage:
    """Return an image of a project: the one in memory where its scale is the project's.

    Parameters
    ----------
    reading
        How the images of the project are read.
    opened
        The image in memory, if it is open.

    Raises
    ------
    HemaCellsError
        The file was moved or changed, or cannot be read.
    """
    if opened is not None and (opened.path is None or not reading.rescales(opened)):
        return opened
    return read_stored_image(project, key, reading)


def thumbnail_steps(
    project: Project, images: tuple[SmearImage, ...] = ()
) -> Generator[tuple[str, NDArray[np.uint8]], None, None]:
    """Yield ``(rows, cols, 3)`` uint8 of each image that can be read, with its key.

    They are kept in the project's folder ``thumbnails``, which may be deleted at any time.

    Parameters
    ----------
    images
        Those that are open; others are read from their files.
    """
    opened = {image.key: image for image in images}
    reading: ReadingOptions | None = None  # guessed only where a thumbnail is missing
    for stored in project.images:
        file = project.folder / THUMBNAILS / f"{stored.key}.png"
        try:
            picture = _read_thumbnail(file)
            if picture is None:
                reading = reading or project_reading(project)
                image = project_image(project, stored.key, reading, opened.get(stored.key))
                picture = make_thumbnail(image)
                _write_thumbnail(file, picture)
        except (ImageError, StorageError):
            continue  # shown without a picture; opening the image tells why
        yield stored.key, picture


def read_stored_image(
    project: Project, key: str, reading: ReadingOptions = DEFAULT_READING
) -> SmearImage:
    """Return an image as it was added: read from its file, or the sheet of a folder of pictures.

    Parameters
    ----------
    reading
        How the images of the project are read.

    Raises
    ------
    ProjectError
        It was moved or changed.
    ImageError
        It cannot be read.
    """
    stored = project.image(key)
    if stored.kind == "pictures":
        return sheet_image(project.load_pictures(key))
    # The content was checked; under the key it was added with, its annotations are found.
    return replace(reading.read(project.locate(key), stored.groups), key=key)


def make_thumbnail(image: SmearImage) -> NDArray[np.uint8]:
    """Return the image, at most 96 pixels long, as ``(rows, cols, 3)`` uint8."""
    if image.sheet is not None:
        return image.sheet.preview()
    source = image.pixels if image.overview is None else image.overview
    step = max(1, -(-max(source.shape[:2]) // SIDE))
    values = np.asarray(source[::step, ::step], dtype=np.float64)
    if source.dtype != np.uint8:  # temperatures
        low, high = np.nanmin(values), np.nanmax(values)
        values = 255 * (values - low) / ((high - low) or 1.0)
    if values.ndim == 2:
        values = np.repeat(values[..., np.newaxis], 3, axis=2)
    return np.ascontiguousarray(values[..., :3].astype(np.uint8))


def _read_thumbnail(file: Path) -> NDArray[np.uint8] | None:
    if not file.is_file():
        return None
    try:
        pixels = read_image(file).pixels
    except ImageError:
        return None  # made anew
    small = pixels.ndim == 3 and max(pixels.shape[:2]) <= SIDE
    return np.asarray(pixels) if small else None


def _write_thumbnail(file: Path, picture: NDArray[np.uint8]) -> None:
    from PIL import Image

    with atomic_path(file) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")
