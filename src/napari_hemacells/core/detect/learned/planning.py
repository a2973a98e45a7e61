"""How the learned detector takes an image apart. Imports torch: import it inside functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.detect.learned.kinds import CANONICAL_DIAMETER
from napari_hemacells.core.detect.learned.model import model_for
from napari_hemacells.core.detect.learned.scale import measured_diameter_steps
from napari_hemacells.core.detect.look import stained_windows, windows_around, with_cells
from napari_hemacells.core.detect.plan import Plan, touching
from napari_hemacells.core.detect.scale import cell_diameter
from napari_hemacells.core.detect.scaled import ScaledImage
from napari_hemacells.core.detect.tiles import CORE, tiles
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.detect.learned.model import Model
    from napari_hemacells.core.detect.learned.norms import Norms
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
