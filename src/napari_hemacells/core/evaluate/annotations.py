"""Annotated cells from files: Pascal VOC, COCO, centre points."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np

from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.evaluate.detection import Boxes

if TYPE_CHECKING:
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
        names = {one["id"]: str(one["name"]) for one in content["categories"]}
        files = {one["id"]: _file_name(one["file_name"]) for one in content["images"]}
        found: dict[Any, list[tuple[list[float], str]]] = {number: [] for number in files}
        for one in content["annotations"]:
            x, y, width, height = (float(value) for value in one["bbox"])
            if not one.get("iscrowd") and width > 0 and height > 0:
                box = [y, x, y + height, x + width]
                found[one["image_id"]].append((box, names[one["category_id"]]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CellsError(f"{file.name} is not a COCO annotation ({error!r}).") from error
    if len(set(files.values())) < len(files):
        raise CellsError(f"{file.name} has two images of the same file name.")
    return {files[number]: _boxes(cells) for number, cells in found.items()}


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
