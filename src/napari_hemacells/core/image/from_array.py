"""Making a :class:`SmearImage` from an array, in memory where it is small."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_hemacells.core.image.colour import ValueScale, check_type, is_clear
from napari_hemacells.core.image.content_hash import (
    MAX_IN_MEMORY_PIXELS,
    image_key,
    sample_windows,
)
from napari_hemacells.core.image.layout import WHOLE_PICTURE, Layout
from napari_hemacells.core.image.lazy import LazyPixels
from napari_hemacells.core.types import Groups, SmearImage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.image.plane_selection import PlaneSelection
    from napari_hemacells.core.types import BitDepth, Pixels

OVERVIEW = 4_000_000  # pixels that a look at the whole image should not exceed
LARGEST_OVERVIEW = MAX_IN_MEMORY_PIXELS  # beyond that a pyramid has no level to look at quickly


CLEAR_NOTE = "The opacity is 0 everywhere, so that nothing would be seen: it is ignored."


@dataclass(frozen=True)
class SampleMeaning:
    """What the values of an array mean, as its file states it.

    Attributes
    ----------
    depth
        Bits a sample where they are fewer than the type has; ``None`` where it does not say.
    associated
        Whether the colours have been multiplied with alpha.
    inverted
        Whether 0 is white.
    """

    depth: BitDepth | None = None
    associated: bool = False
    inverted: bool = False


def image_from_array(
    array: Any,
    name: str,
    *,
    levels: Sequence[Any] = (),
    layout: Layout | None = None,
    path: Path | None = None,
    pixel_size_um: float | None = None,
    groups: Groups | None = None,
    meaning: SampleMeaning | None = None,
    run_depths: Sequence[BitDepth] = (),
    notes: Sequence[str] = (),
    selection: PlaneSelection = WHOLE_PICTURE,
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
    meaning
        What the file states about the values; by default what their type says.
    run_depths
        One bit depth, of each offset, for all images of a run whose depth is guessed.
    notes
        Sentences about the file, kept beside those about the values.
    selection
        The plane of a stack and the channels, where no `layout` is given.

    Raises
    ------
    ImageError
        As :func:`to_colour` does.
    """
    given = array if hasattr(array, "dtype") and hasattr(array, "shape") else np.asarray(array)
    check_type(given)
    layout = layout or Layout.of_shape(given.shape, selection)
    rows, cols = layout.size(given.shape)
    small = rows * cols <= MAX_IN_MEMORY_PIXELS
    meaning = meaning or SampleMeaning()
    needed = _needs_a_look(given, layout, meaning)
    parts = [layout.read(given)] if small else _samples(given, layout) if needed else []
    sentences = [*notes, layout.note]
    if parts and is_clear(parts):
        layout = layout.without_alpha(given.shape)
        parts = [part[..., :-1] for part in parts]
        sentences.append(CLEAR_NOTE)
    scale = _scale(parts, meaning, run_depths)
    sentences += [] if scale.depth is None else [scale.depth.words]
    lower: list[LazyPixels] = []
    if small:
        pixels: Any = scale.colour(parts[0])
    else:
        below = [
            level
            for level in levels
            if layout.size(level.shape) < (rows, cols) and layout.fits(level.shape, given.shape)
        ]
        lower = [LazyPixels(level, layout, scale) for level in below]
        plain = _is_colour(given) and not scale.inverted
        pixels = given if plain else LazyPixels(given, layout, scale, lower)
    return SmearImage(
        pixels=pixels,
        key=image_key(pixels),
        name=name,
        path=path,
        pixel_size_um=pixel_size_um,
        groups=groups or Groups(),
        overview=_overview(lower),
        bit_depth=scale.depth,
        notes=tuple(note for note in sentences if note),
    )


def _scale(
    parts: Sequence[NDArray[Any]], meaning: SampleMeaning, run_depths: Sequence[BitDepth]
) -> ValueScale:
    scale = ValueScale.of(parts, meaning.depth).of_run(run_depths) if parts else ValueScale()
    return replace(scale, associated=meaning.associated, inverted=meaning.inverted)


def _is_colour(array: Any) -> bool:
    """Whether the array is what the steps work on already."""
    in_memory = type(array) is np.ndarray  # a memory map is read where it is sliced
    return in_memory and array.dtype == np.uint8 and array.ndim == 3 and array.shape[-1] == 3


def _needs_a_look(array: Any, layout: Layout, meaning: SampleMeaning) -> bool:
    """Whether the values of a large image decide its scale, or whether its alpha counts."""
    with_alpha = layout.channel_count(array.shape) in {2, 4}
    return np.dtype(array.dtype) != np.uint8 or with_alpha or meaning.depth is not None


def _samples(array: Any, layout: Layout) -> list[NDArray[Any]]:
    """Return the sampled windows, whose value scale is the same however it was opened."""
    windows = sample_windows(layout.size(array.shape))
    return [layout.read(array, *window) for window in windows]


def _overview(lower: Sequence[LazyPixels]) -> Pixels | None:
    """Return the finest level that is quick to look at, otherwise the coarsest."""
    fitting = [level for level in lower if level.shape[0] * level.shape[1] <= OVERVIEW]
    if fitting:
        return cast("Pixels", fitting[0])
    if lower and lower[-1].shape[0] * lower[-1].shape[1] <= LARGEST_OVERVIEW:
        return cast("Pixels", lower[-1])
    return None
