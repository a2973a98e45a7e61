"""Images with annotated cells: Pascal VOC folders, COCO JSON, files of centre points.

Annotated cells from files: Pascal VOC, COCO, centre points.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np

from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.evaluate.detection_metrics import Boxes
from napari_hemacells.core.types import PLATELET, RBC, WBC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SIDES = ("ymin", "xmin", "ymax", "xmax")


def read_voc(file: Path, least_side: float = 1.0) -> Boxes:
    """Return the boxes of a Pascal VOC file; those with a side below `least_side` are left out.

    Raises
    ------
    CellsError
        Not XML, or a box without four numbers.
    """
    boxes, names = [], []
    try:
        for item in ET.parse(file).getroot().iter("object"):  # noqa: S314
            boxes.append([float(item.findtext(f"bndbox/{side}", "")) for side in SIDES])
            names.append(item.findtext("name", ""))
    except (ET.ParseError, ValueError) as error:
        raise CellsError(f"{file.name} is not a Pascal VOC annotation ({error}).") from error
    table = np.array(boxes, np.float64).reshape(-1, 4)
    whole = (table[:, 2:] - table[:, :2] >= least_side).all(axis=1)
    return Boxes(table[whole], np.array(names, np.str_)[whole], np.ones(int(whole.sum())))


def read_coco(file: Path) -> dict[str, Boxes]:
    """Return the boxes of each image of a COCO detection file, by the image's file name.

    Crowd regions are left out, since they are no single cells, and so are boxes without area.

    Raises
    ------
    CellsError
        Not COCO JSON, or two images of one file name.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        files = {image["id"]: _file_name(image["file_name"]) for image in content["images"]}
        cells_of: dict[Any, list[tuple[list[float], str]]] = {number: [] for number in files}
        for annotation in content["annotations"]:
            x, y, width, height = (float(value) for value in annotation["bbox"])
            if not annotation.get("iscrowd") and width > 0 and height > 0:
                box = [y, x, y + height, x + width]
                cells_of[annotation["image_id"]].append((box, names[annotation["category_id"]]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CellsError(f"{file.name} is not a COCO annotation ({error!r}).") from error
    if len(set(files.values())) < len(files):
        raise CellsError(f"{file.name} has two images of the same file name.")
    return {files[number]: _boxes(cells) for number, cells in cells_of.items()}


def _file_name(path: str) -> str:
    """Return the name without the folders that the data set's maker had."""
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
        A line of another form.
    """
    lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
    filled = [parts for parts in lines if parts]
    try:
        points = [(float(parts[1]), float(parts[0])) for parts in filled]
    except (ValueError, IndexError) as error:
        raise CellsError(f"{file.name} has a line that is not `x y type` ({error}).") from error
    types = [parts[2] if len(parts) > 2 else "" for parts in filled]
    return np.array(points, np.float64).reshape(-1, 2), np.array(types, np.str_)


CLASS_SYNONYMS = {
    RBC: ("rbc", "rbcs", "red blood cell", "red cell", "erythrocyte"),
    WBC: ("wbc", "wbcs", "white blood cell", "white cell", "leukocyte", "leucocyte"),
    PLATELET: ("platelets", "platelet", "plt", "thrombocyte"),
}
_KIND_OF = {name: kind for kind, names in CLASS_SYNONYMS.items() for name in names}


@dataclass(frozen=True, eq=False)
class AnnotatedPoints:
    """Annotated centres of one image: ``(n, 2)`` (row, column) and ``(n,)`` class names."""

    centres: NDArray[np.float64]
    classes: NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class AnnotatedField:
    """An image file with what is annotated in it."""

    path: Path
    truth: Boxes | AnnotatedPoints


def canonical_class(name: str) -> str:
    """Return the detector's name of a class that has other usual names; others as they are.

    Examples
    --------
    >>> kind_of("Erythrocyte"), kind_of("neutrophil")
    ('RBC', 'neutrophil')
    """
    return _KIND_OF.get(name.casefold(), name)


def read_fields(
    images: Sequence[Path], annotations: Path, *, as_class: str | None = None
) -> tuple[list[AnnotatedField], list[Path]]:
    """Return the images with their annotations, and the images that have none.

    Parameters
    ----------
    annotations
        A folder with ``STEM.xml`` (Pascal VOC) or ``STEM.txt`` (lines ``x y type``) for each
        image, one such file for one image, or a COCO ``.json``, in which images are looked up by
        file name.
    as_class
        The class of every annotated cell, whatever the annotation calls it. Without it, usual
        names (``erythrocyte``, ``platelet``) become those of the detector.

    Raises
    ------
    CellsError
        Annotations that are missing or of another form, or that fit no image.
    """
    find = _annotation_lookup(annotations, alone=len(images) == 1)
    fields, without = [], []
    for path in images:
        truth = find(path)
        if truth is None:
            without.append(path)
        else:
            fields.append(AnnotatedField(path, _with_canonical_classes(truth, as_class)))
    if not fields:
        raise CellsError(f"{annotations} holds annotations of none of the {len(images)} images.")
    return fields, without


def _with_canonical_classes(
    truth: Boxes | AnnotatedPoints, as_class: str | None
) -> Boxes | AnnotatedPoints:
    """Return the annotation with the detector's names of the classes."""
    import numpy as np

    names = [as_class or canonical_class(str(name)) for name in truth.classes]
    return replace(truth, classes=np.array(names, np.str_))


def _annotation_lookup(
    annotations: Path, *, alone: bool
) -> Callable[[Path], Boxes | AnnotatedPoints | None]:
    """Return what gives an image's annotation, or None where it has none."""
    if not annotations.exists():
        raise CellsError(f"{annotations} does not exist: there are no annotations.")
    if annotations.is_dir():
        return _in_folder(annotations)
    if annotations.suffix.lower() == ".json":
        return _in_coco(annotations)
    if annotations.suffix.lower() in READERS:
        return lambda path: _read(annotations) if alone or path.stem == annotations.stem else None
    raise CellsError(f"{annotations.name} is no annotation: .xml, .txt or .json is needed.")


def _in_folder(folder: Path) -> Callable[[Path], Boxes | AnnotatedPoints | None]:
    endings = [ending for ending in READERS if any(folder.glob(f"*{ending}"))]
    if endings:
        ending = endings[0]  # a folder of VOC files may hold lists of names, too

        def find(path: Path) -> Boxes | AnnotatedPoints | None:
            file = folder / f"{path.stem}{ending}"
            return _read(file) if file.is_file() else None

        return find
    files = sorted(folder.glob("*.json"))
    if len(files) == 1:
        return _in_coco(files[0])
    raise CellsError(
        f"{folder} holds no annotations: STEM.xml or STEM.txt for each image, or one COCO .json."
    )


def _in_coco(file: Path) -> Callable[[Path], Boxes | AnnotatedPoints | None]:
    known = read_coco(file)
    return lambda path: known.get(path.name)


def _read(file: Path) -> Boxes | AnnotatedPoints:
    return READERS[file.suffix.lower()](file)


def _read_annotated_points(file: Path) -> AnnotatedPoints:
    return AnnotatedPoints(*read_points(file))


READERS: dict[str, Callable[[Path], Boxes | AnnotatedPoints]] = {
    ".xml": read_voc,
    ".txt": _read_annotated_points,
}
