"""An image taken apart: plan → the cells of each part, anywhere and in any order → the cells.

::

    plan = run_to_end(plan_steps(image, params))
    cells = join(plan, [detect_part(image, plan, part) for part in plan.parts])

Plans, parts and their cells can be pickled, so that each part may be done in another process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.detect.join import LARGE, join
from napari_hemacells.core.detect.plan import Plan
from napari_hemacells.core.detect.regions import Regions
from napari_hemacells.core.detect.tiles import Part
from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.steps import run_to_end
from napari_hemacells.core.types import PartCells

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.detect.learned.model import Model
    from napari_hemacells.core.params import DetectParams
    from napari_hemacells.core.types import Progress, SmearImage

__all__ = [
    "LARGE",
    "Part",
    "PartCells",
    "Plan",
    "Regions",
    "detect_part",
    "detect_part_steps",
    "join",
    "plan_steps",
]


def plan_steps(
    image: SmearImage,
    params: DetectParams,
    *,
    regions: Regions | None = None,
    tile: int | None = None,
    model: Model | None = None,
) -> Generator[Progress, None, Plan]:
    """Yield the progress of measuring; return how the image is taken apart.

    Parameters
    ----------
    regions
        Where cells are looked for; the parts that touch none are left out.
    tile
        Side of a part in pixels of the working grid, a multiple of 16; what is found hardly
        depends on it.
    model
        Another learned detector than the one that `params` name.

    Raises
    ------
    CellsError
        A diameter in µm without a pixel size.
    EncoderError
        The learned detector's weights are missing or damaged.
    ImageError
        A temperature image.
    """
    if image.modality != "colour":
        raise ImageError(f"{image.name} holds temperatures; cells are found in stained smears.")
    if params.method == "learned":
        from napari_hemacells.core.detect.learned.planning import learned_plan_steps

        return learned_plan_steps(image, params, regions=regions, tile=tile, model=model)
    from napari_hemacells.core.detect.smear import classical_plan_steps

    return classical_plan_steps(image, params, regions=regions, tile=tile)


def detect_part(
    image: SmearImage, plan: Plan, part: Part, *, model: Model | None = None
) -> PartCells:
    """Return the cells that a part answers for; :func:`detect_part_steps` run to its end."""
    return run_to_end(detect_part_steps(image, plan, part, model=model))


def detect_part_steps(
    image: SmearImage, plan: Plan, part: Part, *, model: Model | None = None
) -> Generator[Progress, None, PartCells]:
    """Yield what is going on where the work can be stopped; return a part's cells.

    Parameters
    ----------
    model
        The learned detector, where it is not the one that the plan's parameters name.

    Raises
    ------
    EncoderError
        The learned detector's weights are missing or damaged.
    ImageError
        The pixels of the part cannot be read.
    """
    if plan.method == "learned":
        from napari_hemacells.core.detect.learned.model import model_for
        from napari_hemacells.core.detect.learned.part import find_in_part

        return find_in_part(image, plan, part, model or model_for(plan.params.weights))
    from napari_hemacells.core.detect.smear import find_in_part_steps

    return (yield from find_in_part_steps(image, plan, part))
