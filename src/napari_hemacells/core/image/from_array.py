"""Any array → :class:`SmearImage`, in memory where it is small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_hemacells.core.image.colour import ValueScale, check_type
from napari_hemacells.core.image.content_hash import (
    MAX_IN_MEMORY_PIXELS,
    image_key,
    sample_windows,
)
from napari_hemacells.core.image.layout import Layout
from napari_hemacells.core.image.lazy import LazyPixels
from napari_hemacells.core.types import Groups, SmearImage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_hemacells.core.types import Pixels

OVERVIEW = 4_000_000  # pixels that a look at the whole image should not exceed
LARGEST_OVERVIEW = MAX_IN_MEMORY_PIXELS  # beyond that a pyramid has no level to look at quickly


def image_from_array(
    array: Any,
    name: str,
    *,
    levels: Sequence[Any] = (),
    layout: Layout | None = None,
    path: Path | None = None,
    pixel_size_um: float | None = None,
    groups: Groups | None = None,
) -> SmearImage:
    """Return the colour image of an array, converted by :func:`to_colour`, keyed by what it shows.

    Up to :data:`MAX_IN_MEMORY_PIXELS` pixels it is in memory. A larger one stays where it is and
    is read where it is sliced (:class:`LazyPixels`); its value scale and its key come from
    sampled windows.

    Parameters
    ----------
    array
        A picture: array, nested lists, or anything with ``shape``, ``dtype`` and slicing, such as
        a dask or zarr array.
    levels
        The pyramid it belongs to, largest first; `array` itself may be among them.
    layout
        Which axes are rows, columns and colour; by default guessed from the shape.

    Raises
    ------
    ImageError
        As :func:`to_colour` does.
    """
    given = array if hasattr(array, "dtype") and hasattr(array, "shape") else np.asarray(array)
    check_type(given)
    layout = layout or Layout.of_shape(given.shape)
    rows, cols = layout.size(given.shape)
    lower: list[LazyPixels] = []
    if rows * cols <= MAX_IN_MEMORY_PIXELS:
        values = layout.read(given)
        pixels: Any = ValueScale.of([values]).colour(values)
    else:
        scale = _sampled_scale(given, layout)
        below = [level for level in levels if layout.size(level.shape) < (rows, cols)]
        lower = [LazyPixels(level, layout, scale) for level in below]
        pixels = given if _is_colour(given) else LazyPixels(given, layout, scale, lower)
    return SmearImage(
        pixels=pixels,
        key=image_key(pixels),
        name=name,
        path=path,
        pixel_size_um=pixel_size_um,
        groups=groups or Groups(),
        overview=_overview(lower),
    )


def _is_colour(array: Any) -> bool:
    """Whether the array is what the steps work on already."""
    in_memory = type(array) is np.ndarray  # a memory map is read where it is sliced
    return in_memory and array.dtype == np.uint8 and array.ndim == 3 and array.shape[-1] == 3


def _sampled_scale(array: Any, layout: Layout) -> ValueScale:
    """Return the value scale that the sampled windows have; the same however it was opened."""
    if np.dtype(array.dtype) == np.uint8:
        return ValueScale()
    parts = sample_windows(layout.size(array.shape))
    return ValueScale.of([layout.read(array, *part) for part in parts])


def _overview(lower: Sequence[LazyPixels]) -> Pixels | None:
    """Return the finest level that is quick to look at, otherwise the coarsest."""
    fitting = [level for level in lower if level.shape[0] * level.shape[1] <= OVERVIEW]
    if fitting:
        return cast("Pixels", fitting[0])
    if lower and lower[-1].shape[0] * lower[-1].shape[1] <= LARGEST_OVERVIEW:
        return cast("Pixels", lower[-1])
    return None
