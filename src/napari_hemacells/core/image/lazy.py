"""Pixels of an image that stays where it is: on the disk, or in a dask or zarr array.

A large image as the levels that a viewer shows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.files.decoding import cause_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.image.colour import ValueScale
    from napari_hemacells.core.image.layout import Layout
    from napari_hemacells.core.types import SmearImage

CACHE_BYTES = 96 * 2**20  # of decoded blocks that one image keeps
LEAST_BLOCK = 128  # pixels; thinner chunks, such as the strips of a TIFF, are read together


class LazyPixels:
    """``(rows, cols, 3)`` uint8 pixels, read and converted where they are sliced.

    One value scale holds for the whole image, so that a pixel has one colour whatever part it is
    read in. What was decoded last is kept, up to :data:`CACHE_BYTES`, because the crops of
    neighbouring cells come from the same chunks. Threads may share it; a copy in another process
    opens the file or the array anew.

    Parameters
    ----------
    source
        Anything with ``shape``, ``dtype`` and slicing; with ``chunks`` where it reads by chunks.
    layout
        Which of its axes are rows, columns and colour.
    scale
        Its values as bytes.
    below
        The lower levels of a pyramid, the larger first.
    """

    ndim = 3
    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        source: Any,
        layout: Layout,
        scale: ValueScale,
        below: Sequence[LazyPixels] = (),
    ) -> None:
        self.source, self.layout, self.scale = source, layout, scale
        self._below = tuple(below)
        self.shape = (*layout.size(source.shape), 3)
        self.block = _block_shape(source, layout)
        self._capacity = max(4, CACHE_BYTES // (3 * self.block[0] * self.block[1]))
        self._decoded = lru_cache(self._capacity)(self._decode)

    @property
    def levels(self) -> tuple[LazyPixels, ...]:
        """The image itself and the lower levels of its pyramid, the largest first."""
        return (self, *self._below)

    @property
    def size(self) -> int:
        """How many values there are."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes that all of it would take in memory."""
        return self.size

    def __len__(self) -> int:
        return self.shape[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return LazyPixels, (self.source, self.layout, self.scale, self._below)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("Pixels that are read from a file are always copied.")
        return self[:, :].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        """Return the pixels of basic slices and whole numbers; steps must be positive.

        Raises
        ------
        ImageError
            Where that part of the file is damaged.
        """
        rows, cols, colour = _split_index(key)
        row_span, row_rest = _span(rows, self.shape[0])
        col_span, col_rest = _span(cols, self.shape[1])
        part = self._read(row_span, col_span)
        return part[row_rest, :, :][..., col_rest, :][..., colour]

    def _read(self, rows: slice, cols: slice) -> NDArray[np.uint8]:
        shape = (rows.stop - rows.start, cols.stop - cols.start, 3)
        if 0 in shape:
            return np.empty(shape, np.uint8)
        if self.block == self.shape[:2]:
            return self._convert(rows, cols)
        part = np.empty(shape, np.uint8)
        high, wide = _blocks(rows, self.block[0]), _blocks(cols, self.block[1])
        fits = len(high) * len(wide) <= self._capacity // 2
        for row in high:
            band, inner = _overlap(row, self.block[0], rows)
            if not fits:  # past the cache, and never more than a band of it twice in memory
                stretch = slice(rows.start + band.start, rows.start + band.stop)
                part[band] = self._convert(stretch, cols)
                continue
            for col in wide:
                column, inner_column = _overlap(col, self.block[1], cols)
                part[band, column] = self._decoded(row, col)[inner, inner_column]
        return part

    def _decode(self, row: int, col: int) -> NDArray[np.uint8]:
        """Return one block, the way it is kept."""
        spans = [
            slice(index * side, min((index + 1) * side, length))
            for index, side, length in zip((row, col), self.block, self.shape[:2], strict=True)
        ]
        return self._convert(*spans)

    def _convert(self, rows: slice, cols: slice) -> NDArray[np.uint8]:
        try:
            values = self.layout.read(self.source, rows, cols)
        except Exception as error:  # what decoders raise has no end
            raise ImageError(
                f"Rows {rows.start} to {rows.stop}, columns {cols.start} to {cols.stop} of the "
                f"image cannot be read ({cause_of(error)}). Is the file complete?"
            ) from error
        return self.scale.colour(values)


def _split_index(key: Any) -> tuple[Any, Any, Any]:
    """The key for rows, columns and colour."""
    given = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in given:
        position = given.index(Ellipsis)
        given[position : position + 1] = [slice(None)] * (4 - len(given))
    if len(given) > 3:
        raise IndexError(f"An image has 3 axes; {len(given)} were given.")
    given += [slice(None)] * (3 - len(given))
    return given[0], given[1], given[2]


def _span(key: Any, length: int) -> tuple[slice, slice | int]:
    """The stretch to read along an axis, and what is wanted of that stretch."""
    if isinstance(key, slice):
        start, stop, step = key.indices(length)
        if step < 1:
            raise IndexError("An image that is not in memory is read forwards only.")
        return slice(start, max(start, stop)), slice(None, None, step)
    index = range(length)[int(key)]
    return slice(index, index + 1), 0


def _block_shape(source: Any, layout: Layout) -> tuple[int, int]:
    """Rows and columns that are decoded at once; the whole image where parts cost nothing."""
    chunks = getattr(source, "chunks", None)
    size = layout.size(source.shape)
    if not chunks:
        return size
    sides = []
    for axis, length in zip((layout.rows, layout.cols), size, strict=True):
        chunk = chunks[axis]
        side = max(chunk) if isinstance(chunk, tuple) else int(chunk)  # dask names each chunk
        sides.append(min(length, side * -(-LEAST_BLOCK // side)))
    return sides[0], sides[1]


def _blocks(span: slice, side: int) -> Sequence[int]:
    return range(span.start // side, (span.stop - 1) // side + 1)


def _overlap(block: int, side: int, span: slice) -> tuple[slice, slice]:
    """Where a block and a span meet: counted from the span's start, and from the block's."""
    start, stop = max(block * side, span.start), min((block + 1) * side, span.stop)
    return (
        slice(start - span.start, stop - span.start),
        slice(start - block * side, stop - block * side),
    )


COARSEST = 2048  # pixels; a viewer reads the whole of a level up to that size
BAND = 1024


def display_levels(image: SmearImage) -> list[Any]:
    """Return the levels of a lazy image, the largest first, the last one small.

    Where the file has no small level, one is made in memory: the image is read once, band by band.
    """
    pixels: Any = image.pixels
    levels: list[Any] = list(pixels.levels) if isinstance(pixels, LazyPixels) else [pixels]
    longest = max(levels[-1].shape[:2])
    if longest > COARSEST:
        levels.append(_coarse(levels[-1], -(-longest // COARSEST)))
    return levels


def _coarse(pixels: Any, step: int) -> NDArray[np.uint8]:
    """Every `step`-th pixel along both axes."""
    height = BAND // step * step
    starts = range(0, pixels.shape[0], height)
    bands = [pixels[start : start + height][::step, ::step] for start in starts]
    return np.concatenate(bands)
