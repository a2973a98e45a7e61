"""How large red cells are, as the network sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.detect.foreground import stained_windows
from napari_hemacells.core.detect.learned.metadata import CANONICAL_DIAMETER, KINDS
from napari_hemacells.core.detect.tiling import ScaledImage
from napari_hemacells.core.image import SMALL
from napari_hemacells.core.types import RBC, Progress

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_hemacells.core.detect.learned.model import Model
    from napari_hemacells.core.detect.learned.postprocess import Found
    from napari_hemacells.core.detect.regions import Regions
    from napari_hemacells.core.types import Pixels, SmearImage

    Place = tuple[float, float]

__all__ = ["ScaledImage", "measured_diameter_steps"]

PROBE = 256  # side of the windows that the diameter is measured in, pixels at scale
LADDER = 2.0  # between the diameters that are tried
SMALLEST, LARGEST = 8.0, 640.0
GRAIN = 6.0  # what is smaller than that in the end is the camera's noise
ROUNDS = 3
FEW = 2  # boxes that make a scale half believable
CLOSE = 1.12  # factor between the diameter assumed and the one found that ends the search


MEASURING = "Measuring the cells"


def measured_diameter_steps(
    image: SmearImage, model: Model, regions: Regions | None = None
) -> Generator[Progress, None, float | None]:
    """Return the typical red cell's diameter in pixels as the network sees it; None without cells.

    Of a small image the middle is looked at; of a large one, whose middle may be empty, some
    places with stain, and the median is taken.
    """
    rows, cols = image.shape
    small = rows * cols <= SMALL
    places = [(rows / 2, cols / 2)] if small else stained_windows(image, regions)
    found = []
    for number, place in enumerate(places):
        yield Progress(number, len(places), MEASURING)
        found.append((yield from _measured_at(image.pixels, model, place)))
    known = [diameter for diameter in found if diameter is not None]
    return float(np.median(known)) if known else None


def _measured_at(
    pixels: Pixels, model: Model, place: Place
) -> Generator[Progress, None, float | None]:
    """Return the diameter of the cells around a place, None without cells.

    The network is run on a window at a ladder of scales. Where cells have the size that it was
    trained on, confident boxes cover most; from there the median box leads to the diameter.
    """
    best, cover = None, 0.0
    diameter = SMALLEST
    while diameter < min(LARGEST, 1.5 * max(pixels.shape[:2])):
        found = _probe(pixels, model, diameter, place)
        yield Progress(0, 1, MEASURING)
        here = _cover(found)
        if here > cover:
            best, cover = diameter, here
        diameter *= LADDER
    if best is None:
        return None
    refined = _refined(pixels, model, best, place)
    return refined if refined > GRAIN else None


def _refined(pixels: Pixels, model: Model, diameter: float, place: Place) -> float:
    """Return the diameter at which cells are found to have the diameter assumed."""
    for _ in range(ROUNDS):
        red = _red_sides(_probe(pixels, model, diameter, place))
        if len(red) == 0:
            break
        factor = float(np.median(red)) / CANONICAL_DIAMETER
        diameter = float(np.clip(diameter * factor, SMALLEST / 2, 2 * LARGEST))
        if 1 / CLOSE < factor < CLOSE:
            break
    return diameter


def _probe(pixels: Pixels, model: Model, diameter: float, place: Place) -> Found:
    """Return what is found around a place of the image at the scale for `diameter`."""
    view = ScaledImage(pixels, CANONICAL_DIAMETER / diameter)
    parts = []
    for side, at, whole in zip(view.shape, place, pixels.shape[:2], strict=True):
        start = max(0, min(int(side * at / whole - PROBE / 2), side - PROBE))
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
