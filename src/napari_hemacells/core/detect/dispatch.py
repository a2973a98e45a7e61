"""image → `Cells` by the detector that the user chose."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.steps import run_to_end

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_hemacells.core.params import DetectorName
    from napari_hemacells.core.types import Cells, Progress, SmearImage


def detect(image: SmearImage, params: DetectParams | None = None) -> Cells:
    """Return the cells of a smear: :func:`detect_steps` run to its end.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_hemacells.core.image import from_array
    >>> glass = from_array(np.full((60, 80, 3), 230, np.uint8), "glass")
    >>> len(detect(glass, DetectParams(method="classical")))
    0
    """
    return run_to_end(detect_steps(image, params))


def detect_steps(
    image: SmearImage, params: DetectParams | None = None
) -> Generator[Progress, None, Cells]:
    """Return the cells that the chosen detector finds; yield where the work can be stopped.

    Zero cells is a result, not an error.

    Raises
    ------
    CellsError
        A diameter in µm without a pixel size.
    EncoderError
        The learned detector's weights are missing or damaged.
    ImageError
        A temperature image.
    """
    params = params or DetectParams()
    cells = yield from _steps(image, params)
    return replace(cells, detector=params.method)


def prepare(method: DetectorName, weights: Path | None = None) -> None:
    """Load what the detector needs, once; a front end may choose when that happens.

    Raises
    ------
    EncoderError
        The learned detector's weights are missing or damaged.
    """
    if method == "learned":
        from napari_hemacells.core.detect.learned.model import model_for

        model_for(weights)


def _steps(image: SmearImage, params: DetectParams) -> Generator[Progress, None, Cells]:
    if params.method == "learned":
        from napari_hemacells.core.detect.learned import detect_learned_steps

        return detect_learned_steps(image, params)
    from napari_hemacells.core.detect.smear import detect_steps as classical_steps

    return classical_steps(image, params)
