"""Images with annotated cells: Pascal VOC folders, COCO JSON, files of centre points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.evaluate.annotations import read_coco, read_points, read_voc
from napari_hemacells.core.types import PLATELET, RBC, WBC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_hemacells.core.evaluate.detection import Boxes

OTHER_NAMES = {
    RBC: ("rbc", "rbcs", "red blood cell", "red cell", "erythrocyte"),
    WBC: ("wbc", "wbcs", "white blood cell", "white cell", "leukocyte", "leucocyte"),
    PLATELET: ("platelets", "platelet", "plt", "thrombocyte"),
}
_KIND_OF = {name: kind for kind, names in OTHER_NAMES.items() for name in names}


@dataclass(frozen=True, eq=False)
class Points:
    """Annotated centres of one image: ``(n, 2)`` (row, column) and ``(n,)`` class names."""

    centres: NDArray[np.float64]
    classes: NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class AnnotatedField:
    """An image file with what is annotated in it."""

    path: Path
    truth: Boxes | Points


def kind_of(name: str) -> str:
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
    find = _finder(annotations, alone=len(images) == 1)
    fields, without = [], []
    for path in images:
        truth = find(path)
        if truth is None:
            without.append(path)
        else:
            fields.append(AnnotatedField(path, _named(truth, as_class)))
    if not fields:
        raise CellsError(f"{annotations} holds annotations of none of the {len(images)} images.")
    return fields, without


def _named(truth: Boxes | Points, as_class: str | None) -> Boxes | Points:
    """Return the annotation with the detector's names of the classes."""
    import numpy as np

    names = [as_class or kind_of(str(name)) for name in truth.classes]
    return replace(truth, classes=np.array(names, np.str_))


def _finder(annotations: Path, *, alone: bool) -> Callable[[Path], Boxes | Points | None]:
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


def _in_folder(folder: Path) -> Callable[[Path], Boxes | Points | None]:
    endings = [ending for ending in READERS if any(folder.glob(f"*{ending}"))]
    if endings:
        ending = endings[0]  # a folder of VOC files may hold lists of names, too

        def find(path: Path) -> Boxes | Points | None:
            file = folder / f"{path.stem}{ending}"
            return _read(file) if file.is_file() else None

        return find
    files = sorted(folder.glob("*.json"))
    if len(files) == 1:
        return _in_coco(files[0])
    raise CellsError(
        f"{folder} holds no annotations: STEM.xml or STEM.txt for each image, or one COCO .json."
    )


def _in_coco(file: Path) -> Callable[[Path], Boxes | Points | None]:
    known = read_coco(file)
    return lambda path: known.get(path.name)


def _read(file: Path) -> Boxes | Points:
    return READERS[file.suffix.lower()](file)


def _points(file: Path) -> Points:
    return Points(*read_points(file))


READERS: dict[str, Callable[[Path], Boxes | Points]] = {".xml": read_voc, ".txt": _points}
