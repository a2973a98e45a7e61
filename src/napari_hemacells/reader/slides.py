"""Open large images as multiscale layers whose pixels are read on demand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.image import display_levels, is_large, read_image
from napari_hemacells.layers import METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    LayerData = tuple[Any, dict[str, Any], str]


def choose_reader(path: str | list[str]) -> Callable[[Any], list[LayerData]] | None:
    """Return :func:`read` for a large TIFF or OME-Zarr image, which is opened lazily.

    Small images, several images at once and other formats are left to other readers.
    """
    if not isinstance(path, str):
        return None
    return read if is_large(Path(path)) else None


def read(path: str) -> list[LayerData]:
    """Return the levels of a large image as one layer, in µm if the file gives the pixel size.

    Raises
    ------
    ImageError
        The file cannot be read.
    """
    image = read_image(path)
    shown: dict[str, Any] = {
        "name": image.name,
        "rgb": True,
        "multiscale": True,
        "metadata": {METADATA_KEY: {"role": "image"}},
    }
    if image.pixel_size_um is not None:
        shown |= {"scale": (image.pixel_size_um, image.pixel_size_um), "units": ("um", "um")}
    return [(display_levels(image), shown, "image")]
