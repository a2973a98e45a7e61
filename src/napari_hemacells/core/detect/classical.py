"""image → `Cells` by the classical detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.detect.dispatch import detect_steps
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.steps import run_to_end

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.types import Cells, Progress, SmearImage


def detect_classical(image: SmearImage, params: DetectParams | None = None) -> Cells:
    """Return the cells of a smear: :func:`detect_classical_steps` run to its end."""
    return run_to_end(detect_classical_steps(image, params))


def detect_classical_steps(
    image: SmearImage, params: DetectParams | None = None, *, tile: int | None = None
) -> Generator[Progress, None, Cells]:
    """Yield the progress; return the cells.

    Parameters
    ----------
    tile
        See :func:`~napari_hemacells.core.detect.parts.plan_steps`.

    Raises
    ------
    CellsError
        A diameter in µm without a pixel size.
    ImageError
        A temperature image.
    """
    params = (params or DetectParams()).model_copy(update={"method": "classical"})
    return detect_steps(image, params, tile=tile)
