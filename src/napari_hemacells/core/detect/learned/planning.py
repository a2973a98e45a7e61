"""How the learned detector takes an image apart. Imports torch: import it inside functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.detect.learned.kinds import CANONICAL_DIAMETER
from napari_hemacells.core.detect.learned.model import model_for
from napari_hemacells.core.detect.learned.scale import ScaledImage, measured_diameter
from napari_hemacells.core.detect.plan import Plan, touching
from napari_hemacells.core.detect.scale import cell_diameter
from napari_hemacells.core.detect.tiles import CORE, tiles
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.detect.learned.model import Model
    from napari_hemacells.core.detect.regions import Regions
    from napari_hemacells.core.params import DetectParams
    from napari_hemacells.core.types import SmearImage

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
    yield Progress(0, 1, "Measuring the cells")
    diameter = _diameter(image, params, model)
    view = ScaledImage(image.pixels, CANONICAL_DIAMETER / diameter)
    ratio = image.shape[0] / view.shape[0], image.shape[1] / view.shape[1]
    return Plan(
        method="learned",
        diameter=diameter,
        params=params,
        shape=image.shape,
        parts=touching(tiles(view.shape, tile or CORE), regions, ratio),
        scale=view.scale,
        image_key=image.key,
        weights=model.identity,
        regions=regions,
    )


def _diameter(image: SmearImage, params: DetectParams, model: Model) -> float:
    """Return the diameter in pixels: given, given in µm, or measured."""
    if params.cell_diameter is not None or params.cell_diameter_um is not None:
        return cell_diameter(image, params)
    return measured_diameter(image.pixels, model) or DIAMETER_WITHOUT_CELLS
