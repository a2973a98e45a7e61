"""The learned detector on one part of an image. Imports torch: import it inside functions.

How the learned detector takes an image apart. Imports torch: import it inside functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_hemacells.core.cell_masks import CellMask, PackedMasks
from napari_hemacells.core.detect.diameter import cell_diameter
from napari_hemacells.core.detect.foreground import (
    stained_windows,
    windows_around,
    with_cells,
)
from napari_hemacells.core.detect.learned.diameter import measured_diameter_steps
from napari_hemacells.core.detect.learned.instance_masks import (
    Foreground,
    paint,
    window_of,
    within,
)
from napari_hemacells.core.detect.learned.metadata import (
    CANONICAL_DIAMETER,
    KINDS,
    STRIDE,
)
from napari_hemacells.core.detect.learned.model import model_for
from napari_hemacells.core.detect.plan import Plan, touching
from napari_hemacells.core.detect.tiling import CORE, ScaledImage, tiles
from napari_hemacells.core.types import (
    BOX_COLUMNS,
    CELL_COLUMNS,
    PLATELET,
    WBC,
    PartCells,
    Progress,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_hemacells.core.detect.learned.group_norm import Norms
    from napari_hemacells.core.detect.learned.model import Model
    from napari_hemacells.core.detect.learned.postprocess import Found
    from napari_hemacells.core.detect.regions import Regions
    from napari_hemacells.core.detect.tiling import Part
    from napari_hemacells.core.params import DetectParams
    from napari_hemacells.core.types import SmearImage

LEAST_WHITE = 0.9  # diameters of a red cell
MARGIN = 4.0  # pixels at scale: two parts may place a cell on their border a little differently


def find_in_part(image: SmearImage, plan: Plan, part: Part, model: Model) -> PartCells:
    """Return the cells of a part with their masks.

    The masks are painted among all cells that are seen, also those that neighbouring parts answer
    for, so that cells on a border share their pixels as cells inside do.
    """
    view = ScaledImage(image.pixels, plan.scale)
    limits = model.limits.shifted(plan.params.sensitivity)
    found, chance = model.find(view.part(*part.window), limits, plan.norms)
    found = found.moved(part.origin, 1.0)
    own = part.own(found.centres, MARGIN)
    found, order = _on_image(found, view)
    found = small_white_are_platelets(found, plan.shape, plan.diameter)
    own = own[order] & plan.holds(found.centres)
    return _cells(found, own, _foreground(chance, view, part), plan, part.index)


def _on_image(found: Found, view: ScaledImage) -> tuple[Found, NDArray[np.int64]]:
    """Return the cells in pixels of the image row by row, boxes cut at its border; their order."""
    extent = np.array(view.pixels.shape[:2], np.float64)
    boxes = np.clip(found.boxes * np.tile(extent / view.shape, 2), 0, np.tile(extent, 2))
    found = type(found)(boxes, found.kinds, found.scores)
    order = np.lexsort((found.centres[:, 1], found.centres[:, 0]))
    return found.pick(order), order


def small_white_are_platelets(found: Found, shape: tuple[int, int], diameter: float) -> Found:
    """Return the cells with white ones that are smaller than a red cell called platelets.

    No leukocyte is smaller than an erythrocyte, but a giant platelet looks like a nucleus. Cells
    that the image's border cuts keep their kind: their size is not known.
    """
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    whole = (found.boxes[:, :2] > 0).all(axis=1) & (found.boxes[:, 2:] < shape).all(axis=1)
    small = whole & (sides.max(axis=1, initial=0) < LEAST_WHITE * diameter)
    giant = small & (found.kinds == KINDS.index(WBC))
    kinds = np.where(giant, KINDS.index(PLATELET), found.kinds)
    return type(found)(found.boxes, kinds, found.scores)


def _foreground(chance: NDArray[np.float32], view: ScaledImage, part: Part) -> Foreground:
    """Return the network's map laid on the image."""
    rows, cols = (-(-(stop - start) // STRIDE) for start, stop in (part.rows, part.cols))
    ratio = view.ratio
    return Foreground(
        np.rint(255 * chance[:rows, :cols]).astype(np.uint8),
        (STRIDE * ratio[0], STRIDE * ratio[1]),
        (part.rows[0] * ratio[0], part.cols[0] * ratio[1]),
    )


def _cells(
    found: Found, own: NDArray[np.bool_], foreground: Foreground, plan: Plan, index: int
) -> PartCells:
    """Return the own cells; one that no pixel is left for is dropped."""
    canvas = _canvas(found.boxes[own], plan.shape)
    starts, stops = ([part.start for part in canvas], [part.stop for part in canvas])
    near = np.all((found.boxes[:, :2] < stops) & (found.boxes[:, 2:] > starts), axis=1)
    found, places = found.pick(near), np.flatnonzero(own[near])
    labels = paint(found, foreground, canvas, places)
    masks, kept = [], []
    for place in places.tolist():
        window = window_of(found.boxes[place], canvas)
        bits = labels[within(window, canvas)] == place + 1
        if bits.any():
            rows, cols = window
            masks.append(CellMask((rows.start, cols.start, rows.stop, cols.stop), bits))
            kept.append(place)
    found = found.pick(np.array(kept, np.int64))
    table = _table(found, [mask.area for mask in masks], plan.shape)
    return PartCells(index, table, PackedMasks.of(masks))


def _canvas(boxes: NDArray[np.float64], shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the least window of the image that holds all boxes."""
    if not len(boxes):
        return slice(0, 0), slice(0, 0)
    low = np.floor(boxes[:, :2].min(axis=0)).astype(int).tolist()
    high = np.minimum(np.ceil(boxes[:, 2:].max(axis=0)), shape).astype(int).tolist()
    return slice(max(0, low[0]), high[0]), slice(max(0, low[1]), high[1])


def _table(found: Found, areas: list[int], shape: tuple[int, int]) -> pd.DataFrame:
    """Return a row a cell; boxes and centres are those of the whole cell, also under another."""
    low = np.floor(found.boxes[:, :2]).astype(np.int64)
    high = np.minimum(np.maximum(np.ceil(found.boxes[:, 2:]).astype(np.int64), low + 1), shape)
    columns = {
        "class": pd.Series(np.array(KINDS, dtype=object)[found.kinds], dtype="str"),
        "score": found.scores,
        "row": found.centres[:, 0],
        "col": found.centres[:, 1],
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
    model: Model | None = None,
) -> Generator[Progress, None, Plan]:
    """Yield the progress of measuring; return the plan."""
    model = model or model_for(params.weights)
    diameter = yield from _diameter_steps(image, params, model, regions)
    view = ScaledImage(image.pixels, CANONICAL_DIAMETER / diameter)
    parts = tuple(tiles(view.shape, tile or CORE))
    norms = (yield from _norms_steps(image, view, model, regions)) if len(parts) > 1 else None
    parts = touching(parts, regions, view.ratio)
    return Plan(
        method="learned",
        diameter=diameter,
        params=params,
        shape=image.shape,
        parts=with_cells(image, parts, view.shape, diameter),
        scale=view.scale,
        image_key=image.key,
        weights=model.identity,
        regions=regions,
        norms=norms,
    )


def _norms_steps(
    image: SmearImage, view: ScaledImage, model: Model, regions: Regions | None
) -> Generator[Progress, None, Norms | None]:
    """Return how the network normalises every part: as in places with cells, all together."""
    seen = []
    for window in windows_around(view, stained_windows(image, regions)):
        yield Progress(0, 1, "Measuring the stain")
        seen.append(view.part(*window))
    return model.norms_of(seen)


def _diameter_steps(
    image: SmearImage, params: DetectParams, model: Model, regions: Regions | None
) -> Generator[Progress, None, float]:
    """Return the diameter in pixels: given, given in µm, or measured."""
    yield Progress(0, 1, "Measuring the cells")
    if params.cell_diameter is not None or params.cell_diameter_um is not None:
        return cell_diameter(image, params)
    measured = yield from measured_diameter_steps(image, model, regions)
    return measured or DIAMETER_WITHOUT_CELLS
