"""An open image that is a picture of one cell: the whole picture as its only cell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.crop import central_object, estimate_context
from napari_hemacells.core.detect.sources import whole_frame
from napari_hemacells.core.errors import CellsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_hemacells.core.types import Cells, SmearImage


MAX_SINGLE_SIDE = 512  # pixels; fields of a smear are larger
MOST_CONTEXT = 8.0  # picture over cell: of a platelet in a picture cut for a white cell
MAX_OFFSET = 0.12  # of the longer side, from the picture's centre to the cell's
MOST = 0.8  # of the pictures that must show one cell each
FEWEST = 3  # pictures, below which nothing is concluded from what they show
SAMPLE = 24


def look_like_single_cells(pictures: Iterable[NDArray[Any]]) -> bool:
    """Whether nearly each picture is small and shows one stained object in its middle.

    Examples
    --------
    Pictures of an analyser, one cell each, are; fields of a smear are not.
    """
    alike = [_shows_single_cell(picture) for picture in pictures]
    return len(alike) >= FEWEST and float(np.mean(alike)) >= MOST


def _shows_single_cell(picture: NDArray[Any]) -> bool:
    if picture.ndim == 2 or max(picture.shape) > MAX_SINGLE_SIDE:
        return False
    spans = central_object(picture)
    if spans is None:
        return False
    longest = max(picture.shape[:2])
    inside = all(
        span.start > 0 and span.stop < side
        for span, side in zip(spans, picture.shape, strict=False)
    )
    offset = max(
        abs((span.start + span.stop - side) / 2)
        for span, side in zip(spans, picture.shape, strict=False)
    )
    extent = max(span.stop - span.start for span in spans)
    return inside and offset <= MAX_OFFSET * longest and longest <= MOST_CONTEXT * extent


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
