"""Overlapping tiles of a picture; every place belongs to exactly one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_hemacells.core.detect.learned.decode import Found

CORE = 512  # pixels at scale that a tile answers for, along an axis
HALO = 128  # pixels around that are looked at too: more than the largest white cell


@dataclass(frozen=True)
class Tile:
    """A part of a picture: what is read, and the part of it that the tile answers for."""

    rows: slice
    cols: slice
    core_rows: slice
    core_cols: slice

    def own(self, found: Found) -> NDArray[np.bool_]:
        """Return which cells, in the tile's pixels, have their middle in the core.

        A box may reach beyond the picture; its middle then belongs to the outermost tile.
        """
        rows = _within(found.centres[:, 0], self.rows, self.core_rows)
        return rows & _within(found.centres[:, 1], self.cols, self.core_cols)


def _within(at: NDArray[np.float64], part: slice, core: slice) -> NDArray[np.bool_]:
    """Return which places, counted from the start of `part`, are in `core` along an axis."""
    low = core.start if core.start > part.start else -np.inf
    high = core.stop if core.stop < part.stop else np.inf
    return np.asarray((at + part.start >= low) & (at + part.start < high))


def tiles(shape: tuple[int, int], core: int = CORE, halo: int = HALO) -> Iterator[Tile]:
    """Yield the tiles of a picture row by row; origins are multiples of 16, as the maps are."""
    for core_rows, rows in _spans(shape[0], core, halo):
        for core_cols, cols in _spans(shape[1], core, halo):
            yield Tile(rows, cols, core_rows, core_cols)


def _spans(extent: int, core: int, halo: int) -> Iterator[tuple[slice, slice]]:
    """Yield the core and the read part along one axis."""
    for start in range(0, extent, core):
        stop = start + core
        if extent - stop < core // 4:  # a narrow rest joins its neighbour
            stop = extent
        yield slice(start, stop), slice(max(0, start - halo), min(extent, stop + halo))
        if stop == extent:
            return
