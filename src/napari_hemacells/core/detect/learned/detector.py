"""image → `Cells` by the learned detector, also by another one than the bundled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.detect.dispatch import detect_steps
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.steps import run_to_end

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.detect.learned.model import Model
    from napari_hemacells.core.types import Cells, Progress, SmearImage


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
    tile: int | None = None,
) -> Generator[Progress, None, Cells]:
    """Yield the progress part by part; return the cells.

    Parameters
    ----------
    model
        Another detector than the one that `params` name, as after fine-tuning.
    tile
        See :func:`~napari_hemacells.core.detect.parts.plan_steps`.

    Raises
    ------
    ImageError
        A temperature image.
    CellsError
        A diameter in µm without a pixel size.
    EncoderError
        The weights are missing or damaged.
    """
    params = (params or DetectParams()).model_copy(update={"method": "learned"})
    return detect_steps(image, params, model=model, tile=tile)
