"""Read the user's own cells: a label image or a table of boxes."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.files.text_tables import read_table
from napari_hemacells.core.image.labels import read_labels
from napari_hemacells.core.types import BOX_COLUMNS, Cells, SmearImage

ENDINGS = (".labels.tif", ".labels.png", ".cells.csv", ".tif", ".tiff", ".png", ".npy", ".csv")

MAX_PIXELS = 2**31  # a side of an image, or a label, is smaller


def read_cells(source: Path, name: str, image: SmearImage) -> Cells:
    """Return the image's cells from a file, or from the file of that name in a folder.

    Parameters
    ----------
    source
        ``.tif``, ``.png`` or ``.npy``: a label image of the image's shape. ``.csv``: a table with
        the columns ``min_row, min_col, max_row, max_col`` (pixels, half-open) and optionally
        ``class`` and ``label``, which are kept. A folder: the file ``NAME`` with one of
        ``ENDINGS``.
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
    table = read_boxes(path)
    return cells_from_boxes(table.boxes, image.shape, classes=table.classes, labels=table.labels)


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
    raise CellsError(f"{source} holds no cells for {name}: a file {name}.labels.tif is missing.")


class BoxTable(NamedTuple):
    """The boxes of a table.

    Attributes
    ----------
    boxes
        ``(n, 4)`` half-open (min_row, min_col, max_row, max_col).
    classes
        As they are written; ``None`` where the table has none.
    labels
        The cells' numbers; ``None`` where the table has none.
    """

    boxes: NDArray[np.float64]
    classes: list[str] | None = None
    labels: list[int] | None = None


def read_boxes(path: Path) -> BoxTable:
    """Return the boxes of a table and, where it has them, their classes and numbers.

    Commas, semicolons or tabs separate; every cell is text, so that a class ``NA`` or ``01`` stays
    what it is.

    Raises
    ------
    CellsError
        The file is no table, lacks a column, or has a row that is not complete: the sentence
        names the line.
    """
    try:
        table = read_table(path)
    except (OSError, ValueError) as error:
        raise CellsError(f"{path} is no table of boxes ({error}).") from error
    places = {name.casefold(): place for place, name in enumerate(table.columns)}
    if missing := [name for name in BOX_COLUMNS if name not in places]:
        raise CellsError(
            f"{path} is no table of boxes: it needs the columns {', '.join(BOX_COLUMNS)}; it "
            f"lacks {', '.join(missing)}."
        )
    of_class, of_label = places.get("class"), places.get("label")
    boxes, classes, labels = [], [], []
    for line, cells in table.rows:
        where = f"{path}, line {line}"
        boxes.append([_number(cells[places[name]], name, where) for name in BOX_COLUMNS])
        classes.append("" if of_class is None else (cells[of_class] or "").strip())
        if of_label is not None:
            labels.append(_label(cells[of_label], where))
    if len(set(labels)) < len(labels):
        twice = next(label for label, count in Counter(labels).items() if count > 1)
        raise CellsError(f"{path} has two cells with the label {twice}: give each its own.")
    return BoxTable(
        np.array(boxes, np.float64).reshape(-1, 4),
        None if of_class is None else classes,
        None if of_label is None else labels,
    )


def _number(cell: str | None, column: str, where: str) -> float:
    text = (cell or "").strip()
    if not text:
        raise CellsError(f"{where}: {column} is missing. Complete the row, or remove it.")
    if "," in text and "." not in text:
        text = text.replace(",", ".")
    try:
        number = float(text)
    except ValueError as error:
        raise CellsError(f"{where}: {column} is “{text[:20]}”, no number.") from error
    if not abs(number) < MAX_PIXELS:
        raise CellsError(f"{where}: {column} is {number:g}, which no image has.")
    return number


def _label(cell: str | None, where: str) -> int:
    number = _number(cell, "label", where)
    if not number.is_integer() or number < 1:
        raise CellsError(f"{where}: a label is a whole number from 1 on, this is “{cell}”.")
    return int(number)
