"""What leaves the program: tables, label images, crops, COCO."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.annotate.disk import storage_error
from napari_hemacells.core.store.atomic import file_name
from napari_hemacells.core.store.cells_file import write_csv, write_labels
from napari_hemacells.core.store.coco import ClassifiedImage, write_coco
from napari_hemacells.core.store.shown import shown_classes
from napari_hemacells.core.store.tables import cells_table, counts_table, detected_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_hemacells.core.annotate.palette import Palette
    from napari_hemacells.core.types import Cells, CropSpec, SmearImage

__all__ = [
    "ClassifiedImage",
    "cells_table",
    "class_folders",
    "counts_table",
    "detected_table",
    "shown_classes",
    "write_coco",
    "write_crops",
    "write_csv",
    "write_labels_tif",
]


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

    from napari_hemacells.core.crop import extract, to_bytes

    folders = class_folders(folder, palette)
    ids = [cell for cell in cells.ids.tolist() if shown.get(cell) in folders]
    stem = f"{file_name(image.name)}-{image.key[:8]}"
    files = [folders[shown[cell]] / f"{stem}-{cell:06d}.png" for cell in ids]
    try:
        for place in folders.values():
            place.mkdir(parents=True, exist_ok=True)
        for cell, file in zip(ids, files, strict=True):
            Image.fromarray(to_bytes(extract(image, cells, spec, [cell]))[0]).save(file)
    except OSError as error:
        raise storage_error(error, folder, "The crops were not all saved") from error
    return files


def class_folders(folder: Path, palette: Palette) -> dict[str, Path]:
    """A folder for each class id, named as the class where a file system allows it."""
    used: set[str] = set()
    folders = {}
    for one in palette:
        name = plain = file_name(one.name)
        number = 2
        while name.casefold() in used:
            name, number = f"{plain}-{number}", number + 1
        used.add(name.casefold())
        folders[one.id] = folder / name
    return folders
