"""The multiscale Labels layer of very many cells or of a large image, computed on demand.

A level holds colour codes instead of cell ids, so that a change of colours only changes a small
table and napari redraws what is visible, whatever the number of cells. The fine levels show the
cells' masks; the coarse ones, where a cell is some pixels wide, a dot at each centre.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_hemacells.widgets.canvas.label_colormap import class_colormap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.types import Cells
    from napari_hemacells.layers import CellColourCodes, Rgba

BLOCK = 256  # pixels of a level that are painted at once
CACHED_BLOCKS = 256  # blocks
COARSEST_LEVEL_PIXELS = 512  # longer side of the last level
MIN_MASK_PIXELS = 9.0  # pixels a cell must span in a level to be shown by its mask
DOT_RADIUS, MIN_DOT_RADIUS = 0.36, 1.2  # radius of a dot in cell diameters, and in pixels at least


class CellPyramid:
    """Cells of a large image, or very many cells.

    Parameters
    ----------
    labels
        ``(rows, cols)`` label image, lazy or in memory.
    ids, centres
        ``(n,)`` ids, ascending, and ``(n, 2)`` centres.
    diameter
        Typical diameter of a cell in pixels.
    """

    def __init__(
        self, labels: Any, ids: NDArray[np.int64], centres: NDArray[np.float64], diameter: float
    ) -> None:
        self.outline = 0  # width in pixels of the image; 0 fills the cells
        longest = max(labels.shape)
        # Two at least: a list of one is no pyramid to napari.
        count = max(2, int(np.ceil(np.log2(longest / COARSEST_LEVEL_PIXELS))) + 1)
        self._take(labels, ids, centres, diameter)
        self.levels = tuple(PyramidLevel(self, 2**number) for number in range(count))

    def replace(
        self, labels: Any, ids: NDArray[np.int64], centres: NDArray[np.float64], diameter: float
    ) -> None:
        """Hold other cells of the same image from now on; none has a colour yet."""
        self._take(labels, ids, centres, diameter)
        for level in self.levels:
            level.forget()

    def _take(
        self, labels: Any, ids: NDArray[np.int64], centres: NDArray[np.float64], diameter: float
    ) -> None:
        self.labels, self.ids, self.diameter = labels, ids, diameter
        order = np.argsort(centres[:, 0], kind="stable")
        self._rows, self._cols = centres[order].T
        self._sorted_ids = ids[order]
        self._sorted_numbers = (order + 1).astype(np.int32)
        # By a cell's number, its place among the ids from 1 on: ids may be far apart. 0 is glass.
        self.codes = np.zeros(len(ids) + 1, np.uint8)

    def set_shades(self, codes: NDArray[np.unsignedinteger]) -> None:
        """Give each cell, in the order of `ids`, the code of its colour; 0 for none.

        Codes above 255 share one colour: a level holds bytes.
        """
        self.codes[1:] = np.minimum(codes, 255)

    def numbers_of(self, block: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
        """Return each id's number in the order of `ids`, from 1 on; 0 for glass."""
        places = np.searchsorted(self.ids, block)
        known = np.append(self.ids, -1)[places] == block
        return np.where(known, places + 1, 0).astype(np.int32)

    def cell_at(self, row: float, col: float, reach: float) -> int:
        """Return the cell at a position, 0 for none; within some pixels, the nearest centre."""
        at = round(row), round(col)
        inside = all(
            0 <= position < side for position, side in zip(at, self.labels.shape, strict=True)
        )
        cell = int(self.labels[at]) if inside else 0
        if cell or reach <= 0:
            return cell
        near = self.near((row - reach, row + reach), (col - reach, col + reach))
        if len(near) == 0:
            return 0
        away = np.hypot(self._rows[near] - row, self._cols[near] - col)
        nearest = int(away.argmin())
        return int(self._sorted_ids[near[nearest]]) if away[nearest] <= reach else 0

    def near(self, rows: tuple[float, float], cols: tuple[float, float]) -> NDArray[np.intp]:
        """Return the indices of the centres in a window."""
        first, last = np.searchsorted(self._rows, rows)
        inside = (self._cols[first:last] >= cols[0]) & (self._cols[first:last] <= cols[1])
        return np.asarray(np.flatnonzero(inside) + first)

    def masks(self, rows: range, cols: range, width: int) -> NDArray[np.int32]:
        """Return a block of a fine level: each cell's number in its mask or on its outline.

        Filled cells that touch have a line of background between them.
        """
        rim = max(1, round(width / rows.step)) if width else 1
        window, pads = [], []
        for span, side in zip((rows, cols), self.labels.shape, strict=True):
            before = min(rim, span.start // span.step)
            places = range(span.start - before * span.step, side, span.step)
            places = places[: before + len(span) + rim]
            window.append(slice(places.start, places.stop, span.step))
            pads.append((rim - before, rim + len(span) + before - len(places)))
        ids = np.asarray(self.labels[tuple(window)])
        ids = np.pad(ids, pads)
        inner = ids[rim:-rim, rim:-rim]
        inside, touching = np.ones(inner.shape, bool), np.zeros(inner.shape, bool)
        for down, across in ((0, rim), (2 * rim, rim), (rim, 0), (rim, 2 * rim)):
            shifted = ids[down : down + inner.shape[0], across : across + inner.shape[1]]
            inside &= shifted == inner
            touching |= (shifted != inner) & (shifted > 0)
        return self.numbers_of(np.where(inside if width else touching, 0, inner))

    def dots(self, rows: range, cols: range) -> NDArray[np.int32]:
        """Return a block of a coarse level: each cell's number in a dot at its centre."""
        step = rows.step
        radius = max(MIN_DOT_RADIUS, DOT_RADIUS * self.diameter / step)
        reach = int(np.ceil(radius))
        margin = (reach + 1) * step
        places = self.near(
            (rows.start - margin, rows.stop + margin), (cols.start - margin, cols.stop + margin)
        )
        # On a canvas that is larger by the dots' reach, so that none has to be cut.
        block = np.zeros((len(rows) + 4 * reach + 4, len(cols) + 4 * reach + 4), np.int32)
        at_row = np.rint((self._rows[places] - rows.start) / step).astype(int) + 2 * reach + 2
        at_col = np.rint((self._cols[places] - cols.start) / step).astype(int) + 2 * reach + 2
        for down in range(-reach, reach + 1):
            for across in range(-reach, reach + 1):
                if np.hypot(down, across) <= radius:
                    block[at_row + down, at_col + across] = self._sorted_numbers[places]
        edge = 2 * reach + 2
        return block[edge : edge + len(rows), edge : edge + len(cols)]


class PyramidLevel:
    """One level of the pyramid; reads like a ``(rows, cols)`` uint8 array."""

    dtype = np.dtype(np.uint8)
    ndim = 2

    def __init__(self, cells: CellPyramid, step: int) -> None:
        self._cells, self.step = cells, step
        self.shape = tuple(-(-int(side) // step) for side in cells.labels.shape)
        self.size = int(np.prod(self.shape))
        self._block = lru_cache(CACHED_BLOCKS)(self._painted)

    def forget(self) -> None:
        """Paint every block anew: the cells are others."""
        self._block.cache_clear()

    def __len__(self) -> int:
        return int(self.shape[0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:, :], dtype=dtype or self.dtype)

    def __getitem__(self, key: Any) -> Any:
        given = key if isinstance(key, tuple) else (key,)
        given = (*given, *([slice(None)] * (2 - len(given))))
        spans, rest = [], []
        for index, side in zip(given, self.shape, strict=True):
            whole = isinstance(index, int | np.integer)
            places = range(side)[index : index + 1 or None] if whole else range(side)[index]
            spans.append(range(places.start, places.stop))
            rest.append(0 if whole else slice(None, None, places.step))
        return self._cells.codes[self._numbers(*spans)][tuple(rest)]

    def _numbers(self, rows: range, cols: range) -> NDArray[np.int32]:
        """Return a window of this level, assembled from blocks."""
        numbers = np.zeros((len(rows), len(cols)), np.int32)
        if not numbers.size:
            return numbers
        for high in range(rows.start // BLOCK, (rows.stop - 1) // BLOCK + 1):
            for wide in range(cols.start // BLOCK, (cols.stop - 1) // BLOCK + 1):
                down, from_row = _overlap(high, rows)
                across, from_col = _overlap(wide, cols)
                numbers[down, across] = self._block(high, wide, self._cells.outline)[
                    from_row, from_col
                ]
        return numbers

    def _painted(self, high: int, wide: int, outline: int) -> NDArray[np.int32]:
        step = self.step
        rows, cols = (
            range(block * BLOCK * step, min((block + 1) * BLOCK * step, side), step)
            for block, side in zip((high, wide), self._cells.labels.shape, strict=True)
        )
        if step > 1 and self._cells.diameter / step < MIN_MASK_PIXELS:
            return self._cells.dots(rows, cols)
        return self._cells.masks(rows, cols, outline)


def _overlap(block: int, span: range) -> tuple[slice, slice]:
    """The overlap of a block and a span: as a slice of the span, and of the block."""
    start, stop = max(block * BLOCK, span.start), min((block + 1) * BLOCK, span.stop)
    return (
        slice(start - span.start, stop - span.start),
        slice(start - block * BLOCK, stop - block * BLOCK),
    )


MULTISCALE_THRESHOLD = (
    5000  # cells; a colour for each of more takes too long to set after every click
)
CLICK_RADIUS = 6.0  # canvas pixels from a far cell's centre that still hit it


def needs_multiscale(cells: Cells) -> bool:
    """Whether the cells need a multiscale layer of colour codes instead of their label image."""
    return not isinstance(cells.labels, np.ndarray) or len(cells) > MULTISCALE_THRESHOLD


class MultiscaleLabels:
    """The multiscale layer of colour codes for the cells of an image.

    Parameters
    ----------
    cells
        The cells to show.
    about
        Further arguments of the layer: name, metadata, transforms.
    """

    def __init__(self, cells: Cells, about: dict[str, Any]) -> None:
        self.levels = _build_pyramid(cells)
        self._table: dict[int | None, Rgba] = {}
        levels = list(self.levels.levels)
        self.layer = Labels(levels, multiscale=True, colormap=class_colormap({}), **about)

    def put(self, cells: Cells) -> None:
        """Show other cells; set their colours afterwards.

        napari is not told of new data where only the cells are new: it would make the colours'
        shaders again, for every part of an image that a running detection has done.
        """
        if cells.labels.shape == self.levels.labels.shape:
            self.levels.replace(cells.labels, cells.ids, cells.centres, cells.diameter)
            return
        outline = self.levels.outline
        self.levels = _build_pyramid(cells)
        self.levels.outline = outline
        self.layer.data = list(self.levels.levels)

    def set_shades(self, shades: CellColourCodes) -> None:
        """Set the colour of every cell."""
        self.levels.set_shades(shades.codes)
        if shades.table == self._table:
            self.refresh()
        else:
            self._table = shades.table
            self.layer.colormap = class_colormap(shades.table)

    def outline(self, width: int) -> None:
        """Show nearby cells as outlines of this width in pixels; 0 fills them."""
        if self.levels.outline != width:
            self.levels.outline = width
            self.refresh()

    def refresh(self) -> None:
        """Redraw the visible part of the layer."""
        self.layer.refresh(thumbnail=False, extent=False)

    def cell_at(self, position: tuple[float, ...], zoom: float) -> int:
        """The cell at a world position, 0 for background.

        Parameters
        ----------
        zoom
            Canvas pixels per world unit.
        """
        row, col = self.layer.world_to_data(position)[-2:]
        pixel = zoom * float(self.layer.scale[-1])  # of the image, on the canvas
        far = self.levels.diameter * pixel < MIN_MASK_PIXELS
        return self.levels.cell_at(row, col, CLICK_RADIUS / pixel if far else 0.0)


def _build_pyramid(cells: Cells) -> CellPyramid:
    return CellPyramid(cells.labels, cells.ids, cells.centres, cells.diameter)
