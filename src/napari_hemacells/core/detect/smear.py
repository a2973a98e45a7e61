"""The classical detector for stained smears: no training, any stain that tells blue from red.

Illumination and stain are separated as optical density over the fitted glass; nuclei, cytoplasm
and platelets are told by how blue-violet they are and by size, red cells by round outlines that
voting edges agree on. Everything happens at one working scale, so that magnification does not
matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.detect.basophil import platelets, white_cells
from napari_hemacells.core.detect.erythro import red_cells
from napari_hemacells.core.detect.found import to_cells
from napari_hemacells.core.detect.plan import Plan, touching
from napari_hemacells.core.detect.scale import cell_diameter, foreground
from napari_hemacells.core.detect.stain import read_stain
from napari_hemacells.core.detect.tiles import tiles
from napari_hemacells.core.label_image import PackedMasks
from napari_hemacells.core.types import PartCells, Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.detect.found import Found
    from napari_hemacells.core.detect.regions import Regions
    from napari_hemacells.core.detect.stain import Stain
    from napari_hemacells.core.detect.tiles import Part
    from napari_hemacells.core.params import DetectParams
    from napari_hemacells.core.types import Cells, SmearImage

WORKING_DIAMETER = 40.0  # px of a red cell: its outline is clear, and more only costs time
MARGIN = 1.11  # the searches' sizes were set with the blurred rim as part of the cell
PHASES = 5
CONTRAST_FLOOR = 0.02  # optical density between glass and the densest: below it all is glass


def classical_plan_steps(
    image: SmearImage,
    params: DetectParams,
    *,
    regions: Regions | None = None,
    tile: int | None = None,
) -> Generator[Progress, None, Plan]:
    """Yield the progress of measuring; return the plan."""
    yield Progress(0, 1, "Measuring the cells")
    diameter = cell_diameter(image, params)
    factor = WORKING_DIAMETER / (MARGIN * diameter) if diameter > 0 else 1.0
    grid = max(1, round(image.shape[0] * factor)), max(1, round(image.shape[1] * factor))
    ratio = image.shape[0] / grid[0], image.shape[1] / grid[1]
    parts = touching(tiles(grid, max(grid)), regions, ratio) if diameter > 0 else ()
    return Plan(
        method="classical",
        diameter=diameter,
        params=params,
        shape=image.shape,
        parts=parts,
        scale=factor,
        image_key=image.key,
        regions=regions,
    )


def find_in_part_steps(
    image: SmearImage, plan: Plan, part: Part
) -> Generator[Progress, None, PartCells]:
    """Yield the phases, between which the work can be stopped; return the cells of a part."""
    yield Progress(0, PHASES, "Separating the stain")
    stain = read_stain(_resized(np.asarray(image.pixels), plan.scale))
    found: list[Found] = []
    if float(np.percentile(stain.density, 99.5)) >= CONTRAST_FLOOR:
        found = yield from _search(stain, 2.0 ** (2 * plan.params.sensitivity - 1))
    yield Progress(4, PHASES, "Drawing the cells")
    found = [one.scaled(1 / plan.scale) for one in found]
    return _own_cells(to_cells(found, plan.shape, plan.diameter), plan, part)


def _search(stain: Stain, eagerness: float) -> Generator[Progress, None, list[Found]]:
    """Return what is found at the working scale."""
    yield Progress(1, PHASES, "Looking for white cells")
    white = white_cells(stain, WORKING_DIAMETER, eagerness) if stain.coloured else []
    taken = _mask(white, stain.density.shape)
    yield Progress(2, PHASES, "Looking for platelets")
    small = platelets(stain, WORKING_DIAMETER, eagerness, taken) if stain.coloured else []
    yield Progress(3, PHASES, "Looking for red cells")
    red = red_cells(stain, WORKING_DIAMETER, eagerness, foreground(stain, 0.7), taken)
    return [*white, *small, *red]


def _own_cells(cells: Cells, plan: Plan, part: Part) -> PartCells:
    """Return the cells that the part answers for, with their masks."""
    own = np.flatnonzero(plan.holds(cells.centres))
    masks = PackedMasks.of_labels(np.asarray(cells.labels), cells.ids.tolist(), cells.boxes)
    table = cells.table.iloc[own].drop(columns="label").reset_index(drop=True)
    return PartCells(part.index, table, masks.pick(own))


def _resized(pixels: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    from skimage.transform import resize

    rows, cols = (max(1, round(side * factor)) for side in pixels.shape[:2])
    small = resize(pixels, (rows, cols, 3), preserve_range=True, anti_aliasing=factor < 1)
    return np.asarray(np.rint(small), dtype=np.uint8)


def _mask(found: Sequence[Found], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    from skimage.draw import polygon

    mask = np.zeros(shape, np.bool_)
    for one in found:
        mask[polygon(*one.outline.T, shape=shape)] = True
    return mask
