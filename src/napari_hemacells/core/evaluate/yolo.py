"""Reading YOLO annotations: one text file per image, one line per cell, sides from 0 to 1.

Source: https://docs.ultralytics.com/datasets/detect/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.evaluate.detection_metrics import Boxes
from napari_hemacells.core.files.text_tables import read_text_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAME_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
FOLDERS_ABOVE = 3  # in which the names of the classes are looked for: labels/train/…
MAX_NAMES_BYTES = 2**20
OVERHANG = 0.02  # of a side, that rounding leaves outside the image


def looks_like_yolo(lines: Sequence[Sequence[str]]) -> bool:
    """Whether each line is a class's number and four numbers, or corners, from 0 to 1.

    A fifth number is a detector's confidence. Without any line there is nothing to tell.

    Examples
    --------
    >>> looks_like_yolo([["0", "0.5", "0.5", "0.1", "0.1"]]), looks_like_yolo([["10", "20", "3"]])
    (True, False)
    """
    return bool(lines) and all(_is_yolo_line(parts) for parts in lines)


def _is_yolo_line(parts: Sequence[str]) -> bool:
    try:
        values = [float(part) for part in parts]
    except ValueError:
        return False
    box = len(values) in {5, 6}
    polygon = len(values) >= 7 and len(values) % 2 == 1
    whole = values[:1] and values[0].is_integer() and values[0] >= 0
    low, high = -OVERHANG, 1 + OVERHANG
    return bool(whole) and (box or polygon) and all(low <= part <= high for part in values[1:])


def parse_yolo(lines: Sequence[Sequence[str]], names: Sequence[str]) -> Boxes:
    """Return the boxes of lines that :func:`looks_like_yolo` takes for YOLO.

    ``(n, 4)`` (min_row, min_col, max_row, max_col) from 0 to 1; a class without a name is called
    by its number. A polygon is the box around it.
    """
    boxes, classes = [], []
    for parts in lines:
        number, *values = [float(part) for part in parts]
        if len(values) in {4, 5}:
            col, row, width, height = values[:4]
            box = [row - height / 2, col - width / 2, row + height / 2, col + width / 2]
        else:
            cols, rows = values[::2], values[1::2]
            box = [min(rows), min(cols), max(rows), max(cols)]
        boxes.append(box)
        classes.append(names[int(number)] if int(number) < len(names) else f"{number:.0f}")
    table = np.clip(np.array(boxes, np.float64).reshape(-1, 4), 0, 1)
    return Boxes(table, np.array(classes, np.str_), np.ones(len(table)))


def yolo_class_names(folder: Path) -> tuple[str, ...]:
    """Return the names of a data set's classes by number; none where it says none.

    They stand in ``data.yaml`` (``names``), ``classes.txt`` or ``obj.names``, beside the
    annotations or in a folder above.

    Raises
    ------
    CellsError
        Such a file is there and cannot be read.
    """
    above = [folder, *folder.resolve().parents[: FOLDERS_ABOVE - 1]]
    for folder_above in above:
        for name in (*YAML_NAMES, *NAME_LISTS):
            file = folder_above / name
            if not file.is_file():
                continue
            try:
                text = read_text_file(file, MAX_NAMES_BYTES)
                names = _names_in_yaml(text) if name in YAML_NAMES else text.splitlines()
            except Exception as error:
                raise CellsError(
                    f"The names of the classes in {file} cannot be read ({error})."
                ) from error
            if names:
                return tuple(str(entry).strip() for entry in names)
    return ()


def _names_in_yaml(text: str) -> list[str]:
    import yaml

    names = yaml.safe_load(text)["names"]
    if isinstance(names, dict):
        return [str(names.get(number, number)) for number in range(int(max(names)) + 1)]
    return [str(name) for name in names]
