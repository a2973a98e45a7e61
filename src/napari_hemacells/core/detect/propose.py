"""A cell proposed at a point: what the detector sees there, else the stain, else a disc."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from scipy import ndimage as ndi

from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.masks import CellMask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.detect.learned.model import Model
    from napari_hemacells.core.types import Cells, SmearImage

How: TypeAlias = Literal["network", "stain", "disc", "outline"]
Point: TypeAlias = tuple[float, float]

USUAL_DIAMETER = 40.0  # px, where nothing is known of the image's cells
STAIN_REACH = 0.75  # diameters from the point that a stained region may extend to
LEAST_AREA, MOST_AREA = 0.03, 2.2  # of a typical cell's area: a region outside it is no cell
NEAR = 0.2  # diameters: a click beside a stained region means it
LEAST_PIXELS = 4  # a mask of fewer is none


@dataclass(frozen=True, eq=False)
class Proposal:
    """A cell that could be.

    Attributes
    ----------
    kind, score
        The detector's rough kind, ``""`` where it sees none, and how sure it is (0 to 1).
    box
        Half-open, in pixels of the image: of the whole cell, also under another.
    mask
        Its own pixels.
    how
        What it was proposed by; ``"outline"``: made of the pixels of other cells.
    taken
        Masks of cells below that lose pixels to this one, as they are afterwards, by id.
    """

    kind: str
    score: float
    box: tuple[int, int, int, int]
    mask: CellMask
    how: How
    taken: dict[int, CellMask] = field(default_factory=dict)

    @property
    def centre(self) -> Point:
        """Middle of the box, (row, column), in pixel centres."""
        top, left, bottom, right = self.box
        return (top + bottom - 1) / 2, (left + right - 1) / 2


def propose_cell(
    image: SmearImage, cells: Cells, point: Point, *, model: Model | None = None
) -> Proposal:
    """Return the cell that the user most likely means at a point of the image.

    Parameters
    ----------
    cells
        Those that are there: the proposal takes no pixels of theirs, unless the point is on one
        and the detector sees another cell on top of it or beside it.
    point
        (row, column) in pixels; the middle of the first pixel is (0, 0).
    model
        Another detector than the bundled one.

    Raises
    ------
    CellsError
        Outside the image, or where a cell is already and no other is seen.
    """
    rows, cols = image.shape
    if not (-0.5 <= point[0] < rows - 0.5 and -0.5 <= point[1] < cols - 0.5):
        raise CellsError("This is outside the image: point at a cell.")
    if image.modality == "colour":
        from napari_hemacells.core.detect.learned.suggest import suggest

        seen = suggest(image, cells, point, model=model)
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


def cell_at(cells: Cells, point: Point) -> int:
    """Return the id of the cell at a point, 0 on glass."""
    row, col = int(point[0] + 0.5), int(point[1] + 0.5)
    return int(np.asarray(cells.labels[row : row + 1, col : col + 1])[0, 0])


def typical(cells: Cells) -> float:
    """Return the typical diameter of the image's cells in pixels."""
    return cells.diameter if cells.diameter > 0 else USUAL_DIAMETER


def window_around(
    point: Point, reach: float, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], Point]:
    """Return the part of an image within `reach` pixels of a point, and the point in it."""
    low = [max(0, int(at - reach)) for at in point]
    high = [min(side, int(at + reach) + 2) for at, side in zip(point, shape[:2], strict=True)]
    window = slice(low[0], high[0]), slice(low[1], high[1])
    return window, (point[0] - low[0], point[1] - low[1])


def mask_from(own: NDArray[np.bool_], window: tuple[slice, slice]) -> CellMask | None:
    """Return the mask of the pixels of a window, in the smallest box; None for hardly any."""
    if np.count_nonzero(own) < LEAST_PIXELS:
        return None
    rows, cols = (np.flatnonzero(own.any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1
    down, over = int(window[0].start), int(window[1].start)
    box = (down + top, over + left, down + bottom, over + right)
    return CellMask(box, own[top:bottom, left:right].copy())


def one_piece(own: NDArray[np.bool_], near: Point) -> NDArray[np.bool_]:
    """Return the connected piece at a point, else the largest."""
    pieces, count = ndi.label(own)
    if count < 2:
        return own
    row, col = (min(max(int(at), 0), side - 1) for at, side in zip(near, own.shape, strict=True))
    wanted = pieces[row, col] or np.bincount(pieces.ravel())[1:].argmax() + 1
    return np.asarray(pieces == wanted)


def _stained_region(image: SmearImage, cells: Cells, point: Point) -> Proposal | None:
    """Return the stained region at a point that is no cell yet; None where it is not plausible."""
    from napari_hemacells.core.detect.scale import foreground
    from napari_hemacells.core.detect.stain import read_stain

    diameter = typical(cells)
    window, at = window_around(point, 3 * diameter, image.shape)
    stain = read_stain(np.asarray(image.pixels[window]))
    free = np.asarray(cells.labels[window]) == 0
    rows, cols = np.ogrid[: free.shape[0], : free.shape[1]]
    away = np.hypot(rows - at[0], cols - at[1])
    own = foreground(stain, diameter / 40) & free & (away < STAIN_REACH * diameter)
    own = ndi.binary_opening(own, iterations=max(1, round(diameter / 40)))
    place = np.unravel_index(np.where(own, away, np.inf).argmin(), own.shape)
    if not own[place] or away[place] > NEAR * diameter:
        return None
    own = ndi.binary_fill_holes(one_piece(own, (float(place[0]), float(place[1])))) & free
    share = np.count_nonzero(own) / _disc_area(diameter)
    mask = mask_from(own, window) if LEAST_AREA < share < MOST_AREA else None
    return None if mask is None else Proposal("", 0.0, mask.box, mask, "stain")


def _disc(cells: Cells, point: Point) -> Proposal:
    """Return a disc of the typical diameter, less what belongs to other cells."""
    radius = typical(cells) / 2
    window, at = window_around(point, radius, cells.labels.shape)
    free = np.asarray(cells.labels[window]) == 0
    rows, cols = np.ogrid[: free.shape[0], : free.shape[1]]
    own = free & (np.hypot(rows - at[0], cols - at[1]) <= radius)
    mask = mask_from(one_piece(own, at), window)
    if mask is None:
        raise CellsError("There is no room for a cell here: point at its middle.")
    return Proposal("", 0.0, mask.box, mask, "disc")


def _disc_area(diameter: float) -> float:
    return float(np.pi * diameter**2 / 4)
