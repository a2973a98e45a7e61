"""The classical detector for smears with a blue and a red stain; it needs no training.

Illumination and stain are separated as optical density above the fitted background. Nuclei,
cytoplasm and platelets are recognised by blue-violet stain and size, red cells by round outlines.
All steps run at one working scale, independent of the magnification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.cell_masks import PackedMasks
from napari_hemacells.core.detect.classical.erythrocytes import find_erythrocytes
from napari_hemacells.core.detect.classical.leukocytes import find_leukocytes, find_platelets
from napari_hemacells.core.detect.classical.thresholds import (
    SMOOTH,
    fit_image_glass,
    measure_thresholds,
    median_thresholds,
    relative_coordinates,
)
from napari_hemacells.core.detect.diameter import cell_diameter
from napari_hemacells.core.detect.foreground import (
    drop_empty_parts,
    foreground,
    is_flat,
    stained_windows,
    windows_around,
)
from napari_hemacells.core.detect.outlines import outlines_to_cells, union_mask
from napari_hemacells.core.detect.plan import Plan, parts_in_regions
from napari_hemacells.core.detect.stain import read_stain
from napari_hemacells.core.detect.tiling import CORE, ScaledImage, make_tiles
from napari_hemacells.core.types import BOX_COLUMNS, PartCells, Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.detect.outlines import CellOutline
    from napari_hemacells.core.detect.regions import Regions
    from napari_hemacells.core.detect.stain import Stain
    from napari_hemacells.core.detect.stain_thresholds import StainThresholds
    from napari_hemacells.core.detect.tiling import Part
    from napari_hemacells.core.params import DetectParams
    from napari_hemacells.core.types import SmearImage

WORKING_DIAMETER = 40.0  # px of a red cell: its outline is clear, and more only costs time
MARGIN = 1.11  # the searches' sizes were set with the blurred rim as part of the cell
MAX_SINGLE_PART_PIXELS = 3_000_000  # pixels at the working scale that are looked at in one piece
BORDER = 4.0  # pixels: two parts may place a cell on their border a little differently
CONTRAST_FLOOR = 0.02  # optical density between glass and the densest: below it all is glass
PHASES = 5


def classical_plan_steps(
    image: SmearImage,
    params: DetectParams,
    *,
    regions: Regions | None = None,
    tile: int | None = None,
) -> Generator[Progress, None, Plan]:
    """Yield the progress of the measurements; return the plan.

    An image of up to :data:`MAX_SINGLE_PART_PIXELS` pixels is one part. For a larger one,
    background and thresholds are measured first and shared by all parts.
    """
    yield Progress(0, 1, "Measuring the cells")
    diameter = cell_diameter(image, params, regions)
    scale = WORKING_DIAMETER / (MARGIN * diameter) if diameter > 0 else 1.0
    view = ScaledImage(image.pixels, scale)
    whole = tile is None and view.shape[0] * view.shape[1] <= MAX_SINGLE_PART_PIXELS
    levels, parts = None, (*make_tiles(view.shape, max(view.shape) if whole else tile or CORE),)
    if diameter <= 0:
        parts = ()
    elif not whole:
        levels = yield from _levels_steps(image, view, regions)
        parts = drop_empty_parts(image, parts, view.shape, diameter)
    return Plan(
        method="classical",
        diameter=diameter,
        params=params,
        shape=image.shape,
        parts=parts_in_regions(parts, regions, view.ratio),
        scale=scale,
        image_key=image.key,
        regions=regions,
        levels=levels,
    )


def _levels_steps(
    image: SmearImage, view: ScaledImage, regions: Regions | None
) -> Generator[Progress, None, StainThresholds]:
    """Return the common levels of some windows with cells."""
    glass = fit_image_glass(image)
    places = stained_windows(image, regions) or [(image.shape[0] / 2, image.shape[1] / 2)]
    seen = []
    for number, window in enumerate(windows_around(view, places)):
        yield Progress(number, len(places), "Separating the stain")
        stain = read_stain(view.part(*window), glass, relative_coordinates(view, *window))
        seen.append(measure_thresholds(stain, glass, WORKING_DIAMETER))
    return median_thresholds(seen)


def detect_classical_part_steps(
    image: SmearImage, plan: Plan, part: Part
) -> Generator[Progress, None, PartCells]:
    """Yield the phases (the work can stop between them); return the cells of a part."""
    yield Progress(0, PHASES, "Separating the stain")
    outlines: list[CellOutline] = []
    stain = _stain_of(image, plan, part)
    if stain is not None:
        eagerness = 2.0 ** (2 * plan.params.sensitivity - 1)
        outlines = yield from _detect_kinds_steps(stain, eagerness, plan.levels)
    yield Progress(4, PHASES, "Drawing the cells")
    return _own_cells(outlines, plan, part)


def _stain_of(image: SmearImage, plan: Plan, part: Part) -> Stain | None:
    """Return the stain of a part; None if there is only background."""
    if plan.levels is None:
        stain = read_stain(_resized(np.asarray(image.pixels), plan.scale))
        return stain if float(np.percentile(stain.density, 99.5)) >= CONTRAST_FLOOR else None
    view = ScaledImage(image.pixels, plan.scale)
    pixels = view.part(*part.window)
    if is_flat(pixels):
        return None
    known = plan.levels
    coordinates = relative_coordinates(view, *part.window)
    return read_stain(pixels, known.glass, coordinates, noise=known.noise, coloured=known.coloured)


def _detect_kinds_steps(
    stain: Stain, eagerness: float, levels: StainThresholds | None
) -> Generator[Progress, None, list[CellOutline]]:
    """Return the outlines found, in pixels of the part."""
    floors = (levels.plasma, levels.stained, levels.red) if levels else (None, None, None)
    yield Progress(1, PHASES, "Looking for white cells")
    coloured = stain.coloured
    white = find_leukocytes(stain, WORKING_DIAMETER, eagerness, floors[0]) if coloured else []
    taken = union_mask(white, stain.density.shape)
    yield Progress(2, PHASES, "Looking for platelets")
    small = find_platelets(stain, WORKING_DIAMETER, eagerness, taken) if coloured else []
    yield Progress(3, PHASES, "Looking for red cells")
    stained = foreground(stain, SMOOTH, floors[1])
    red, _ = find_erythrocytes(
        stain, WORKING_DIAMETER, eagerness, stained, taken, levels=floors[2]
    )
    return [*white, *small, *red]


def _own_cells(outlines: Sequence[CellOutline], plan: Plan, part: Part) -> PartCells:
    """Return the part's own cells in image pixels, drawn together with their neighbours."""
    (top, bottom), (left, right) = (
        _in_image(span, side, plan.scale)
        for span, side in zip((part.rows, part.cols), plan.shape, strict=True)
    )
    on_image = [
        outline.moved(*part.origin).scaled(1 / plan.scale).moved(-top, -left)
        for outline in outlines
    ]
    cells = outlines_to_cells(on_image, (bottom - top, right - left), plan.diameter)
    centres = cells.centres + np.array([top, left])
    own = part.own((centres + 0.5) * plan.scale - 0.5, BORDER) & plan.holds(centres)
    masks = PackedMasks.of_labels(np.asarray(cells.labels), cells.ids.tolist(), cells.boxes)
    places = np.flatnonzero(own)
    table = cells.table.iloc[places].drop(columns="label").reset_index(drop=True)
    table[["row", "col"]] += np.array([top, left])
    table[BOX_COLUMNS] += np.array([top, left, top, left])
    boxes = masks.boxes + np.array([top, left, top, left], np.int32)
    return PartCells(part.index, table, PackedMasks(boxes, masks.bits).pick(places))


def _in_image(span: tuple[int, int], extent: int, scale: float) -> tuple[int, int]:
    """Return the image pixels of a span of the grid."""
    return max(0, int(span[0] / scale)), min(extent, int(np.ceil(span[1] / scale)) + 1)


def _resized(pixels: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    from skimage.transform import resize

    rows, cols = (max(1, round(side * factor)) for side in pixels.shape[:2])
    small = resize(pixels, (rows, cols, 3), preserve_range=True, anti_aliasing=factor < 1)
    return np.asarray(np.rint(small), dtype=np.uint8)
