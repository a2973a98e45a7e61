"""What leaves the program: tables, label images, crops, COCO.

Cells as a COCO detection file (https://cocodataset.org/#format-data).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells import __version__
from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.files.fsio import file_name, storage_error, write_bytes
from napari_hemacells.core.store.cells_file import write_labels
from napari_hemacells.core.store.tables import (
    UNCLASSIFIED,
)
from napari_hemacells.core.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate.palette import Palette
    from napari_hemacells.core.cell_masks import LazyLabels
    from napari_hemacells.core.types import Cells, CropSpec, SmearImage


@dataclass(frozen=True, eq=False)
class ClassifiedImage:
    """An image, its cells and the class shown for each (:func:`.shown.shown_classes`)."""

    image: SmearImage
    cells: Cells
    shown: Mapping[int, str]


def write_coco(path: Path, images: Sequence[ClassifiedImage], palette: Palette) -> None:
    """Write images, cells and classes as COCO JSON, whole or not at all.

    Boxes are ``[x, y, width, height]`` and polygons ``[x, y, …]`` in pixels, where a pixel's
    square reaches from its index to the next. Areas are the pixels of the label image. Cells
    without a class are in a category of their own, as unknown ones are, so that none is missing.
    """
    write_bytes(path, json.dumps(to_coco(images, palette), separators=(",", ":")).encode())


def to_coco(images: Sequence[ClassifiedImage], palette: Palette) -> dict[str, Any]:
    """The content of :func:`write_coco` as plain JSON values."""
    names = [cell_class.name for cell_class in palette]
    number_of = {
        cell_class.id: category_id for category_id, cell_class in enumerate(palette, start=1)
    }
    if any(UNKNOWN in smear.shown.values() for smear in images):
        names.append(UNKNOWN)
        number_of[UNKNOWN] = len(names)
    annotations = [
        annotation
        for image_id, smear in enumerate(images, start=1)
        for annotation in _annotations(smear, image_id, number_of)
    ]
    if any(annotation["category_id"] > len(names) for annotation in annotations):
        names.append(UNCLASSIFIED)
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    return {
        "info": {"description": "Cells", "date_created": utc_now(),
                 "contributor": f"napari-hemacells {__version__}"},
        "licenses": [],
        "images": [
            _image(smear.image, image_id) for image_id, smear in enumerate(images, start=1)
        ],
        "annotations": annotations,
        "categories": [
            {"id": number, "name": name, "supercategory": "cell"}
            for number, name in enumerate(names, start=1)
        ],
    }  # fmt: skip


def polygons(mask: NDArray[np.bool_], origin: tuple[int, int]) -> list[list[float]]:
    """Outlines of a mask as ``[x, y, …]``, one for each piece; holes are filled.

    ``origin`` is the (row, column) of the mask's corner in the image. The outline runs half a
    pixel outside the centres of the border pixels.
    """
    from scipy.ndimage import binary_fill_holes
    from skimage.measure import approximate_polygon, find_contours

    solid = np.pad(binary_fill_holes(mask), 1).astype(np.float64)
    outlines = []
    for contour in find_contours(solid, 0.5):
        outline = approximate_polygon(contour, tolerance=0.25)[:-1]
        # One pixel of padding, and a pixel's centre lies half a pixel from its corner.
        outline = outline + np.asarray(origin) - 0.5
        outlines.append(np.round(outline[:, ::-1], 2).ravel().tolist())
    return [outline for outline in outlines if len(outline) >= 6]


def _image(image: SmearImage, number: int) -> dict[str, Any]:
    rows, cols = image.shape
    file = image.name if image.path is None else image.path.name
    return {"id": number, "file_name": file, "width": cols, "height": rows, "key": image.key}


def _annotations(
    smear: ClassifiedImage, number: int, number_of: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    rest = len(number_of) + 1
    areas, scores = smear.cells.table["area"], smear.cells.table["score"]
    for cell, box, area, score in zip(
        smear.cells.ids.tolist(), smear.cells.boxes.tolist(), areas, scores, strict=True
    ):
        min_row, min_col, max_row, max_col = box
        yield {
            "id": 0,
            "image_id": number,
            "category_id": number_of.get(smear.shown.get(cell, ""), rest),
            "bbox": [min_col, min_row, max_col - min_col, max_row - min_row],
            "area": int(area),
            "segmentation": _segmentation(smear.cells.labels, cell, box),
            "iscrowd": 0,
            "cell": cell,
            "score": float(score),
        }


def _segmentation(
    labels: NDArray[np.int32] | LazyLabels, cell: int, box: list[int]
) -> list[list[float]]:
    top, left = max(box[0], 0), max(box[1], 0)
    mask = labels[top : box[2], left : box[3]] == cell
    outlines = polygons(mask, (top, left)) if mask.any() else []
    min_row, min_col, max_row, max_col = box
    whole = [min_col, min_row, max_col, min_row, max_col, max_row, min_col, max_row]
    return outlines or [[float(edge) for edge in whole]]  # hidden under its neighbours: its box


def write_labels_tif(path: Path, cells: Cells) -> None:
    """Write the label image as int32 TIFF (0 glass, otherwise the cell's id)."""
    write_labels(path, cells.labels)


def write_crops(
    folder: Path,
    image: SmearImage,
    cells: Cells,
    shown: Mapping[int, str],
    *,
    palette: Palette,
    spec: CropSpec,
) -> list[Path]:
    """The PNG files written: a crop a cell, in a folder a class.

    Every class has its folder, be it empty; cells without a class and unknown ones are left
    out. A file is named by image, content hash and cell id, so that crops of several images may
    share the folders.

    Raises
    ------
    StorageError
        Where a file cannot be written.
    """
    from PIL import Image

    from napari_hemacells.core.crop import extract_crops, to_bytes

    folders = class_folder_paths(folder, palette)
    ids = [cell for cell in cells.ids.tolist() if shown.get(cell) in folders]
    stem = f"{file_name(image.name)}-{image.key[:8]}"
    files = [folders[shown[cell]] / f"{stem}-{cell:06d}.png" for cell in ids]
    try:
        for class_folder in folders.values():
            class_folder.mkdir(parents=True, exist_ok=True)
        for cell, file in zip(ids, files, strict=True):
            Image.fromarray(to_bytes(extract_crops(image, cells, spec, [cell]))[0]).save(file)
    except OSError as error:
        raise storage_error(error, folder, "The crops were not all saved") from error
    return files


def class_folder_paths(folder: Path, palette: Palette) -> dict[str, Path]:
    """A folder for each class id, named as the class where a file system allows it."""
    used: set[str] = set()
    folders = {}
    for cell_class in palette:
        name = plain = file_name(cell_class.name)
        number = 2
        while name.casefold() in used:
            name, number = f"{plain}-{number}", number + 1
        used.add(name.casefold())
        folders[cell_class.id] = folder / name
    return folders
