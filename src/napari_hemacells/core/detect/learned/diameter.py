"""Estimation of the red cell diameter with the detector network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_hemacells.core.detect.foreground import stained_windows
from napari_hemacells.core.detect.learned.metadata import CANONICAL_DIAMETER, KINDS
from napari_hemacells.core.detect.tiling import ScaledImage
from napari_hemacells.core.image import MAX_IN_MEMORY_PIXELS
from napari_hemacells.core.types import RBC, Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.detect.learned.model import DetectorModel
    from napari_hemacells.core.detect.learned.postprocess import Detections
    from napari_hemacells.core.detect.regions import Regions
    from napari_hemacells.core.types import Pixels, SmearImage

    Place = tuple[float, float]

__all__ = ["ScaledImage", "measure_diameter_steps"]

PROBE = 256  # side of the windows that the diameter is measured in, pixels at scale
SCALE_STEP = 2.0  # between the diameters that are tried
SMALLEST, LARGEST = 8.0, 640.0
MIN_PLAUSIBLE_DIAMETER = 6.0  # what is smaller than that in the end is the camera's noise
MAX_ITERATIONS = 3
SCORE_PRIOR_COUNT = 2  # boxes that make a scale half believable
USUAL_SIDES = np.array([40.0, 80.0, 14.0])  # of each of KINDS at the right scale, pixels
SIDE_SPREAD = 0.35  # of the logarithm of the side
KIND_WEIGHTS = np.array([1.0, 0.5, 0.5])  # red cells say most: they vary least
SCORE_POWER = 4
CONVERGENCE_FACTOR = (
    1.12  # factor between the diameter assumed and the one found that ends the search
)


ALMOST = 0.6  # of the best scale's score: a larger scale that fits nearly as well is taken
POSSIBLE = 0.5  # of it: such a scale is offered

MEASURING = "Measuring the cells"


class MeasuredDiameter(NamedTuple):
    """The typical red cell diameter in pixels.

    Attributes
    ----------
    other
        Another one that fits nearly as well; ``None`` where there is no doubt.
    """

    diameter: float
    other: float | None = None


def measure_diameter_steps(
    image: SmearImage, model: DetectorModel, regions: Regions | None = None
) -> Generator[Progress, None, MeasuredDiameter | None]:
    """Return the typical red cell diameter in pixels by the network; None without cells.

    Measured in the middle of a small image; on a large one, the median over some stained windows.
    """
    rows, cols = image.shape
    small = rows * cols <= MAX_IN_MEMORY_PIXELS
    places = [(rows / 2, cols / 2)] if small else stained_windows(image, regions)
    diameters, ladder = [], _ladder(image.pixels.shape)
    total = len(places) * (len(ladder) + 1)  # the scales, and the search from the best of them
    for number, place in enumerate(places):
        done = number * (len(ladder) + 1)
        yield Progress(done, total, MEASURING)
        steps = _measure_at_steps(image.pixels, model, place, ladder)
        diameters.append((yield from _count_from(steps, done, total)))
    known = [measured for measured in diameters if measured is not None]
    if not known:
        return None
    median = float(np.median([measured.diameter for measured in known]))
    return MeasuredDiameter(median, known[0].other if len(known) == 1 else None)


def _ladder(shape: tuple[int, ...]) -> list[float]:
    """Return the diameters that are tried on an image of this shape, in pixels."""
    diameters, diameter = [], SMALLEST
    while diameter < min(LARGEST, 1.5 * max(shape[:2])):
        diameters.append(diameter)
        diameter *= SCALE_STEP
    return diameters


def _count_from(
    steps: Generator[Progress, None, MeasuredDiameter | None], done: int, total: int
) -> Generator[Progress, None, MeasuredDiameter | None]:
    """Return what the steps return; count their reports on from `done`."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            measured: MeasuredDiameter | None = end.value
            return measured
        done += 1
        yield Progress(done, total, MEASURING)


def _measure_at_steps(
    pixels: Pixels, model: DetectorModel, place: Place, ladder: list[float]
) -> Generator[Progress, None, MeasuredDiameter | None]:
    """Return the diameter of the cells around a point, None without cells.

    The network runs on a window at several scales. Where cells have the size it was trained on,
    confident boxes cover most; the median box then gives the diameter.
    """
    scores = []
    for diameter in ladder:
        detections = _probe(pixels, model, diameter, place)
        yield Progress(0, 1, MEASURING)
        scores.append(_scale_score(detections))
    chosen, others = choose_scale(scores)
    if chosen is None:
        return None
    refined = _refine_diameter(pixels, model, ladder[chosen], place)
    if refined <= MIN_PLAUSIBLE_DIAMETER:
        return None
    apart = (_refine_diameter(pixels, model, ladder[other], place) for other in others)
    far = [one for one in apart if max(one, refined) > SCALE_STEP * min(one, refined)]
    far = [one for one in far if one > MIN_PLAUSIBLE_DIAMETER]
    return MeasuredDiameter(refined, far[0] if far else None)


def choose_scale(scores: Sequence[float]) -> tuple[int | None, list[int]]:
    """Return which scale fits, and the others that fit nearly as well, the best of them first.

    Parts of a large cell look like small cells where the picture is too large, and these are many;
    small cells do not look like large ones. Of scales that fit nearly as well, with worse ones
    between them, the one for larger cells is therefore taken.

    Parameters
    ----------
    scores
        Of each scale, that for the smallest cells first.
    """
    best = max(scores, default=0.0)
    if best <= 0:
        return None, []
    around = [0.0, *scores, 0.0]
    peaks = [
        index
        for index, score in enumerate(scores)
        if score >= max(POSSIBLE * best, around[index]) and score >= around[index + 2]
    ]
    chosen = max(index for index in peaks if scores[index] >= ALMOST * best)
    return chosen, sorted((one for one in peaks if one != chosen), key=lambda one: -scores[one])


def _refine_diameter(pixels: Pixels, model: DetectorModel, diameter: float, place: Place) -> float:
    """Return the diameter at which the found and the assumed diameter agree."""
    for _ in range(MAX_ITERATIONS):
        red = _red_sides(_probe(pixels, model, diameter, place))
        if len(red) == 0:
            break
        factor = float(np.median(red)) / CANONICAL_DIAMETER
        diameter = float(np.clip(diameter * factor, SMALLEST / 2, 2 * LARGEST))
        if 1 / CONVERGENCE_FACTOR < factor < CONVERGENCE_FACTOR:
            break
    return diameter


def _probe(pixels: Pixels, model: DetectorModel, diameter: float, place: Place) -> Detections:
    """Return the detections around a point at the scale for `diameter`."""
    view = ScaledImage(pixels, CANONICAL_DIAMETER / diameter)
    parts = []
    for side, at, whole in zip(view.shape, place, pixels.shape[:2], strict=True):
        start = max(0, min(int(side * at / whole - PROBE / 2), side - PROBE))
        parts.append(slice(start, min(side, start + PROBE)))
    return model.find(view.part(*parts), model.limits)[0]


def _scale_score(detections: Detections) -> float:
    """Return how well the scale fits: boxes weighted by their area, score and usual size.

    Many weak boxes are noise, hence the power of the score. At far too large a scale parts of one
    cell look like large cells: boxes far from the size that their kind has at the right scale
    hardly count. One or two boxes count less.
    """
    sides = detections.boxes[:, 2:] - detections.boxes[:, :2]
    off = np.log(np.maximum(sides.max(axis=1, initial=0), 1) / USUAL_SIDES[detections.kinds])
    weights = KIND_WEIGHTS[detections.kinds] * np.exp(-((off / SIDE_SPREAD) ** 2) / 2)
    area = float((sides.prod(axis=1) * detections.scores**SCORE_POWER * weights).sum())
    return area * len(detections) / (len(detections) + SCORE_PRIOR_COUNT)


def _red_sides(detections: Detections) -> NDArray[Any]:
    """Return the longer sides of the red cells' boxes."""
    red = detections.boxes[detections.kinds == KINDS.index(RBC)]
    return np.asarray((red[:, 2:] - red[:, :2]).max(axis=1, initial=0.0))
