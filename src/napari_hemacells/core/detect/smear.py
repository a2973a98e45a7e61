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
from napari_hemacells.core.detect.measure import no_cells
from napari_hemacells.core.detect.scale import cell_diameter, foreground
from napari_hemacells.core.detect.stain import read_stain
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.steps import run_to_end
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.detect.found import Found
    from napari_hemacells.core.types import Cells, SmearImage

WORKING_DIAMETER = 40.0  # px of a red cell: its outline is clear, and more only costs time
MARGIN = 1.11  # the searches' sizes were set with the blurred rim as part of the cell
PHASES = 5
CONTRAST_FLOOR = 0.02  # optical density between glass and the densest: below it all is glass


def detect(image: SmearImage, params: DetectParams | None = None) -> Cells:
    """Return the cells of a smear: :func:`detect_steps` run to its end."""
    return run_to_end(detect_steps(image, params))


def detect_steps(
    image: SmearImage, params: DetectParams | None = None
) -> Generator[Progress, None, Cells]:
    """Return the cells of a smear; yield between the phases, where the work can be stopped.

    Zero cells is a result, not an error.

    Raises
    ------
    CellsError
        A diameter in µm without a pixel size.
    """
    params = params or DetectParams()
    yield Progress(0, PHASES, "Measuring the cells")
    diameter = cell_diameter(image, params)
    if diameter <= 0:
        return no_cells(image.shape, 0.0)
    factor = WORKING_DIAMETER / (MARGIN * diameter)
    yield Progress(1, PHASES, "Separating the stain")
    stain = read_stain(_resized(np.asarray(image.pixels), factor))
    if float(np.percentile(stain.density, 99.5)) < CONTRAST_FLOOR:
        return no_cells(image.shape, diameter)
    eagerness = 2.0 ** (2 * params.sensitivity - 1)
    yield Progress(2, PHASES, "Looking for white cells")
    white = white_cells(stain, WORKING_DIAMETER, eagerness) if stain.coloured else []
    taken = _mask(white, stain.density.shape)
    yield Progress(3, PHASES, "Looking for platelets")
    small = platelets(stain, WORKING_DIAMETER, eagerness, taken) if stain.coloured else []
    yield Progress(4, PHASES, "Looking for red cells")
    red = red_cells(stain, WORKING_DIAMETER, eagerness, foreground(stain, 0.7), taken)
    found = [one.scaled(1 / factor) for one in (*white, *small, *red)]
    yield Progress(PHASES, PHASES, "Drawing the cells")
    return to_cells(found, image.shape, diameter)


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
