"""Point prompts: the cell that the network detects at a clicked point, even with a low score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from napari_hemacells.core.detect.learned.metadata import CANONICAL_DIAMETER, KINDS, STRIDE
from napari_hemacells.core.detect.learned.postprocess import (
    Detections,
    concatenate_detections,
    find_peaks,
    non_maximum_suppression,
)
from napari_hemacells.core.detect.proposal import (
    Point,
    Proposal,
    cell_at,
    cell_diameter_or_default,
    mask_in_window,
    select_component,
)
from napari_hemacells.core.detect.tiling import ScaledImage
from napari_hemacells.core.types import PLATELET, WBC

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.detect.learned.model import DetectorModel
    from napari_hemacells.core.types import Cells, SmearImage

REACH = 112  # pixels at scale around the point that the network looks at
ALIGNED = 16  # origins are multiples of it, so that the maps are those of the whole image
MIN_PEAK_SCORE = 0.02  # least score of a peak that is considered at all
MIN_WEIGHTED_SCORE = 0.06  # least score, weighted by how near the point is to the middle
SMALLEST, LARGEST = 0.12, 3.5  # sides of a plausible box, in typical diameters
DUPLICATE_IOU = 0.5  # intersection over union with a cell that is there: it is that cell
LEAST_WHITE = 0.9  # diameters: no leukocyte is smaller than an erythrocyte
EDGE, INNER = 1.12, 0.5  # half axes: beyond it nothing is the cell, within it pale stain is too
PAIR_SCORE, PAIR_OVERLAP = 0.08, 0.6  # of two cells within one outline
LEAST_LEFT = 0.3  # of a cell that another lies on: with less left, it would be that cell
ON_TOP = 0.5  # of the area of the cell below: what is smaller lies on it


@dataclass(frozen=True, eq=False)
class PointPrediction:
    """Network output in a window; boxes in pixels of the image.

    Attributes
    ----------
    found
        All candidates, whatever their score.
    chance
        Foreground probability, 0 to 255, over the part of the image `extent` (top, left, bottom,
        right; pixels).
    """

    found: Detections
    chance: NDArray[np.uint8]
    extent: tuple[float, float, float, float]

    def stained(self, window: tuple[slice, slice]) -> NDArray[np.bool_]:
        """Return the foreground mask of a window of the image."""
        axes = []
        for i, part in enumerate(window):
            step = (self.extent[i + 2] - self.extent[i]) / self.chance.shape[i]
            axes.append((np.arange(part.start, part.stop) + 0.5 - self.extent[i]) / step - 0.5)
        places = np.meshgrid(*axes, indexing="ij")
        chance = ndi.map_coordinates(self.chance, places, order=1, mode="nearest")
        return np.asarray(chance > 127)


def predict_around_point(
    image: SmearImage,
    diameter: float,
    point: Point,
    *,
    model: DetectorModel | None = None,
    faint: float = MIN_PEAK_SCORE,
) -> PointPrediction:
    """Return the network output around a point at the scale for cells of this diameter."""
    if model is None:
        from napari_hemacells.core.detect.learned.model import bundled_model

        model = bundled_model()
    view = ScaledImage(image.pixels, CANONICAL_DIAMETER / diameter)
    ratio = np.array(image.shape) / view.shape
    at = (np.asarray(point) + 0.5) / ratio
    rows, cols = (
        slice(max(0, int(here - REACH) // ALIGNED * ALIGNED), min(side, int(here + REACH)))
        for here, side in zip(at.tolist(), view.shape, strict=True)
    )
    heat, boxes, chance, _ = model.maps(view.part(rows, cols))
    origin = np.array([rows.start, cols.start], np.float64)
    there = (at - origin) / STRIDE
    detections = concatenate_detections(
        [find_peaks(heat, boxes, [faint] * len(KINDS)), _boxes_at_point(heat, boxes, there)]
    )
    scale = np.tile(ratio, 2)
    grey = np.rint(255 * chance[: -(-(rows.stop - rows.start) // STRIDE)])
    grey = grey[:, : -(-(cols.stop - cols.start) // STRIDE)].astype(np.uint8)
    end = origin + STRIDE * np.array(grey.shape)
    extent = (np.concatenate([origin, end]) * scale).tolist()
    moved = (detections.boxes + np.tile(origin, 2)) * scale
    inside = np.clip(moved, 0, np.tile(image.shape, 2).astype(np.float64))
    return PointPrediction(
        Detections(inside, detections.kinds, detections.scores), grey, tuple(extent)
    )


def _boxes_at_point(
    heat: NDArray[np.float32], boxes: NDArray[np.float32], there: NDArray[np.float64]
) -> Detections:
    """Return each kind's box at a point, scored by the heat at its centre."""
    limit = np.array(heat.shape[1:]) - 1
    row, col = np.clip(there.astype(int), 0, limit)
    proposed = boxes[:, :, row, col].astype(np.float64)
    middles = (proposed[:, :2] + proposed[:, 2:]) / 2 / STRIDE
    rows, cols = np.clip(middles.astype(int), 0, limit).T
    kinds = np.arange(len(KINDS))
    return Detections(proposed, kinds, heat[kinds, rows, cols].astype(np.float64))


def predict_cell_at_point(
    image: SmearImage, cells: Cells, point: Point, *, model: DetectorModel | None = None
) -> Proposal | None:
    """Return the most likely new cell at a point; None without a candidate."""
    diameter = cell_diameter_or_default(cells)
    sight = predict_around_point(image, diameter, point, model=model)
    detections = sight.found
    weight = detections.scores * _centre_weight(detections, point)
    weight[~_plausible(detections, diameter) | _overlaps_known_cell(detections, cells)] = 0
    for index in np.argsort(-weight):
        if weight[index] < MIN_WEIGHTED_SCORE:
            return None
        proposal = build_proposal(sight, int(index), cells, point)
        if proposal is not None:
            return proposal
    return None


def _centre_weight(detections: Detections, point: Point) -> NDArray[np.float64]:
    """Return 1 at a box's centre, less further out, 0 outside its ellipse."""
    half = np.maximum(detections.boxes[:, 2:] - detections.boxes[:, :2], 1) / 2
    away = np.hypot(*((np.asarray(point) + 0.5 - detections.centres) / half).T)
    return np.where(away < EDGE, np.exp(-(away**2)), 0.0)


def _plausible(detections: Detections, diameter: float) -> NDArray[np.bool_]:
    sides = (detections.boxes[:, 2:] - detections.boxes[:, :2]) / diameter
    return np.asarray((sides > SMALLEST).all(axis=1) & (sides < LARGEST).all(axis=1))


def _overlaps_known_cell(detections: Detections, cells: Cells) -> NDArray[np.bool_]:
    """Return which candidates duplicate existing cells."""
    low = np.maximum(detections.boxes[:, None, :2], cells.boxes[None, :, :2])
    high = np.minimum(detections.boxes[:, None, 2:], cells.boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    mine = (detections.boxes[:, 2:] - detections.boxes[:, :2]).prod(axis=1)
    theirs = (cells.boxes[:, 2:] - cells.boxes[:, :2]).prod(axis=1)
    overlap = shared / np.maximum(mine[:, None] + theirs[None] - shared, 1)
    return np.asarray((overlap > DUPLICATE_IOU).any(axis=1))


def build_proposal(
    sight: PointPrediction, index: int, cells: Cells, point: Point
) -> Proposal | None:
    """Return a candidate with its pixels outside existing cells; None without any."""
    box = sight.found.boxes[index]
    top, left = np.floor(box[:2]).astype(int).tolist()
    bottom, right = np.ceil(box[2:]).astype(int).tolist()
    window = slice(top, bottom), slice(left, right)
    labels = np.asarray(cells.labels[window])
    distance = ellipse_distance(box, window)
    own = sight.stained(window) & (distance < EDGE) | (distance < INNER)
    under = cell_at(cells, point)
    won = _pixels_taken_from(under, cells, box, window, distance) if under else np.zeros_like(own)
    taking = own & won & (labels == under)
    own = select_component(own & (labels == 0) | taking, (point[0] - top, point[1] - left))
    mask = mask_in_window(own, window)
    if mask is None:
        return None
    taken = {}
    if (own & taking).any():
        below = cells.mask_of(under)
        taken = {under: below.without(mask)}
        if taken[under].area < LEAST_LEFT * below.area:
            return None
    score = float(np.clip(sight.found.scores[index], 0, 1))
    kind = resolve_kind(sight.found, index, cells)
    return Proposal(kind, score, (top, left, bottom, right), mask, "network", taken)


def ellipse_distance(box: NDArray[np.float64], window: tuple[slice, slice]) -> NDArray[np.float64]:
    """Return the distance of each pixel from a box's centre, 1 on its ellipse."""
    axes = [
        (np.arange(part.start, part.stop) + 0.5 - (box[i] + box[i + 2]) / 2)
        / (max(float(box[i + 2] - box[i]), 1.0) / 2)
        for i, part in enumerate(window)
    ]
    return np.asarray(np.hypot(axes[0][:, None], axes[1][None]), dtype=np.float64)


def resolve_kind(detections: Detections, index: int, cells: Cells) -> str:
    """Return the kind; a white cell smaller than a red one is a platelet."""
    kind = KINDS[int(detections.kinds[index])]
    sides = detections.boxes[index, 2:] - detections.boxes[index, :2]
    small = float(sides.max()) < LEAST_WHITE * cell_diameter_or_default(cells)
    return PLATELET if kind == WBC and small else kind


def _pixels_taken_from(
    under: int,
    cells: Cells,
    box: NDArray[np.float64],
    window: tuple[slice, slice],
    distance: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return the pixels that a cell on top of, or beside, the cell `under` takes from it."""
    other = cells.boxes[cells.position[under]].astype(np.float64)
    mine, theirs = ((corners[2:] - corners[:2]).prod() for corners in (box, other))
    if mine < ON_TOP * theirs:
        return np.ones(distance.shape, np.bool_)
    return distance < ellipse_distance(other, window)


def find_cell_pair(
    image: SmearImage, cells: Cells, cell: int, *, model: DetectorModel | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the boxes of two cells detected in one; None if only one is."""
    diameter = cell_diameter_or_default(cells)
    mask = cells.mask_of(cell)
    top, left, bottom, right = mask.box
    middle = ((top + bottom - 1) / 2, (left + right - 1) / 2)
    detections = predict_around_point(image, diameter, middle, model=model).found
    detections = non_maximum_suppression(
        detections.pick(_plausible(detections, diameter)), PAIR_OVERLAP, PAIR_OVERLAP
    )
    places = np.clip(
        detections.centres.astype(int) - mask.box[:2], 0, np.array(mask.bits.shape) - 1
    )
    low, high = np.array(mask.box[:2]), np.array(mask.box[2:])
    within = ((detections.centres >= low) & (detections.centres < high)).all(axis=1)
    inside = within & mask.bits[tuple(places.T)]
    best = np.argsort(-np.where(inside, detections.scores, 0))[:2]
    if np.count_nonzero(inside) < 2 or detections.scores[best].min() < PAIR_SCORE:
        return None
    return detections.boxes[best[0]], detections.boxes[best[1]]
