"""Cells that the user brings: a label image, points, boxes, outlines, or a whole image.

A whole thermogram is one cell, so that it is classified like the cells of a smear.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_hemacells.core.detect.cell_table import (
    cell_table,
    empty_cells,
    measure_labels,
    typical_diameter,
)
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.types import BOX_COLUMNS, Cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_hemacells.core.types import CellSource


def cells_from_labels(
    labels: ArrayLike, shape: tuple[int, int], *, diameter: float | None = None
) -> Cells:
    """Return the cells of a label image, with the user's own ids.

    Parameters
    ----------
    labels
        ``(rows, cols)`` integers, 0 background; each other value is one cell, connected or not.
    shape
        Rows and columns of the image.
    diameter
        Typical cell diameter in pixels; the median of the cells if not given.

    Raises
    ------
    CellsError
        Another shape than the image, negative values, or values that are not integers.
    """
    array = np.asarray(labels)
    if array.shape != tuple(shape):
        raise CellsError(
            f"The labels measure {_size(array.shape)}, the image {_size(shape)}: "
            "choose the labels that belong to this image."
        )
    if array.dtype.kind not in "bui":
        raise CellsError(f"Labels must be integers, these are {array.dtype}: convert them.")
    if array.size and (array.min() < 0 or array.max() > np.iinfo(np.int32).max):
        raise CellsError(
            "Labels must be 0 (background) or positive: some values are negative or too large."
        )
    whole = array.astype(np.int32)
    table = measure_labels(whole)
    return Cells(whole, table, diameter or typical_diameter(table), "labels")


def cells_from_points(points: ArrayLike, shape: tuple[int, int], diameter: float) -> Cells:
    """Return a disc of the typical diameter around each point that lies in the image.

    Where discs overlap a pixel goes to the nearest point; the table keeps whole discs.

    Parameters
    ----------
    points
        ``(n, 2)`` row and column in pixels.
    diameter
        Of the discs, in pixels.

    Raises
    ------
    CellsError
        Points that are not (row, column) pairs, or a diameter that is not positive.
    """
    centres = np.asarray(points, dtype=np.float64)
    centres = centres.reshape(-1, 2) if centres.size == 0 else np.atleast_2d(centres)
    if centres.shape[1] != 2:
        raise CellsError(
            f"Points need two numbers, row and column: these have {centres.shape[1]}."
        )
    if not diameter > 0:
        raise CellsError("Points have no size: enter the cell diameter first.")
    inside = ((centres >= -0.5) & (centres <= np.asarray(shape) - 0.5)).all(axis=1)
    half = np.full((int(inside.sum()), 2), diameter / 2)
    return _ellipses(centres[inside], half, shape, diameter, "points")


def cells_from_boxes(
    boxes: ArrayLike,
    shape: tuple[int, int],
    *,
    classes: Sequence[str] | None = None,
    diameter: float | None = None,
) -> Cells:
    """Return the ellipse inside each box; boxes may overlap, the table keeps them whole.

    Parameters
    ----------
    boxes
        ``(n, 4)`` half-open ``(min_row, min_col, max_row, max_col)`` in pixels; parts beyond the
        image are cut off, boxes fully outside are left out.
    classes
        A name for each box, kept as the cell's kind.

    Raises
    ------
    CellsError
        A box without an area, or not four numbers a box.
    """
    array = np.asarray(boxes, dtype=np.float64)
    array = array.reshape(-1, 4) if array.size == 0 else np.atleast_2d(array)
    if array.shape[1] != 4:
        raise CellsError(
            "A box needs four numbers (min row, min column, max row, max column): these have "
            f"{array.shape[1]}."
        )
    empty = (array[:, 2:] <= array[:, :2]).any(axis=1)
    if empty.any():
        raise CellsError(f"Box {int(np.flatnonzero(empty)[0]) + 1} has no area: draw it again.")
    limit = np.array([*shape, *shape], dtype=np.float64)
    cut = np.clip(array, 0, limit)
    there = np.asarray((cut[:, 2:] > cut[:, :2]).all(axis=1))
    cut = cut[there]
    names = [""] * len(array) if classes is None else list(classes)
    kept = [name for name, keep in zip(names, there, strict=True) if keep]
    sizes = (cut[:, 2:] - cut[:, :2]).mean(axis=1)
    typical = diameter or (float(np.median(sizes)) if len(sizes) else 0.0)
    middle = (cut[:, :2] + cut[:, 2:]) / 2 - 0.5
    half = (cut[:, 2:] - cut[:, :2]) / 2
    cells = _ellipses(middle, half, shape, typical, "shapes")
    whole = np.concatenate([np.floor(cut[:, :2]), np.ceil(cut[:, 2:])], axis=1).astype(np.int64)
    table = cells.table.assign(**dict(zip(BOX_COLUMNS, whole.T, strict=True)))
    return replace(cells, table=table.assign(**{"class": pd.Series(kept, dtype="str")}))


def cells_from_polygons(
    polygons: Sequence[ArrayLike], shape: tuple[int, int], *, diameter: float | None = None
) -> Cells:
    """Return the inside of each outline; where outlines overlap the later one is on top.

    Parameters
    ----------
    polygons
        ``(k, 2)`` vertices (row, column) each, in pixels.

    Raises
    ------
    CellsError
        An outline of fewer than three corners.
    """
    from skimage.draw import polygon2mask

    labels = np.zeros(shape, np.int32)
    for number, vertices in enumerate(polygons, start=1):
        corners = np.asarray(vertices, dtype=np.float64)
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
            raise CellsError(f"Outline {number} needs at least three corners: draw it again.")
        labels[polygon2mask(shape, corners)] = number
    table = measure_labels(labels)
    return Cells(labels, table, diameter or typical_diameter(table), "shapes")


def _ellipses(
    centres: NDArray[np.float64],
    half: NDArray[np.float64],
    shape: tuple[int, int],
    diameter: float,
    source: CellSource,
) -> Cells:
    """Return axis-parallel ellipses; a shared pixel goes to the relatively nearest centre."""
    if not len(centres):
        return empty_cells(shape, diameter, source)
    labels = np.zeros(shape, np.int32)
    nearest = np.full(shape, np.inf, dtype=np.float32)
    rows: list[Sequence[object]] = []
    for number, (centre, radius) in enumerate(zip(centres, half, strict=True), start=1):
        low = np.clip(np.floor(centre - radius), 0, np.asarray(shape) - 1).astype(int)
        high = np.clip(np.ceil(centre + radius) + 1, low + 1, shape).astype(int)
        window = (slice(low[0], high[0]), slice(low[1], high[1]))
        distance = _relative_distance(window, centre, radius)
        covered = distance <= 1
        mine = covered & (distance < nearest[window])
        labels[window][mine] = number
        nearest[window][mine] = distance[mine]
        box = _box(low, high, covered)
        rows.append((number, "", 1.0, *centre, *box, max(1, int(covered.sum()))))
    return Cells(labels, cell_table(rows), diameter, source)


def _relative_distance(
    window: tuple[slice, slice], centre: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the distance from the centre in radii; the centre's own pixel is always inside."""
    away = [
        (np.arange(part.start, part.stop) - middle) / max(reach, 0.5)
        for part, middle, reach in zip(window, centre, radius, strict=True)
    ]
    return np.asarray(np.hypot(away[0][:, None], away[1][None, :]), dtype=np.float32)


def _box(
    low: NDArray[np.int_], high: NDArray[np.int_], covered: NDArray[np.bool_]
) -> tuple[int, int, int, int]:
    if not covered.any():
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])
    down, across = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    return (
        int(low[0] + down[0]), int(low[1] + across[0]),
        int(low[0] + down[-1] + 1), int(low[1] + across[-1] + 1),
    )  # fmt: skip


def _size(shape: Sequence[int]) -> str:
    return " × ".join(str(side) for side in shape)


def whole_frame(shape: tuple[int, int]) -> Cells:
    """Return a single cell, id 1, that covers the whole picture; its crop has no margin.

    Examples
    --------
    >>> whole_frame((480, 640)).boxes.tolist()
    [[0, 0, 480, 640]]
    """
    rows, cols = shape
    row = (1, "", 1.0, (rows - 1) / 2, (cols - 1) / 2, 0, 0, rows, cols, rows * cols)
    return Cells(np.ones(shape, np.int32), cell_table([row]), float(max(shape)), source="whole")
