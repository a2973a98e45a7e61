"""Splitting one cell into two, and merging several cells into one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy import ndimage as ndi

from napari_hemacells.core.detect.proposal import (
    MIN_PIXELS,
    Point,
    Proposal,
    mask_in_window,
    select_component,
)
from napari_hemacells.core.errors import CellsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.cell_masks import CellMask
    from napari_hemacells.core.detect.learned.model import DetectorModel
    from napari_hemacells.core.types import Cells, SmearImage

Line: TypeAlias = tuple[Point, Point]

LEAST_SHARE = 0.06  # of the cell's pixels that each half must have
GAP = 0.12  # diameters between two pieces that a merge closes


def split_cell(
    image: SmearImage,
    cells: Cells,
    cell: int,
    line: Line | None = None,
    *,
    model: DetectorModel | None = None,
) -> tuple[Proposal, Proposal]:
    """Split a cell into two.

    Along a line if given; else between two centres of the detector, else at the waist of the
    outline (watershed of the distance transform), else across its long axis.

    Parameters
    ----------
    line
        Two points (row, column) of an infinite line.

    Raises
    ------
    CellsError
        If the line does not cross the cell, or the cell is too small.
    """
    mask = cells.mask_of(cell)
    if mask.area < 2 * MIN_PIXELS:
        raise CellsError(f"Cell {cell} is too small to split: choose a larger cell.")
    if line is not None:
        halves = _split_along(mask, line)
        if halves is None:
            raise CellsError("The line does not cross the cell: draw it across the whole cell.")
    else:
        seen = _split_by_network(image, cells, cell, model)
        halves = _split_at_waist(mask.bits) if seen is None else seen
    return _proposals(cells, cell, mask, halves)


def merge_cells(cells: Cells, ids: Sequence[int]) -> Proposal:
    """Merge cells into one and close narrow gaps between them.

    The kind is that of the largest.

    Raises
    ------
    CellsError
        Fewer than two cells.
    """
    chosen = sorted(set(ids))
    if len(chosen) < 2:
        raise CellsError("Choose two cells to merge: Shift-click each of them.")
    boxes = cells.boxes[[cells.position[cell] for cell in chosen]]
    margin = max(1, round(GAP * cells.diameter / 2))
    low = np.maximum(boxes[:, :2].min(axis=0) - margin, 0)
    high = np.minimum(boxes[:, 2:].max(axis=0) + margin, cells.labels.shape)
    window = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
    labels = np.asarray(cells.labels[window])
    own = np.isin(labels, chosen)
    closed = ndi.binary_closing(np.pad(own, margin), iterations=margin)
    own |= closed[margin:-margin, margin:-margin] & (labels == 0)
    mask = mask_in_window(own, window)
    if mask is None:
        raise CellsError("These cells have no pixels to merge: choose other cells.")
    rows = cells.table.iloc[[cells.position[cell] for cell in chosen]]
    kind = str(rows["class"].iloc[int(rows["area"].to_numpy().argmax())])
    top, left = boxes[:, :2].min(axis=0).tolist()
    bottom, right = boxes[:, 2:].max(axis=0).tolist()
    return Proposal(kind, float(rows["score"].max()), (top, left, bottom, right), mask, "outline")


def _split_along(mask: CellMask, line: Line) -> NDArray[np.bool_] | None:
    """Return the pixels on one side of a line, None if a side is (nearly) empty."""
    (row, col), (to_row, to_col) = line
    rows, cols = np.ogrid[mask.box[0] : mask.box[2], mask.box[1] : mask.box[3]]
    side = (rows - row) * (to_col - col) - (cols - col) * (to_row - row)
    return _halves(mask.bits, side > 0)


def _halves(bits: NDArray[np.bool_], first: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return the first of two halves, None if either is too small for a cell."""
    count = np.count_nonzero(bits & first)
    least = max(MIN_PIXELS, LEAST_SHARE * np.count_nonzero(bits))
    enough = min(count, np.count_nonzero(bits) - count) >= least
    return bits & first if enough else None


def _split_by_network(
    image: SmearImage, cells: Cells, cell: int, model: DetectorModel | None
) -> NDArray[np.bool_] | None:
    """Return one of the two halves that the detector finds in a cell; None if it finds one."""
    if image.modality != "colour":
        return None
    from napari_hemacells.core.detect.learned.point_prompt import ellipse_distance, find_cell_pair

    mask = cells.mask_of(cell)
    boxes = find_cell_pair(image, cells, cell, model=model)
    if boxes is None:
        return None
    first, second = (ellipse_distance(box, mask.window) for box in boxes)
    return _halves(mask.bits, first < second)


def _split_at_waist(bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return one of the two halves around the two deepest places of an outline."""
    from skimage.segmentation import watershed

    padded = np.pad(bits, 1)
    depth = ndi.distance_transform_edt(padded)
    seeds = _two_seeds(depth)
    if seeds is not None:
        halves = _halves(bits, watershed(-depth, seeds, mask=padded)[1:-1, 1:-1] == 1)
        if halves is not None:
            return halves
    places = np.argwhere(bits)
    away = places - places.mean(axis=0)
    axis = np.linalg.svd(away, full_matrices=False)[2][0]
    first = np.zeros_like(bits)
    first[tuple(places[away @ axis > 0].T)] = True
    return first


def _two_seeds(depth: NDArray[np.float64]) -> NDArray[np.int32] | None:
    """Return markers on the two deepest separate points, None if there is only one."""
    from skimage.feature import peak_local_max

    apart = max(2, round(0.6 * float(depth.max())))
    peaks = peak_local_max(
        ndi.gaussian_filter(depth, 1), min_distance=apart, num_peaks=2, exclude_border=False
    )
    if len(peaks) < 2:
        return None
    seeds = np.zeros(depth.shape, np.int32)
    seeds[tuple(peaks.T)] = (1, 2)
    return seeds


def _proposals(
    cells: Cells, cell: int, mask: CellMask, first: NDArray[np.bool_]
) -> tuple[Proposal, Proposal]:
    row = cells.table.iloc[cells.position[cell]]
    made = []
    for bits in (first, mask.bits & ~first):
        part = mask_in_window(select_component(bits, (-1.0, -1.0)), mask.window)
        if part is None:
            raise CellsError(f"Cell {cell} is too small to split: choose a larger cell.")
        made.append(Proposal(str(row["class"]), float(row["score"]), part.box, part, "outline"))
    return made[0], made[1]
