"""An open image that is a picture of one cell: the whole picture as its only cell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.crop import estimate_context
from napari_hemacells.core.detect.sources import whole_frame
from napari_hemacells.core.errors import CellsError

if TYPE_CHECKING:
    from napari_hemacells.core.types import Cells, SmearImage


def whole_picture(image: SmearImage, context: float | None = None) -> Cells:
    """Return a single cell, id 1, that is the whole picture; its crop has a cell's usual margin.

    Parameters
    ----------
    context
        The picture's longer side divided by the extent of its cell; measured if not given. The
        crop of a thermogram is the whole frame.

    Raises
    ------
    CellsError
        The image is too large to be a picture of one cell.
    """
    rows, cols = image.shape
    if image.is_lazy:
        raise CellsError(
            f"{image.name} has {rows:,} × {cols:,} pixels and is no picture of one cell: detect "
            "the cells in it."
        )
    if image.modality == "temperature":
        return whole_frame(image.shape)
    measured = estimate_context([np.asarray(image.pixels)]) if context is None else context
    return replace(whole_frame(image.shape), context=measured)
