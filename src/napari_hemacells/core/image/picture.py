"""Pictures that Pillow reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import ImageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


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
