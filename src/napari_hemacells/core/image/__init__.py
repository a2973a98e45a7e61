"""Any array or picture file → :class:`SmearImage`; the content hash that is its identity.

Small images are arrays in memory. Images above :data:`MAX_IN_MEMORY_PIXELS` pixels are
:class:`LazyPixels`: only what is sliced is read from the TIFF, the OME-Zarr folder, the dask or
zarr array behind them.
"""

from napari_hemacells.core.image.colour import to_colour
from napari_hemacells.core.image.content_hash import MAX_IN_MEMORY_PIXELS, content_key, image_key
from napari_hemacells.core.image.files import (
    PICTURE_SUFFIXES,
    guess_run_depths,
    image_name,
    is_image,
    is_large,
    picture_size,
    read_image,
    read_pixels,
)
from napari_hemacells.core.image.from_array import image_from_array
from napari_hemacells.core.image.lazy import LazyPixels, display_levels
from napari_hemacells.core.image.tiff import TIFF_SUFFIXES

__all__ = [
    "MAX_IN_MEMORY_PIXELS",
    "PICTURE_SUFFIXES",
    "TIFF_SUFFIXES",
    "LazyPixels",
    "content_key",
    "display_levels",
    "guess_run_depths",
    "image_from_array",
    "image_key",
    "image_name",
    "is_image",
    "is_large",
    "picture_size",
    "read_image",
    "read_pixels",
    "to_colour",
]
