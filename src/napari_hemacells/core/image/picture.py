"""Pictures that Pillow reads.

What opening a file gives, before it is an image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import ImageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.image.layout import Layout


def read_picture(file: Path) -> NDArray[Any]:
    """Return the picture of a file, colours of a palette looked up.

    Raises
    ------
    ImageError
        For one too large to be read at once.
    """
    from PIL import Image

    try:
        with Image.open(file) as picture:
            if picture.mode in {"1", "L", "LA", "RGB", "RGBA", "F", "I"} or ";16" in picture.mode:
                return np.asarray(picture)
            with_alpha = picture.has_transparency_data
            return np.asarray(picture.convert("RGBA" if with_alpha else "RGB"))
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{file.name} is too large to be read at once ({error}); save it as a tiled TIFF or "
            "as OME-Zarr."
        ) from error


PLAUSIBLE_PIXEL_UM = (0.001, 20.0)  # beyond it the tag speaks of print, not of a microscope
MICROMETRES = {
    "nm": 1e-3, "µm": 1.0, "um": 1.0, "micron": 1.0, "mm": 1e3, "cm": 1e4,
    "angstrom": 1e-4, "nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3,
    "centimeter": 1e4, "meter": 1e6,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class OpenedPicture:
    """A picture as its file has it.

    Attributes
    ----------
    levels
        Arrays or lazy sources, the largest first; one where there is no pyramid.
    layout
        Which axes are what, ``None`` to guess it from the shape.
    pixel_size_um
        Micrometres a pixel, ``None`` where the file does not say.
    """

    levels: tuple[Any, ...]
    layout: Layout | None = None
    pixel_size_um: float | None = None


def plausible_pixel_size(pixel_size_um: float | None) -> float | None:
    """Return the size if a microscope's camera may have it."""
    low, high = PLAUSIBLE_PIXEL_UM
    return pixel_size_um if pixel_size_um is not None and low <= pixel_size_um <= high else None
