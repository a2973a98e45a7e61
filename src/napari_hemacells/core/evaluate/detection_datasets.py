"""Reading images with annotated cells: Pascal VOC, COCO, YOLO and files of centre points.

Some formats state the size of the picture that was annotated. Where the picture has another size,
the annotation is scaled with a note, or refused.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias
from xml.etree import ElementTree as ET

import numpy as np

from napari_hemacells.core.errors import CellsError, ImageError
from napari_hemacells.core.evaluate.detection_metrics import Boxes
from napari_hemacells.core.evaluate.yolo import (
    NAME_LISTS,
    looks_like_yolo,
    parse_yolo,
    yolo_class_names,
)
from napari_hemacells.core.files.own_files import is_hidden
from napari_hemacells.core.files.safe_files import open_stream
from napari_hemacells.core.files.text_tables import decode_text, read_text_file
from napari_hemacells.core.image import read_image
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.types import PLATELET, RBC, WBC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.image.plane_selection import PlaneSelection

SIDES = ("ymin", "xmin", "ymax", "xmax")
MAX_FILE_BYTES = 256 * 2**20
ASPECT_TOLERANCE = 0.02  # by which two scales of one picture differ from rounding
OVERHANG = 0.05  # of a side, that an annotation may reach beyond the picture


@dataclass(frozen=True, eq=False)
class AnnotatedPoints:
    """Annotated centres of one image: ``(n, 2)`` (row, column) and ``(n,)`` class names."""

    centres: NDArray[np.float64]
    classes: NDArray[np.str_]


Truth: TypeAlias = Boxes | AnnotatedPoints


@dataclass(frozen=True, eq=False)
class ImageAnnotation:
    """The annotation of one image as its file has it, before the image is read.

    Attributes
    ----------
    size
        Rows and columns of the picture that was annotated; ``None`` where the file has no size.
    relative
        Whether the sides are divided by the picture's.
    notes
        Sentences about what was corrected or left out.
    """

    truth: Truth
    size: tuple[float, float] | None = None
    relative: bool = False
    notes: tuple[str, ...] = ()


def _no_cells() -> Boxes:
    return Boxes(np.empty((0, 4)), np.empty(0, np.str_), np.empty(0))


def read_voc(file: Path, least_side: float = 1.0) -> Boxes:
    """Return the boxes of a Pascal VOC file; those with a side below `least_side` are left out.

    Corners in the wrong order are put right.

    Raises
    ------
    CellsError
        Not XML, or a box without four numbers.
    """
    truth = parse_voc(file, least_side).truth
    assert isinstance(truth, Boxes)  # noqa: S101  # the form has no points
    return truth


def parse_voc(file: Path, least_side: float = 1.0) -> ImageAnnotation:
    """Return boxes, size and notes of a Pascal VOC file; raises as :func:`read_voc`."""
    boxes, names = [], []
    try:
        root = ET.fromstring(_bytes(file))  # noqa: S314
        for item in root.iter("object"):
            boxes.append([float(item.findtext(f"bndbox/{side}", "")) for side in SIDES])
            names.append(item.findtext("name", "").strip())
        size = (_side(root, "height"), _side(root, "width"))
        table = np.array(boxes, np.float64).reshape(-1, 4)
        if not np.isfinite(table).all():
            raise ValueError("a box is not finite")  # noqa: TRY301
    except Exception as error:
        raise CellsError(f"{file.name} is not a Pascal VOC annotation ({error}).") from error
    notes = []
    if swapped := int((table[:, 2:] < table[:, :2]).any(axis=1).sum()):
        notes.append(f"{file.name}: {swapped} boxes had their corners swapped and were put right.")
        table = np.hstack([np.minimum(table[:, :2], table[:, 2:]),
                           np.maximum(table[:, :2], table[:, 2:])])  # fmt: skip
    whole = (table[:, 2:] - table[:, :2] >= least_side).all(axis=1)
    if not whole.all():
        notes.append(f"{file.name}: {int((~whole).sum())} boxes without area were left out.")
    truth = Boxes(table[whole], np.array(names, np.str_)[whole], np.ones(int(whole.sum())))
    return ImageAnnotation(truth, size if all(size) else None, notes=tuple(notes))


def _side(root: ET.Element, name: str) -> float:
    """Return a side of the annotated picture in pixels; 0 where the file does not state it."""
    try:
        side = float(root.findtext(f"size/{name}", "0") or 0)
    except ValueError:
        return 0.0
    return side if np.isfinite(side) and side > 0 else 0.0


def _bytes(file: Path) -> bytes:
    with open_stream(file, follow=True) as stream:
        data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {MAX_FILE_BYTES // 2**20} MB")
    return data


def read_coco(file: Path) -> dict[str, Boxes]:
    """Return the boxes of each image of a COCO detection file, by the image's file name.

    Crowd regions are left out, since they are no single cells, and so are boxes without area.

    Raises
    ------
    CellsError
        Not COCO JSON, or two images of one file name.
    """
    annotations = parse_coco(file)
    return {
        name: annotation.truth
        for name, annotation in annotations.items()
        if isinstance(annotation.truth, Boxes)
    }


def parse_coco(file: Path) -> dict[str, ImageAnnotation]:
    """Return boxes, size and notes of each image of a COCO file; raises as :func:`read_coco`."""
    try:
        content = json.loads(decode_text(_bytes(file)))
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        files = {image["id"]: _file_name(image["file_name"]) for image in content["images"]}
        sizes = {image["id"]: _coco_size(image) for image in content["images"]}
        cells_of: dict[Any, list[tuple[list[float], str]]] = {number: [] for number in files}
        empty: dict[Any, int] = dict.fromkeys(files, 0)
        for annotation in content["annotations"]:
            x, y, width, height = (float(value) for value in annotation["bbox"])
            if not np.isfinite([x, y, width, height]).all():
                raise ValueError("a box is not finite")  # noqa: TRY301
            if annotation.get("iscrowd"):
                continue
            if width > 0 and height > 0:
                box = [y, x, y + height, x + width]
                cells_of[annotation["image_id"]].append((box, names[annotation["category_id"]]))
            else:
                empty[annotation["image_id"]] += 1
    except Exception as error:
        raise CellsError(f"{file.name} is not a COCO annotation ({error!r}).") from error
    if len(set(files.values())) < len(files):
        raise CellsError(f"{file.name} has two images of the same file name.")
    return {
        name: ImageAnnotation(
            _boxes(cells_of[number]),
            sizes[number],
            notes=(f"{name}: {empty[number]} boxes without area were left out.",)
            * bool(empty[number]),
        )
        for number, name in files.items()
    }


def _coco_size(image: dict[str, Any]) -> tuple[float, float] | None:
    size = (float(image.get("height") or 0), float(image.get("width") or 0))
    return size if min(size) > 0 and np.isfinite(size).all() else None


def _file_name(path: str) -> str:
    """Return the file name without the folders of the computer where it was annotated."""
    return PurePosixPath(path.replace("\\", "/")).name


def _boxes(cells: list[tuple[list[float], str]]) -> Boxes:
    """Return annotated boxes with their names."""
    table = np.array([box for box, _ in cells], np.float64).reshape(-1, 4)
    return Boxes(table, np.array([name for _, name in cells], np.str_), np.ones(len(cells)))


def read_points(file: Path) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Return ``(n, 2)`` centres (row, column) and types of a file with lines ``x y type``.

    Raises
    ------
    CellsError
        A line of another form, or numbers that are no pixels.
    """
    return _parse_points(file, _filled_lines(file))


def _filled_lines(file: Path) -> list[list[str]]:
    try:
        lines = [line.split() for line in read_text_file(file, MAX_FILE_BYTES).splitlines()]
    except (OSError, ValueError) as error:
        raise CellsError(f"{file.name} cannot be read as text ({error}).") from error
    return [parts for parts in lines if parts]


def _parse_points(
    file: Path, filled: list[list[str]]
) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    try:
        points = [(float(parts[1]), float(parts[0])) for parts in filled]
    except (ValueError, IndexError) as error:
        raise CellsError(f"{file.name} has a line that is not `x y type` ({error}).") from error
    table = np.array(points, np.float64).reshape(-1, 2)
    if not np.isfinite(table).all():
        raise CellsError(f"{file.name} has a centre that is not finite.")
    if any(len(parts) > 3 and all(map(_is_number, parts)) for parts in filled):
        raise CellsError(
            f"{file.name} has more than three numbers a line: neither centres (`x y type`) nor "
            "YOLO boxes (`class x y width height` from 0 to 1)."
        )
    if len(table) and (table <= 1).all() and (table % 1 != 0).any():
        raise CellsError(
            f"{file.name}: all centres lie between 0 and 1: give them in pixels, or as YOLO boxes "
            "(`class x y width height`)."
        )
    types = [" ".join(parts[2:]) for parts in filled]
    return table, np.array(types, np.str_)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


CLASS_SYNONYMS = {
    RBC: ("rbc", "rbcs", "red blood cell", "red cell", "erythrocyte"),
    WBC: ("wbc", "wbcs", "white blood cell", "white cell", "leukocyte", "leucocyte"),
    PLATELET: ("platelets", "platelet", "plt", "thrombocyte"),
}
_KIND_OF = {name: kind for kind, names in CLASS_SYNONYMS.items() for name in names}


@dataclass(frozen=True, eq=False)
class AnnotatedField:
    """An image file with what is annotated in it.

    Attributes
    ----------
    notes
        Sentences about what was put right, scaled or left out.
    refused
        Why the annotation cannot be used; empty where it can.
    """

    path: Path
    truth: Truth
    notes: tuple[str, ...] = field(default=())
    refused: str = ""


def canonical_class(name: str) -> str:
    """Return the detector's name of a class that has other usual names; others as they are.

    Examples
    --------
    >>> canonical_class("Erythrocyte"), canonical_class("neutrophil")
    ('RBC', 'neutrophil')
    """
    return _KIND_OF.get(name.strip().casefold(), name)


def read_fields(
    images: Sequence[Path],
    annotations: Path,
    *,
    as_class: str | None = None,
    selection: PlaneSelection = WHOLE_PICTURE,
) -> tuple[list[AnnotatedField], list[Path]]:
    """Return the images with their annotations, and the images that have none.

    An annotation that is damaged, or made for another picture, is kept with the reason in
    ``refused``; one for another size of the same picture is scaled, with a note.

    Parameters
    ----------
    annotations
        A folder with ``STEM.xml`` (Pascal VOC) or ``STEM.txt`` (lines ``x y type``, or YOLO's
        ``class x y width height``) for each image, one such file for one image, or a COCO
        ``.json``, in which images are looked up by file name.
    as_class
        The class of every annotated cell, whatever the annotation calls it. Without it, usual
        names (``erythrocyte``, ``platelet``) become those of the detector.
    selection
        The plane of stacks, and the channels.

    Raises
    ------
    CellsError
        Annotations that are missing or of another form, or that fit no image.
    """
    find = _annotation_lookup(annotations, alone=len(images) == 1)
    fields: list[AnnotatedField] = []
    without = []
    alike = Counter(path.stem for path in images)
    for path in images:
        try:
            annotation = find(path)
            if annotation is None:
                without.append(path)
                continue
            truth, notes = _fitted(annotation, path, alike[path.stem], selection)
        except CellsError as error:
            fields.append(AnnotatedField(path, _no_cells(), refused=str(error)))
            continue
        fields.append(AnnotatedField(path, _with_canonical_classes(truth, as_class), notes))
    if not fields:
        raise CellsError(f"{annotations} holds annotations of none of the {len(images)} images.")
    if all(annotated.refused for annotated in fields):
        raise CellsError(f"No annotation can be used. {fields[0].refused}")
    return fields, without


def _fitted(
    annotation: ImageAnnotation, path: Path, alike: int, selection: PlaneSelection
) -> tuple[Truth, tuple[str, ...]]:
    """Return the annotation in pixels of the picture that is there, and notes about it.

    Parameters
    ----------
    alike
        How many of the images have this one's name.

    Raises
    ------
    CellsError
        It was made for another picture, or can be of several.
    """
    if alike > 1:
        raise CellsError(
            f"{alike} of the images are called {path.stem}, and the annotation can be of any: "
            "evaluate one folder at a time."
        )
    try:
        rows, cols = read_image(path, selection=selection).shape
    except ImageError:
        return annotation.truth, annotation.notes  # reading it to work on it says so
    if annotation.relative:
        return _scaled(annotation.truth, rows, cols), annotation.notes
    truth, notes = annotation.truth, annotation.notes
    if annotation.size is not None:
        high, wide = annotation.size
        down, across = rows / high, cols / wide
        made_for = f"{high:.0f} × {wide:.0f} pixels, {path.name} has {rows} × {cols}"
        if abs(down - across) > ASPECT_TOLERANCE * max(down, across):
            raise CellsError(
                f"The annotation was made for a picture of {made_for}: it is another picture, or "
                "a part of it. Annotate this one, or give the one that was annotated."
            )
        if (rows, cols) != (high, wide):
            truth = _scaled(truth, down, across)
            notes = (*notes, f"The annotation was made for {made_for}: it was scaled to that.")
    places = truth.boxes if isinstance(truth, Boxes) else truth.centres
    last = places[:, -2:].max(axis=0, initial=0)
    if (last > np.array([rows, cols]) * (1 + OVERHANG)).any():
        raise CellsError(
            f"The annotation of {path.name} reaches to row {last[0]:.0f} and column "
            f"{last[1]:.0f}, the picture has {rows} × {cols} pixels: it was made for another one."
        )
    return truth, notes


def _scaled(truth: Truth, down: float, across: float) -> Truth:
    if isinstance(truth, Boxes):
        return replace(truth, boxes=truth.boxes * [down, across, down, across])
    return replace(truth, centres=truth.centres * [down, across])


def _with_canonical_classes(truth: Truth, as_class: str | None) -> Truth:
    """Return the annotation with the detector's names of the classes."""
    names = [as_class or canonical_class(str(name)) for name in truth.classes]
    return replace(truth, classes=np.array(names, np.str_))


def _annotation_lookup(
    annotations: Path, *, alone: bool
) -> Callable[[Path], ImageAnnotation | None]:
    """Return a function from an image to its annotation, ``None`` where it has none."""
    if not annotations.exists():
        raise CellsError(f"{annotations} does not exist: there are no annotations.")
    if annotations.is_dir():
        return _in_folder(annotations)
    suffix = annotations.suffix.lower()
    if suffix == ".json":
        return _in_coco(annotations)
    if suffix in TEXT_FORMS:
        read = parse_voc if suffix == ".xml" else _text_reader(annotations.parent, [annotations])
        return lambda path: read(annotations) if alone or path.stem == annotations.stem else None
    raise CellsError(f"{annotations.name} is no annotation: .xml, .txt or .json is needed.")


TEXT_FORMS = (".xml", ".txt")  # a folder of VOC files may hold lists of names, too


def _in_folder(folder: Path) -> Callable[[Path], ImageAnnotation | None]:
    try:
        inside = sorted(file for file in folder.iterdir() if not is_hidden(file))
    except OSError as error:
        raise CellsError(f"The folder {folder} cannot be read ({error.strerror}).") from error
    files = [file for file in inside if file.is_file()]
    for suffix in TEXT_FORMS:
        by_stem = {
            file.stem: file
            for file in files
            if file.suffix.lower() == suffix and file.name not in NAME_LISTS
        }
        if not by_stem:
            continue
        read = parse_voc if suffix == ".xml" else _text_reader(folder, list(by_stem.values()))

        def find(path: Path) -> ImageAnnotation | None:
            file = by_stem.get(path.stem)  # noqa: B023  # returned at once
            return None if file is None else read(file)  # noqa: B023

        return find
    tables = [file for file in files if file.suffix.lower() == ".json"]
    if len(tables) == 1:
        return _in_coco(tables[0])
    raise CellsError(
        f"{folder} holds no annotations: STEM.xml or STEM.txt for each image, or one COCO .json."
    )


def _in_coco(file: Path) -> Callable[[Path], ImageAnnotation | None]:
    known = parse_coco(file)
    return lambda path: known.get(path.name)


def _text_reader(folder: Path, files: Sequence[Path]) -> Callable[[Path], ImageAnnotation]:
    """Return the reader of a folder's text files; the first that is not empty shows the format."""
    yolo = False
    for file in files:
        try:
            lines = _filled_lines(file)
        except CellsError:
            continue
        if lines:
            yolo = looks_like_yolo(lines)
            break
    if not yolo:
        return lambda file: ImageAnnotation(AnnotatedPoints(*read_points(file)))
    names = yolo_class_names(folder)

    def read(file: Path) -> ImageAnnotation:
        lines = _filled_lines(file)
        if lines and not looks_like_yolo(lines):
            raise CellsError(f"{file.name} has a line that is not `class x y width height`.")
        return ImageAnnotation(parse_yolo(lines, names), relative=True)

    return read
