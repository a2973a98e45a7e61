"""Read the user's own cells: a label image or a table of boxes."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.image.labels import read_labels
from napari_hemacells.core.types import BOX_COLUMNS, Cells, SmearImage

ENDINGS = (".labels.tif", ".labels.png", ".cells.csv", ".tif", ".tiff", ".png", ".npy", ".csv")


def read_cells(source: Path, name: str, image: SmearImage) -> Cells:
    """Return the image's cells from a file, or from the file of that name in a folder.

    Parameters
    ----------
    source
        ``.tif``, ``.png`` or ``.npy``: a label image of the image's shape. ``.csv``: a table with
        the columns ``min_row, min_col, max_row, max_col`` (pixels, half-open) and optionally
        ``class``. A folder: the file ``NAME`` with one of ``ENDINGS``.
    name
        The image's name, looked up in a folder.

    Raises
    ------
    CellsError
        If there is no such file, or it contains no cells of this image.
    """
    from napari_hemacells.core.detect import cells_from_boxes, cells_from_labels

    path = cells_file(source, name)
    if path.suffix.lower() != ".csv":
        return cells_from_labels(read_labels(path, image.shape), image.shape)
    boxes, classes = read_boxes(path)
    return cells_from_boxes(boxes, image.shape, classes=classes)


def cells_file(source: Path, name: str) -> Path:
    """Return the file with an image's cells: the source, or the one of that name in a folder.

    Raises
    ------
    CellsError
        If the folder contains none for the image.
    """
    if not source.is_dir():
        return source
    for ending in ENDINGS:
        if (source / f"{name}{ending}").is_file():
            return source / f"{name}{ending}"
    raise CellsError(f"{source} contains no cells for {name}: add a file {name}.labels.tif.")


def read_boxes(path: Path) -> tuple[NDArray[np.float64], list[str] | None]:
    """Return the ``(n, 4)`` half-open boxes of a table and, if given, their classes.

    Raises
    ------
    CellsError
        If the file is no table, or lacks a column.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path)
        boxes = table[BOX_COLUMNS].to_numpy(dtype=np.float64)
    except (OSError, ValueError, KeyError) as error:
        raise CellsError(
            f"{path} is not a table of boxes: it needs the columns {', '.join(BOX_COLUMNS)}."
        ) from error
    if "class" not in table:
        return boxes, None
    return boxes, table["class"].fillna("").astype(str).tolist()
