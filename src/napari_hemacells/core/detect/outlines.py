"""Outlines of detected cells, and their rasterisation to a label image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.detect.cell_table import cell_table, empty_cells
from napari_hemacells.core.types import PLATELET, RBC, WBC, Cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Place = tuple[NDArray[np.intp], NDArray[np.intp]]

DEPTH = {RBC: 0, WBC: 1, PLATELET: 2}  # platelets lie on white cells, those on red ones


@dataclass(frozen=True, eq=False)
class CellOutline:
    """One cell as a closed outline.

    Attributes
    ----------
    outline
        ``(k, 2)`` float vertices, (row, column) in pixels; may reach beyond the image.
    score
        0 to 1.
    """

    kind: str
    outline: NDArray[np.float64]
    score: float

    @property
    def centre(self) -> NDArray[np.float64]:
        """Mean of the vertices."""
        return np.asarray(self.outline.mean(axis=0))

    def scaled(self, factor: float) -> CellOutline:
        """The same cell in an image magnified by `factor` (pixel centres at whole numbers)."""
        return CellOutline(self.kind, (self.outline + 0.5) * factor - 0.5, self.score)

    def moved(self, rows: float, cols: float) -> CellOutline:
        """The same cell so many pixels further down and right."""
        return CellOutline(self.kind, self.outline + np.array([rows, cols]), self.score)


def outline_of(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the longest contour of a mask, halfway between inner and outer pixels."""
    from skimage.measure import find_contours

    contours = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    return np.asarray(max(contours, key=len) - 1.0)


def union_mask(outlines: Sequence[CellOutline], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the union mask of the cells."""
    from skimage.draw import polygon

    mask = np.zeros(shape, np.bool_)
    for cell in outlines:
        mask[polygon(*cell.outline.T, shape=shape)] = True
    return mask


def outlines_to_cells(
    outlines: Sequence[CellOutline], shape: tuple[int, int], diameter: float
) -> Cells:
    """Return the cells drawn from the back to the front, numbered from top to bottom.

    Overlapping red cells divide their pixels by the nearest centre. Boxes and areas in the table
    are those of the whole outlines inside the image.
    """
    from skimage.draw import polygon

    drawn = [(cell, polygon(*cell.outline.T, shape=shape)) for cell in outlines]
    drawn = [(cell, pixels) for cell, pixels in drawn if len(pixels[0])]
    if not drawn:
        return empty_cells(shape, diameter)
    drawn.sort(key=lambda pair: tuple(pair[0].centre))
    labels = np.zeros(shape, np.int32)
    depth = np.full(shape, -1, dtype=np.int8)
    nearest = np.full(shape, np.inf, dtype=np.float32)
    for number, (cell, pixels) in enumerate(drawn, start=1):
        labels[_claim_pixels(cell, pixels, depth, nearest)] = number
    rows = [_row(number, cell, pixels) for number, (cell, pixels) in enumerate(drawn, start=1)]
    return Cells(labels, cell_table(rows), diameter)


def _claim_pixels(
    cell: CellOutline, pixels: Place, depth: NDArray[np.int8], nearest: NDArray[np.float32]
) -> Place:
    """Return the pixels of this cell, and store its depth and distance there."""
    away = np.hypot(pixels[0] - cell.centre[0], pixels[1] - cell.centre[1]).astype(np.float32)
    level = DEPTH[cell.kind]
    mine = (level > depth[pixels]) | ((level == depth[pixels]) & (away < nearest[pixels]))
    target = (pixels[0][mine], pixels[1][mine])
    depth[target], nearest[target] = level, away[mine]
    return target


def _row(number: int, cell: CellOutline, pixels: Place) -> tuple[object, ...]:
    rows, cols = pixels
    box = (int(rows.min()), int(cols.min()), int(rows.max()) + 1, int(cols.max()) + 1)
    return number, cell.kind, cell.score, float(rows.mean()), float(cols.mean()), *box, len(rows)
