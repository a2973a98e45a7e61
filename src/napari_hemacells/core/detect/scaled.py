"""An image brought to another scale, part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.types import Pixels


@dataclass(frozen=True, eq=False)
class ScaledImage:
    """An image seen at another scale; only the part asked for is read and resampled.

    Attributes
    ----------
    pixels
        ``(rows, cols, 3)`` uint8, may be lazy.
    scale
        Pixels here to one pixel of the image.
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
        """Pixels of the image to one here, along rows and along columns."""
        rows, cols = self.shape
        return self.pixels.shape[0] / rows, self.pixels.shape[1] / cols

    def part(self, rows: slice, cols: slice) -> NDArray[Any]:
        """Return ``(rows, cols, 3)`` uint8; the same pixels whatever part they are asked in."""
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
