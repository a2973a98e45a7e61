"""image → `Cells` by the learned detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_hemacells.core.detect.learned.decode import Found, joined
from napari_hemacells.core.detect.learned.kinds import CANONICAL_DIAMETER, KINDS, STRIDE
from napari_hemacells.core.detect.learned.masks import paint
from napari_hemacells.core.detect.learned.scale import ScaledImage, measured_diameter
from napari_hemacells.core.detect.learned.tiles import CORE, tiles
from napari_hemacells.core.detect.scale import cell_diameter
from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.steps import run_to_end
from napari_hemacells.core.types import (
    BOX_COLUMNS,
    CELL_COLUMNS,
    PLATELET,
    WBC,
    Cells,
    Progress,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_hemacells.core.detect.learned.model import Limits, Model
    from napari_hemacells.core.detect.learned.tiles import Tile
    from napari_hemacells.core.types import SmearImage

DIAMETER_WITHOUT_CELLS = 40.0
LEAST_WHITE = 0.9  # diameters of a red cell


def detect_learned(image: SmearImage, params: DetectParams | None = None) -> Cells:
    """Return the red cells, white cells and platelets of a stained smear.

    See :func:`detect_learned_steps`, which this runs to its end.
    """
    return run_to_end(detect_learned_steps(image, params))


def detect_learned_steps(
    image: SmearImage,
    params: DetectParams | None = None,
    *,
    model: Model | None = None,
    tile: int = CORE,
) -> Generator[Progress, None, Cells]:
    """Yield the progress tile by tile; return the cells.

    Parameters
    ----------
    model
        Another detector than the bundled one, as after fine-tuning.
    tile
        Side of a tile in pixels at scale, a multiple of 16; what is found does not depend on it.

    Raises
    ------
    ImageError
        A temperature image.
    CellsError
        A diameter in µm without a pixel size.
    """
    from napari_hemacells.core.detect.learned.model import model_for

    params = params or DetectParams()
    model = model or model_for(params.weights)
    yield Progress(0, 1, "Measuring the cells")
    diameter = _diameter(image, params, model)
    view = ScaledImage(image.pixels, CANONICAL_DIAMETER / diameter)
    limits = model.limits.shifted(params.sensitivity)
    found, foreground = yield from _all_tiles(view, model, limits, tile)
    found = small_white_are_platelets(found, image.shape, diameter)
    return _cells(found, foreground, image.shape, view, diameter)


def _diameter(image: SmearImage, params: DetectParams, model: Model) -> float:
    """Return the diameter in pixels: given, given in µm, or measured."""
    if image.modality != "colour":
        raise ImageError(f"{image.name} holds temperatures; this detector is for stained smears.")
    if params.cell_diameter is not None or params.cell_diameter_um is not None:
        return cell_diameter(image, params)
    return measured_diameter(image.pixels, model) or DIAMETER_WITHOUT_CELLS


def _all_tiles(
    view: ScaledImage, model: Model, limits: Limits, core: int
) -> Generator[Progress, None, tuple[Found, NDArray[np.uint8]]]:
    """Yield the progress; return the cells in pixels of the image, and the foreground map."""
    rows, cols = view.shape
    foreground = np.zeros((-(-rows // STRIDE), -(-cols // STRIDE)), np.uint8)
    parts, count = [], 0
    plan = list(tiles(view.shape, core))
    for place, tile in enumerate(plan):
        yield Progress(place, len(plan), f"{count} cells found")
        found, chance = model.find(view.part(tile.rows, tile.cols), limits)
        own = found.pick(tile.own(found))
        parts.append(own.moved((tile.rows.start, tile.cols.start), 1.0))
        count += len(own)
        _put(foreground, chance, tile)
    yield Progress(len(plan), len(plan), f"{count} cells found, outlining them")
    return _on_image(joined(parts), view), foreground


def _put(foreground: NDArray[np.uint8], chance: NDArray[np.float32], tile: Tile) -> None:
    """Write the core of a tile's chances into the map of the whole picture."""
    cores = (tile.core_rows, tile.core_cols)
    starts = (tile.rows.start // STRIDE, tile.cols.start // STRIDE)
    target = tuple(slice(core.start // STRIDE, -(-core.stop // STRIDE)) for core in cores)
    source = tuple(
        slice(part.start - start, part.stop - start)
        for part, start in zip(target, starts, strict=True)
    )
    foreground[target] = np.rint(255 * chance[source])


def _on_image(found: Found, view: ScaledImage) -> Found:
    """Return the cells in pixels of the image, boxes cut at its border, row by row."""
    extent = np.array(view.pixels.shape[:2], np.float64)
    ratio = np.tile(extent / view.shape, 2)
    boxes = np.clip(found.boxes * ratio, 0, np.tile(extent, 2))
    found = Found(boxes, found.kinds, found.scores)
    return found.pick(np.lexsort((found.centres[:, 1], found.centres[:, 0])))


def small_white_are_platelets(found: Found, shape: tuple[int, int], diameter: float) -> Found:
    """Return the cells with white ones that are smaller than a red cell called platelets.

    No leukocyte is smaller than an erythrocyte, but a giant platelet looks like a nucleus. Cells
    that the image's border cuts keep their kind: their size is not known.
    """
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    whole = (found.boxes[:, :2] > 0).all(axis=1) & (found.boxes[:, 2:] < shape).all(axis=1)
    small = whole & (sides.max(axis=1, initial=0) < LEAST_WHITE * diameter)
    giant = small & (found.kinds == KINDS.index(WBC))
    return Found(found.boxes, np.where(giant, KINDS.index(PLATELET), found.kinds), found.scores)


def _cells(
    found: Found,
    foreground: NDArray[np.uint8],
    shape: tuple[int, int],
    view: ScaledImage,
    diameter: float,
) -> Cells:
    """Return labels and table; a cell that no pixel is left for is dropped."""
    labels = paint(found, foreground, STRIDE * shape[0] / view.shape[0], shape)
    area = np.bincount(labels.ravel(), minlength=len(found) + 1)[1:]
    kept = area > 0
    numbers = np.zeros(len(found) + 1, np.int32)
    numbers[1:][kept] = np.arange(1, kept.sum() + 1)
    table = _table(found.pick(kept), area[kept], shape)
    return Cells(numbers[labels], table, diameter)


def _table(found: Found, area: NDArray[np.int64], shape: tuple[int, int]) -> pd.DataFrame:
    """Return a row a cell; boxes and centres are those of the whole cell, also under another."""
    low = np.floor(found.boxes[:, :2]).astype(np.int64)
    high = np.minimum(np.maximum(np.ceil(found.boxes[:, 2:]).astype(np.int64), low + 1), shape)
    columns = {
        "label": np.arange(1, len(found) + 1),
        "class": np.array(KINDS, dtype=object)[found.kinds],
        "score": found.scores,
        "row": found.centres[:, 0],
        "col": found.centres[:, 1],
        **dict(zip(BOX_COLUMNS, np.concatenate([low, high], axis=1).T, strict=True)),
        "area": area,
    }
    return pd.DataFrame(columns)[list(CELL_COLUMNS)]
