"""A proposed cell, and helpers for proposals: masks, windows and the cell at a point."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from scipy import ndimage as ndi

from napari_hemacells.core.cell_masks import CellMask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.types import Cells

ProposalMethod: TypeAlias = Literal["network", "stain", "disc", "outline"]
Point: TypeAlias = tuple[float, float]

DEFAULT_DIAMETER = 40.0  # px, where nothing is known of the image's cells
MIN_PIXELS = 4  # a mask of fewer is none


@dataclass(frozen=True, eq=False)
class Proposal:
    """A proposed cell.

    Attributes
    ----------
    kind, score
        The detector's rough kind (``""`` if unknown) and score (0 to 1).
    box
        Half-open, in pixels of the image, including the hidden part of the cell.
    mask
        Its own pixels.
    how
        The source of the proposal; ``"outline"``: made of the pixels of other cells.
    taken
        New masks of the cells below that lose pixels to this one, by id.
    """

    kind: str
    score: float
    box: tuple[int, int, int, int]
    mask: CellMask
    method: ProposalMethod
    taken: dict[int, CellMask] = field(default_factory=dict)

    @property
    def centre(self) -> Point:
        """Middle of the box, (row, column), in pixel centres."""
        top, left, bottom, right = self.box
        return (top + bottom - 1) / 2, (left + right - 1) / 2


def cell_at(cells: Cells, point: Point) -> int:
    """Return the id of the cell at a point, 0 on the background."""
    row, col = int(point[0] + 0.5), int(point[1] + 0.5)
    return int(np.asarray(cells.labels[row : row + 1, col : col + 1])[0, 0])


def cell_diameter_or_default(cells: Cells) -> float:
    """Return the typical diameter of the image's cells in pixels."""
    return cells.diameter if cells.diameter > 0 else DEFAULT_DIAMETER


def window_around(
    point: Point, reach: float, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], Point]:
    """Return the part of an image within `reach` pixels of a point, and the point in it."""
    low = [max(0, int(at - reach)) for at in point]
    high = [min(side, int(at + reach) + 2) for at, side in zip(point, shape[:2], strict=True)]
    window = slice(low[0], high[0]), slice(low[1], high[1])
    return window, (point[0] - low[0], point[1] - low[1])


def mask_in_window(own: NDArray[np.bool_], window: tuple[slice, slice]) -> CellMask | None:
    """Return the mask of the pixels of a window in its bounding box; None if too few."""
    if np.count_nonzero(own) < MIN_PIXELS:
        return None
    rows, cols = (np.flatnonzero(own.any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1
    down, over = int(window[0].start), int(window[1].start)
    box = (down + top, over + left, down + bottom, over + right)
    return CellMask(box, own[top:bottom, left:right].copy())


def select_component(own: NDArray[np.bool_], near: Point) -> NDArray[np.bool_]:
    """Return the connected component at a point, else the largest."""
    pieces, count = ndi.label(own)
    if count < 2:
        return own
    row, col = (min(max(int(at), 0), side - 1) for at, side in zip(near, own.shape, strict=True))
    wanted = pieces[row, col] or np.bincount(pieces.ravel())[1:].argmax() + 1
    return np.asarray(pieces == wanted)
