"""Points with classes, by image: of a table, of annotation files, of a project's cells."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_hemacells.core.errors import CellsError, HemaCellsError, StorageError
from napari_hemacells.core.evaluate.detection_datasets import read_fields
from napari_hemacells.core.evaluate.detection_metrics import Boxes
from napari_hemacells.core.files.own_files import without_clutter
from napari_hemacells.core.files.text_tables import read_table
from napari_hemacells.core.image.files import image_name, is_image
from napari_hemacells.core.store.project import annotation_state, corrected_cells

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.store.project import Project
    from napari_hemacells.core.types import SmearImage

COLUMNS = {
    "image": ("image", "frame", "file", "filename", "picture"),
    "row": ("row", "y"),
    "column": ("column", "col", "x"),
    "class": ("class", "label", "type", "state"),
    "group": ("group", "movie", "video", "patient", "slide"),
}
STATES = {1.0: "alive", 0.5: "not sure", 0.0: "dead"}  # as consensus tables number them
NO_CLASS = "cell"  # of points in a table without a single class
MAX_POINTS = 1_000_000
MAX_PLACE = 1e7  # pixels; no image is larger


class ImagePoints(NamedTuple):
    """The points of one image.

    Attributes
    ----------
    source
        Its file, or the image itself.
    name
        As tables call it.
    positions
        ``(n, 2)`` rows and columns, (0, 0) the middle of the first pixel.
    classes
        ``(n,)`` class of each point.
    group
        What a split keeps together; empty: the image.
    """

    source: Path | SmearImage
    name: str
    positions: NDArray[np.float64]
    classes: tuple[str, ...]
    group: str = ""


@dataclass(frozen=True)
class FoundPoints:
    """Points by image, and sentences about what was left out."""

    images: tuple[ImagePoints, ...]
    notes: tuple[str, ...] = ()


def read_point_table(table: Path, images: Sequence[Path]) -> FoundPoints:
    """Return the points of a CSV with the columns image, row, column and class.

    An image may be named with its ending or without. A ``state`` of 1, 0.5 or 0 is alive, not
    sure or dead. Where no point has a class, all are called "cell". A row with an image alone
    says that it has no points. The columns ``movie``, ``group``,
    ``patient`` or ``slide`` keep images together when they are split.

    Raises
    ------
    StorageError
        The file cannot be read.
    CellsError
        No such table: a column is missing, a place is no number, or a name fits no image or two.
    """
    try:
        read = read_table(table)
    except OSError as error:
        raise StorageError(f"{table} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise CellsError(f"{table.name} cannot be read: {error}.") from error
    lower = {name.casefold(): name for name in reversed(read.columns)}
    where = {
        key: next((lower[name] for name in names if name in lower), None)
        for key, names in COLUMNS.items()
    }
    missing = [key for key in ("image", "row", "column", "class") if where[key] is None]
    if missing:
        raise CellsError(
            f"{table.name} has no column “{missing[0]}”: image, row, column and class are needed."
        )
    if len(read.rows) > MAX_POINTS:
        raise CellsError(f"{table.name} has more than {MAX_POINTS:,} points: divide it.")
    unnamed = not any(row[str(where["class"])].strip() for row in read.records())
    places: dict[str, list[tuple[float, float]]] = defaultdict(list)
    classes: dict[str, list[str]] = defaultdict(list)
    groups: dict[str, str] = {}
    for (line, _), row in zip(read.rows, read.records(), strict=True):
        values = {key: "" if name is None else row[name].strip() for key, name in where.items()}
        image = values["image"]
        known = groups.setdefault(image, values["group"])
        if values["group"] != known:
            raise CellsError(f"{table.name}, line {line}: {image} is in two groups.")
        if not values["row"] and not values["column"]:
            continue
        name = NO_CLASS if unnamed else _class_name(values["class"])
        if not name or not image:
            missed = "image" if not image else "class"
            raise CellsError(f"{table.name}, line {line}: the {missed} is missing.")
        places[image].append(_place(values, f"{table.name}, line {line}"))
        classes[image].append(name)
    files = _match(list(places), images, table)
    return FoundPoints(
        tuple(
            ImagePoints(
                files[name], files[name].name, np.array(own), tuple(classes[name]), groups[name]
            )
            for name, own in places.items()
        )
    )


def _place(values: dict[str, str], where: str) -> tuple[float, float]:
    try:
        row, column = float(values["row"]), float(values["column"])
    except ValueError:
        row = column = np.nan
    if not (abs(row) <= MAX_PLACE and abs(column) <= MAX_PLACE):
        raise CellsError(
            f"{where}: “{values['row']}, {values['column']}” is no row and column in pixels."
        )
    return row, column


def _class_name(text: str) -> str:
    try:
        return STATES.get(float(text), text)
    except ValueError:
        return text


def _match(names: list[str], images: Sequence[Path], table: Path) -> dict[str, Path]:
    """Return the image file that each name means: by name with its ending, else without it."""
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        for name in {path.name, path.stem, image_name(path)}:
            by_name[name].append(path)
    found = {}
    for name in names:
        last = name.replace("\\", "/").rsplit("/", 1)[-1]
        fitting = [path for path in by_name[last] if path.name == last] or by_name[last]
        if len(fitting) != 1:
            what = "is none" if not fitting else f"are {len(fitting)}"
            raise CellsError(
                f"{table.name} names the image “{name}”: there {what} of that name among the "
                f"{len(images)} images given."
            )
        found[name] = fitting[0]
    twice = [name for name in names if sum(file == found[name] for file in found.values()) > 1]
    if twice:
        raise CellsError(f"{table.name} names one image in two ways, one of them “{twice[0]}”.")
    return found


def read_annotated_points(annotations: Path, images: Sequence[Path]) -> FoundPoints:
    """Return the centres of boxes (Pascal VOC, COCO, YOLO), or the points of text files.

    Classes are called as the annotation calls them, usual names of blood cells as the detector.

    Raises
    ------
    CellsError
        Annotations that are missing or of another form, or that fit no image.
    """
    fields, without = read_fields(images, annotations)
    notes = [note for field in fields for note in field.notes]
    notes += [f"{field.path.name} was left out: {field.refused}" for field in fields
              if field.refused]  # fmt: skip
    if without:
        notes.append(f"{len(without)} images have no annotation, {without[0].name} among them.")
    found = []
    for field in fields:
        truth = field.truth
        if field.refused or not len(truth.classes):
            continue
        if isinstance(truth, Boxes):  # from edges to the middles of pixels
            positions = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / 2 - 0.5
        else:
            positions = np.asarray(truth.centres)
        names = tuple(str(name).strip() or "cell" for name in truth.classes)
        found.append(ImagePoints(field.path, field.path.name, positions, names))
    if not found:
        raise CellsError(f"{annotations} holds no cell in any of the {len(images)} images.")
    return FoundPoints(tuple(found), tuple(notes))


def project_points(project: Project) -> FoundPoints:
    """Return the centres of a project's annotated cells, with the present annotator's classes.

    Raises
    ------
    ProjectError
        The journal is damaged.
    CellsError
        No cell is annotated.
    """
    state = annotation_state(project)
    found, notes = [], []
    for stored in project.images:
        annotations = state.annotations_of_image(stored.key)
        if not annotations or stored.kind == "pictures":
            continue
        try:
            cells = corrected_cells(project, stored.key, state)
            path = project.locate(stored.key)
        except HemaCellsError as error:
            notes.append(f"{stored.name} was left out: {error}")
            continue
        kept = [cell for cell in annotations if cell in cells.position]
        rows = [cells.position[cell] for cell in kept]
        names = tuple(state.palette.by_id(annotations[cell].class_id).name for cell in kept)
        groups = stored.groups
        group = groups.patient or groups.slide or ""
        if kept:
            boxes = cells.boxes[rows].astype(np.float64)
            middles = (boxes[:, :2] + boxes[:, 2:]) / 2 - 0.5
            found.append(ImagePoints(path, path.name, middles, names, group))
    if not found:
        reason = f" {notes[0]}" if notes else " Give cells a class first."
        raise CellsError(f"The project {project.name} has no annotated cell to crop.{reason}")
    return FoundPoints(tuple(found), tuple(notes))


def images_of_folder(folder: Path) -> list[Path]:
    """Return the image files directly in a folder.

    Raises
    ------
    CellsError
        The folder cannot be read or holds no image.
    """
    try:
        files = sorted(path for path in without_clutter(folder.iterdir()) if is_image(path))
    except OSError as error:
        raise CellsError(f"The folder {folder} cannot be read ({error.strerror}).") from error
    if not files:
        raise CellsError(f"There is no image in {folder}.")
    return files
