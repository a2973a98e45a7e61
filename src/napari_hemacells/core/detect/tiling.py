"""Tiling: overlapping parts of an image with disjoint cores, read at another scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_hemacells.core.types import Pixels

Span = tuple[int, int]

CORE = 768  # pixels of the working grid that a part answers for, along an axis
HALO = 96  # pixels around that are looked at too: more than the radius of the largest white cell


@dataclass(frozen=True)
class Part:
    """A part of a picture: the span that is read, and its core.

    All spans are half-open, in pixels of the plan's working grid (the image at `Plan.scale`).

    Attributes
    ----------
    index
        Its index in the plan.
    rows, cols
        The span that is read.
    core_rows, core_cols
        The core: cells with their centre there belong to the part.
    """

    index: int
    rows: Span
    cols: Span
    core_rows: Span
    core_cols: Span

    @property
    def window(self) -> tuple[slice, slice]:
        """The span that is read, as slices of the grid."""
        return slice(*self.rows), slice(*self.cols)

    @property
    def origin(self) -> tuple[int, int]:
        """The origin of the span that is read."""
        return self.rows[0], self.cols[0]

    def own(self, centres: NDArray[np.float64], margin: float = 0.0) -> NDArray[np.bool_]:
        """Return which ``(n, 2)`` centres (pixels of the grid) lie in the core.

        A centre beyond the picture belongs to the outermost part. `margin` extends the core.
        """
        rows = _within(centres[:, 0], self.rows, self.core_rows, margin)
        return rows & _within(centres[:, 1], self.cols, self.core_cols, margin)


def _within(at: NDArray[np.float64], part: Span, core: Span, margin: float) -> NDArray[np.bool_]:
    low = core[0] - margin if core[0] > part[0] else -np.inf
    high = core[1] + margin if core[1] < part[1] else np.inf
    return np.asarray((at >= low) & (at < high))


def make_tiles(shape: tuple[int, int], core: int = CORE, halo: int = HALO) -> Iterator[Part]:
    """Yield the parts of a picture row by row; origins are multiples of 16."""
    index = 0
    for core_rows, rows in _spans(shape[0], core, halo):
        for core_cols, cols in _spans(shape[1], core, halo):
            yield Part(index, rows, cols, core_rows, core_cols)
            index += 1


def _spans(extent: int, core: int, halo: int) -> Iterator[tuple[Span, Span]]:
    """Yield the core and the read span along one axis."""
    for start in range(0, extent, core):
        stop = start + core
        if extent - stop < core // 4:  # a narrow rest joins its neighbour
            stop = extent
        yield (start, stop), (max(0, start - halo), min(extent, stop + halo))
        if stop == extent:
            return


@dataclass(frozen=True, eq=False)
class ScaledImage:
    """An image at another scale; only the requested part is read and resampled.

    Attributes
    ----------
    pixels
        ``(rows, cols, 3)`` uint8, may be lazy.
    scale
        Pixels at this scale per image pixel.
    """

    pixels: Pixels
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns at this scale."""
        rows, cols = self.pixels.shape[:2]
        return max(1, round(rows * self.scale)), max(1, round(cols * self.scale))

    @property
    def ratio(self) -> tuple[float, float]:
        """Image pixels per pixel at this scale, along rows and columns."""
        rows, cols = self.shape
        return self.pixels.shape[0] / rows, self.pixels.shape[1] / cols

    def part(self, rows: slice, cols: slice) -> NDArray[Any]:
        """Return ``(rows, cols, 3)`` uint8; a pixel does not depend on the requested part."""
        bounds = [
            self._source(part, side) for part, side in zip((rows, cols), (0, 1), strict=True)
        ]
        source = np.asarray(self.pixels[bounds[0][0], bounds[1][0]])
        (_, top, bottom), (_, left, right) = bounds
        size = (cols.stop - cols.start, rows.stop - rows.start)
        picture = Image.fromarray(np.ascontiguousarray(source))
        window = (left, top, min(right, picture.width), min(bottom, picture.height))
        return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=window))

    def _source(self, part: slice, axis: int) -> tuple[slice, float, float]:
        """Return the image's pixels to read along an axis, and the part's ends within them."""
        extent = self.pixels.shape[axis]
        step = extent / self.shape[axis]
        first, last = part.start * step, part.stop * step
        margin = int(np.ceil(max(step, 1.0))) + 1  # what the resampling filter reaches
        start = max(0, int(first) - margin)
        stop = min(extent, int(np.ceil(last)) + margin)
        return slice(start, stop), first - start, last - start
