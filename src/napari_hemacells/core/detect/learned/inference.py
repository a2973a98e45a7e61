"""The learned detector: plan of an image, and detection in its parts. Imports torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_hemacells.core.cell_masks import CellMask, PackedMasks
from napari_hemacells.core.detect.diameter import cell_diameter
from napari_hemacells.core.detect.foreground import (
    drop_empty_parts,
    stained_windows,
    windows_around,
)
from napari_hemacells.core.detect.learned.cell_vectors import pool_cell_vectors
from napari_hemacells.core.detect.learned.diameter import (
    MeasuredDiameter,
    measure_diameter_steps,
)
from napari_hemacells.core.detect.learned.instance_masks import (
    ForegroundMap,
    paint_labels,
    window_in_canvas,
    window_of,
)
from napari_hemacells.core.detect.learned.metadata import (
    CANONICAL_DIAMETER,
    KINDS,
    STRIDE,
)
from napari_hemacells.core.detect.learned.model import model_for
from napari_hemacells.core.detect.plan import Plan, parts_in_regions
from napari_hemacells.core.detect.tiling import CORE, ScaledImage, make_tiles
from napari_hemacells.core.types import (
    BOX_COLUMNS,
    CELL_COLUMNS,
    PLATELET,
    RBC,
    WBC,
    PartCells,
    Progress,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_hemacells.core.detect.learned.group_norm import NormStatistics
    from napari_hemacells.core.detect.learned.model import DetectorModel
    from napari_hemacells.core.detect.learned.postprocess import Detections
    from napari_hemacells.core.detect.regions import Regions
    from napari_hemacells.core.detect.tiling import Part
    from napari_hemacells.core.params import DetectParams
    from napari_hemacells.core.types import SmearImage

LEAST_WHITE = 0.9  # diameters of a red cell
LEAST_SHOWN = 0.15  # diameters of a red cell cut by the border; a sliver is mostly no cell
AT_BORDER = 0.03  # diameters from the border within which a box is cut by it
MARGIN = 4.0  # pixels at scale: two parts may place a cell on their border a little differently


def detect_learned_part(
    image: SmearImage, plan: Plan, part: Part, model: DetectorModel
) -> PartCells:
    """Return the cells of a part with their masks.

    The masks are drawn together with the cells of neighbouring parts, so that cells on a border
    share their pixels as cells inside do.
    """
    view = ScaledImage(image.pixels, plan.scale)
    limits = model.limits.with_sensitivity(plan.params.sensitivity)
    picture = view.part(*part.window)
    detections, maps = model.find_in_maps(picture, limits, plan.norms)
    if maps is None:
        return PartCells(part.index, _table(detections, [], plan.shape), PackedMasks.of([]))
    at_scale = detections.boxes
    detections = detections.moved(part.origin, 1.0)
    own = part.own(detections.centres, MARGIN)
    detections, order = _clip_and_sort(detections, view)
    shown = ~is_sliver(detections, plan.shape, plan.diameter)
    detections, order = detections.pick(shown), order[shown]
    detections = relabel_small_leukocytes(detections, plan.shape, plan.diameter)
    own = own[order] & plan.holds(detections.centres)
    cells, kept = _cells(detections, own, _foreground(maps.foreground, view, part), plan, part)
    vectors = pool_cell_vectors(maps.features, at_scale[order[kept]])
    return replace(cells, vectors=vectors.astype(np.float16))


def _clip_and_sort(
    detections: Detections, view: ScaledImage
) -> tuple[Detections, NDArray[np.int64]]:
    """Return the cells in image pixels, row by row with clipped boxes, and their order."""
    extent = np.array(view.pixels.shape[:2], np.float64)
    boxes = np.clip(detections.boxes * np.tile(extent / view.shape, 2), 0, np.tile(extent, 2))
    detections = type(detections)(boxes, detections.kinds, detections.scores)
    order = np.lexsort((detections.centres[:, 1], detections.centres[:, 0]))
    return detections.pick(order), order


def is_sliver(
    detections: Detections, shape: tuple[int, int], diameter: float
) -> NDArray[np.bool_]:
    """Return which red cells the image border leaves only a sliver of.

    Boxes are clipped to the image. Annotators of TXL-PBC box few of them: on its development
    fields 3 of 16 that the detector found were annotated.
    """
    boxes, near = detections.boxes, AT_BORDER * diameter
    cut = (boxes[:, :2] < near) | (boxes[:, 2:] > np.asarray(shape) - near)
    narrow = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) < LEAST_SHOWN * diameter
    return np.asarray(cut.any(axis=1) & narrow & (detections.kinds == KINDS.index(RBC)))


def relabel_small_leukocytes(
    detections: Detections, shape: tuple[int, int], diameter: float
) -> Detections:
    """Return the cells with white cells smaller than a red cell renamed to platelets.

    No leukocyte is smaller than an erythrocyte, but a giant platelet looks like a nucleus. Cells
    cut by the image border keep their kind, as their size is unknown.
    """
    sides = detections.boxes[:, 2:] - detections.boxes[:, :2]
    whole = (detections.boxes[:, :2] > 0).all(axis=1) & (detections.boxes[:, 2:] < shape).all(
        axis=1
    )
    small = whole & (sides.max(axis=1, initial=0) < LEAST_WHITE * diameter)
    giant = small & (detections.kinds == KINDS.index(WBC))
    kinds = np.where(giant, KINDS.index(PLATELET), detections.kinds)
    return type(detections)(detections.boxes, kinds, detections.scores)


def _foreground(chance: NDArray[np.float32], view: ScaledImage, part: Part) -> ForegroundMap:
    """Return the network's foreground map in image coordinates."""
    rows, cols = (-(-(stop - start) // STRIDE) for start, stop in (part.rows, part.cols))
    ratio = view.ratio
    return ForegroundMap(
        np.rint(255 * chance[:rows, :cols]).astype(np.uint8),
        (STRIDE * ratio[0], STRIDE * ratio[1]),
        (part.rows[0] * ratio[0], part.cols[0] * ratio[1]),
    )


def _cells(
    detections: Detections,
    own: NDArray[np.bool_],
    foreground: ForegroundMap,
    plan: Plan,
    part: Part,
) -> tuple[PartCells, NDArray[np.int64]]:
    """Return the part's own cells and their indices; one without pixels is dropped."""
    canvas = _canvas(detections.boxes[own], plan.shape)
    starts, stops = ([part.start for part in canvas], [part.stop for part in canvas])
    near = np.all((detections.boxes[:, :2] < stops) & (detections.boxes[:, 2:] > starts), axis=1)
    indices = np.flatnonzero(near)
    detections, places = detections.pick(near), np.flatnonzero(own[near])
    labels = paint_labels(detections, foreground, canvas, places)
    masks, kept = [], []
    for position in places.tolist():
        window = window_of(detections.boxes[position], canvas)
        bits = labels[window_in_canvas(window, canvas)] == position + 1
        if bits.any():
            rows, cols = window
            masks.append(CellMask((rows.start, cols.start, rows.stop, cols.stop), bits))
            kept.append(position)
    chosen = np.array(kept, np.int64)
    table = _table(detections.pick(chosen), [mask.area for mask in masks], plan.shape)
    return PartCells(part.index, table, PackedMasks.of(masks)), indices[chosen]


def _canvas(boxes: NDArray[np.float64], shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the smallest window of the image with all boxes."""
    if not len(boxes):
        return slice(0, 0), slice(0, 0)
    low = np.floor(boxes[:, :2].min(axis=0)).astype(int).tolist()
    high = np.minimum(np.ceil(boxes[:, 2:].max(axis=0)), shape).astype(int).tolist()
    return slice(max(0, low[0]), high[0]), slice(max(0, low[1]), high[1])


def _table(detections: Detections, areas: list[int], shape: tuple[int, int]) -> pd.DataFrame:
    """Return one row per cell; boxes and centres include the hidden part of a cell."""
    low = np.floor(detections.boxes[:, :2]).astype(np.int64)
    high = np.minimum(
        np.maximum(np.ceil(detections.boxes[:, 2:]).astype(np.int64), low + 1), shape
    )
    columns = {
        "class": pd.Series(np.array(KINDS, dtype=object)[detections.kinds], dtype="str"),
        "score": detections.scores,
        "row": detections.centres[:, 0],
        "col": detections.centres[:, 1],
        **dict(zip(BOX_COLUMNS, np.concatenate([low, high], axis=1).T, strict=True)),
        "area": np.array(areas, np.int64),
    }
    return pd.DataFrame(columns)[list(CELL_COLUMNS[1:])]


DIAMETER_WITHOUT_CELLS = 40.0


def learned_plan_steps(
    image: SmearImage,
    params: DetectParams,
    *,
    regions: Regions | None = None,
    tile: int | None = None,
    model: DetectorModel | None = None,
) -> Generator[Progress, None, Plan]:
    """Yield the progress of the measurements; return the plan."""
    model = model or model_for(params.weights)
    measured = yield from _diameter_steps(image, params, model, regions)
    diameter = measured.diameter
    view = ScaledImage(image.pixels, CANONICAL_DIAMETER / diameter)
    parts = tuple(make_tiles(view.shape, tile or CORE))
    norms = (yield from _norms_steps(image, view, model, regions)) if len(parts) > 1 else None
    parts = parts_in_regions(parts, regions, view.ratio)
    return Plan(
        method="learned",
        diameter=diameter,
        params=params,
        shape=image.shape,
        parts=drop_empty_parts(image, parts, view.shape, diameter),
        scale=view.scale,
        image_key=image.key,
        weights=model.identity,
        regions=regions,
        norms=norms,
        other_diameter=measured.other,
    )


def _norms_steps(
    image: SmearImage, view: ScaledImage, model: DetectorModel, regions: Regions | None
) -> Generator[Progress, None, NormStatistics | None]:
    """Return the group normalisation statistics, measured in windows with cells."""
    seen = []
    windows = list(windows_around(view, stained_windows(image, regions)))
    for number, window in enumerate(windows):
        yield Progress(number, len(windows), "Measuring the stain")
        seen.append(view.part(*window))
    return model.measure_norms(seen)


def _diameter_steps(
    image: SmearImage, params: DetectParams, model: DetectorModel, regions: Regions | None
) -> Generator[Progress, None, MeasuredDiameter]:
    """Return the diameter in pixels: given, given in µm, or measured."""
    if params.cell_diameter is not None or params.cell_diameter_um is not None:
        return MeasuredDiameter(cell_diameter(image, params))
    measured = yield from measure_diameter_steps(image, model, regions)
    return measured or MeasuredDiameter(DIAMETER_WITHOUT_CELLS)
