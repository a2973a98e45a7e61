"""A large image as the levels that a viewer shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.image.lazy import LazyPixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.types import SmearImage

COARSEST = 2048  # pixels; a viewer reads the whole of a level up to that size
BAND = 1024


def display_levels(image: SmearImage) -> list[Any]:
    """Return the levels of a lazy image, the largest first, the last one small.

    Where the file has no small level, one is made in memory: the image is read once, band by band.
    """
    pixels: Any = image.pixels
    levels: list[Any] = list(pixels.levels) if isinstance(pixels, LazyPixels) else [pixels]
    longest = max(levels[-1].shape[:2])
    if longest > COARSEST:
        levels.append(_coarse(levels[-1], -(-longest // COARSEST)))
    return levels


def _coarse(pixels: Any, step: int) -> NDArray[np.uint8]:
    """Every `step`-th pixel along both axes."""
    height = BAND // step * step
    starts = range(0, pixels.shape[0], height)
    bands = [pixels[start : start + height][::step, ::step] for start in starts]
    return np.concatenate(bands)
