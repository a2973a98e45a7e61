"""Reading pictures with Pillow, of the formats listed, and PNG of 16 bits with imagecodecs.

:class:`OpenedPicture` is what opening a file of any kind gives.
"""

from __future__ import annotations

import struct
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.files.decoding import check_picture, check_sides
from napari_hemacells.core.files.safe_files import open_stream
from napari_hemacells.core.image.formats import PILLOW_FORMATS, TIFF, kind_of, unknown_kind_error
from napari_hemacells.core.image.pixel_size import PixelSize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image as PillowImage

    from napari_hemacells.core.image.from_array import SampleMeaning
    from napari_hemacells.core.image.layout import Layout

PNG_COLOUR_TYPES = frozenset({2, 4, 6})  # colour, grey + alpha, colour + alpha


@dataclass(frozen=True, eq=False)
class OpenedPicture:
    """A picture as its file stores it.

    Attributes
    ----------
    levels
        Arrays or lazy sources, the largest first; one where there is no pyramid.
    layout
        Which axes are what, ``None`` to guess it from the shape.
    pixel_size
        Micrometres per pixel, as the file states it.
    meaning
        What the values mean, as the file states it.
    notes
        What was decided about the file: sentences.
    """

    levels: tuple[Any, ...]
    layout: Layout | None = None
    pixel_size: PixelSize = field(default_factory=PixelSize)
    meaning: SampleMeaning | None = None
    notes: tuple[str, ...] = ()


@contextmanager
def open_pillow(file: Path, *, tiff_page: int | None = None) -> Iterator[PillowImage]:
    """Open a file of a listed format by its content; nothing is decoded yet.

    Parameters
    ----------
    tiff_page
        The page of a TIFF; other files are no TIFF.

    Raises
    ------
    ImageError
        Another kind of file.
    """
    from PIL import Image, UnidentifiedImageError

    kind = TIFF if tiff_page is not None else kind_of(file)
    if kind is None or (kind not in PILLOW_FORMATS and tiff_page is None):
        raise unknown_kind_error(file)
    with warnings.catch_warnings(action="ignore"):  # of sizes: our own bound says it better
        try:
            opened = Image.open(file, formats=(kind,))
        except UnidentifiedImageError as error:
            raise ImageError(
                f"{file.name} cannot be read as a picture. Is it complete?"
            ) from error
        except Image.DecompressionBombError as error:
            raise ImageError(
                f"{file.name} is too large to be read at once ({error}): save it as a tiled TIFF "
                "or as OME-Zarr."
            ) from error
        with opened as picture:
            if tiff_page:
                picture.seek(tiff_page)
            yield picture


def read_picture(
    file: Path, *, tiff_page: int | None = None, frame: int | None = None
) -> NDArray[Any]:
    """Return the picture of a file, colours of a palette looked up.

    Parameters
    ----------
    tiff_page
        The page of a TIFF; other files are no TIFF.
    frame
        The frame of a moving picture, counted from 0.

    Raises
    ------
    ImageError
        For one too large to be read at once, or of another kind.
    """
    with open_pillow(file, tiff_page=tiff_page) as picture:
        check_picture(picture.height, picture.width)
        if frame:
            picture.seek(frame)
        if _is_16_bit_colour(file):
            return _read_16_bit_png(file)
        if picture.mode in {"1", "L", "LA", "RGB", "RGBA", "F", "I"} or ";16" in picture.mode:
            return np.asarray(picture)
        with_alpha = picture.has_transparency_data
        return np.asarray(picture.convert("RGBA" if with_alpha else "RGB"))


def picture_shape(file: Path) -> tuple[int, int]:
    """Rows and columns, as the header says."""
    with open_pillow(file) as picture:
        check_sides(picture.height, picture.width)
        return picture.height, picture.width


def has_deep_samples(file: Path) -> bool:
    """Whether a picture has whole numbers of more than 8 bits; only its header is read."""
    with open_pillow(file) as picture:
        return picture.mode == "I" or ";16" in picture.mode or _is_16_bit_colour(file)


def frame_count(file: Path) -> int:
    """Return how many frames a picture has; a JPEG with a smaller copy behind it has one."""
    with open_pillow(file) as picture:
        return 1 if picture.format == "MPO" else int(getattr(picture, "n_frames", 1))


def _is_16_bit_colour(file: Path) -> bool:
    """Whether Pillow would drop the lower byte of each sample: PNG of 16 bits but plain grey."""
    with open_stream(file, follow=True) as stream:
        start = stream.read(26)
    if len(start) < 26 or start[12:16] != b"IHDR":
        return False
    bits, colour_type = struct.unpack(">BB", start[24:26])
    return bits == 16 and colour_type in PNG_COLOUR_TYPES


def _read_16_bit_png(file: Path) -> NDArray[Any]:
    import imagecodecs

    return np.asarray(imagecodecs.png_decode(file.read_bytes()))
