"""A cell proposed at a clicked point: by the detector, else by the stain, else a disc."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from napari_hemacells.core.detect.proposal import (
    Point,
    Proposal,
    cell_at,
    cell_diameter_or_default,
    mask_in_window,
    select_component,
    window_around,
)
from napari_hemacells.core.errors import CellsError

if TYPE_CHECKING:
    from napari_hemacells.core.detect.learned.model import DetectorModel
    from napari_hemacells.core.types import Cells, SmearImage

STAIN_REACH = 0.75  # diameters from the point that a stained region may extend to
LEAST_AREA, MOST_AREA = 0.03, 2.2  # of a typical cell's area: a region outside it is no cell
CLICK_TOLERANCE = 0.2  # diameters: a click beside a stained region means it


def propose_cell(
    image: SmearImage, cells: Cells, point: Point, *, model: DetectorModel | None = None
) -> Proposal:
    """Return the most likely cell at a point of the image.

    Parameters
    ----------
    cells
        Existing cells: the proposal takes none of their pixels, unless the point is on one and
        the detector finds another cell on top of it or beside it.
    point
        (row, column) in pixels; the centre of the first pixel is (0, 0).
    model
        Another detector than the bundled one.

    Raises
    ------
    CellsError
        If the point is outside the image, or on a cell and no other cell is found.
    """
    rows, cols = image.shape
    if not (-0.5 <= point[0] < rows - 0.5 and -0.5 <= point[1] < cols - 0.5):
        raise CellsError("This point is outside the image: point at a cell.")
    if image.modality == "colour":
        from napari_hemacells.core.detect.learned.point_prompt import predict_cell_at_point

        seen = predict_cell_at_point(image, cells, point, model=model)
        if seen is not None:
            return seen
    under = cell_at(cells, point)
    if under:
        raise CellsError(
            f"Cell {under} is here already, and no other is seen on it. Split it, or delete it "
            "first."
        )
    stained = _stained_region(image, cells, point) if image.modality == "colour" else None
    return stained or _disc(cells, point)


def _stained_region(image: SmearImage, cells: Cells, point: Point) -> Proposal | None:
    """Return the stained region at a point outside all cells; None if it is implausible."""
    from napari_hemacells.core.detect.foreground import foreground
    from napari_hemacells.core.detect.stain import read_stain

    diameter = cell_diameter_or_default(cells)
    window, at = window_around(point, 3 * diameter, image.shape)
    stain = read_stain(np.asarray(image.pixels[window]))
    free = np.asarray(cells.labels[window]) == 0
    rows, cols = np.ogrid[: free.shape[0], : free.shape[1]]
    away = np.hypot(rows - at[0], cols - at[1])
    own = foreground(stain, diameter / 40) & free & (away < STAIN_REACH * diameter)
    own = ndi.binary_opening(own, iterations=max(1, round(diameter / 40)))
    place = np.unravel_index(np.where(own, away, np.inf).argmin(), own.shape)
    if not own[place] or away[place] > CLICK_TOLERANCE * diameter:
        return None
    own = ndi.binary_fill_holes(select_component(own, (float(place[0]), float(place[1])))) & free
    share = np.count_nonzero(own) / _disc_area(diameter)
    mask = mask_in_window(own, window) if LEAST_AREA < share < MOST_AREA else None
    return None if mask is None else Proposal("", 0.0, mask.box, mask, "stain")


def _disc(cells: Cells, point: Point) -> Proposal:
    """Return a disc of the typical diameter without the pixels of other cells."""
    radius = cell_diameter_or_default(cells) / 2
    window, at = window_around(point, radius, cells.labels.shape)
    free = np.asarray(cells.labels[window]) == 0
    rows, cols = np.ogrid[: free.shape[0], : free.shape[1]]
    own = free & (np.hypot(rows - at[0], cols - at[1]) <= radius)
    mask = mask_in_window(select_component(own, at), window)
    if mask is None:
        raise CellsError("There is no room for a cell here: point at the middle of the cell.")
    return Proposal("", 0.0, mask.box, mask, "disc")


def _disc_area(diameter: float) -> float:
    return float(np.pi * diameter**2 / 4)
