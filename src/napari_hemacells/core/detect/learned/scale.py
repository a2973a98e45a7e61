"""Bringing any image to the detector's scale, part by part, and finding out what that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from napari_hemacells.core.detect.learned.kinds import CANONICAL_DIAMETER, KINDS
from napari_hemacells.core.types import RBC

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.detect.learned.decode import Found
    from napari_hemacells.core.detect.learned.model import Model
    from napari_hemacells.core.types import Pixels

PROBE = 256  # side of the windows that the diameter is measured in, pixels at scale
LADDER = 2.0  # between the diameters that are tried
SMALLEST, LARGEST = 8.0, 640.0
GRAIN = 6.0  # what is smaller than that in the end is the camera's noise
ROUNDS = 3
FEW = 2  # boxes that make a scale half believable
CLOSE = 1.12  # factor between the diameter assumed and the one found that ends the search


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


def measured_diameter(pixels: Pixels, model: Model) -> float | None:
    """Return the typical red cell's diameter in pixels as the network sees it; None without cells.

    The network is run on a window at a ladder of scales. Where cells have the size that it was
    trained on, confident boxes cover most; from there the median box leads to the diameter.
    """
    best, cover = None, 0.0
    diameter = SMALLEST
    while diameter < min(LARGEST, 1.5 * max(pixels.shape[:2])):
        found = _probe(pixels, model, diameter)
        here = _cover(found)
        if here > cover:
            best, cover = diameter, here
        diameter *= LADDER
    if best is None:
        return None
    refined = _refined(pixels, model, best)
    return refined if refined > GRAIN else None


def _refined(pixels: Pixels, model: Model, diameter: float) -> float:
    """Return the diameter at which cells are found to have the diameter assumed."""
    for _ in range(ROUNDS):
        red = _red_sides(_probe(pixels, model, diameter))
        if len(red) == 0:
            break
        factor = float(np.median(red)) / CANONICAL_DIAMETER
        diameter = float(np.clip(diameter * factor, SMALLEST / 2, 2 * LARGEST))
        if 1 / CLOSE < factor < CLOSE:
            break
    return diameter


def _probe(pixels: Pixels, model: Model, diameter: float) -> Found:
    """Return what is found in the middle of the image at the scale for `diameter`."""
    view = ScaledImage(pixels, CANONICAL_DIAMETER / diameter)
    parts = []
    for side in view.shape:
        start = max(0, (side - PROBE) // 2)
        parts.append(slice(start, min(side, start + PROBE)))
    return model.find(view.part(*parts), model.limits)[0]


def _cover(found: Found) -> float:
    """Return how well the scale fits: the area of the boxes at scale, less where it is doubtful.

    Scores are squared, because many weak boxes are noise; and a box or two count less than many,
    because at far too large a scale one red cell fills the window and passes for a white one.
    """
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    area = float((sides.prod(axis=1) * found.scores**2).sum())
    return area * len(found) / (len(found) + FEW)


def _red_sides(found: Found) -> NDArray[Any]:
    """Return the longer sides of the red cells' boxes."""
    red = found.boxes[found.kinds == KINDS.index(RBC)]
    return np.asarray((red[:, 2:] - red[:, :2]).max(axis=1, initial=0.0))
