"""The one door of every decoder: what it raises fails one file, by name, with a sentence.

How much may be decoded at once: known from the header, before anything is allocated.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import HemaCellsError, ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAX_PICTURE_PIXELS = 100_000_000  # of a picture that can only be decoded whole: about 1 GB at work
MAX_DECODED_BYTES = 400_000_000  # of a strip, tile or chunk; 100 megapixels of colour and alpha
MAX_SIDE = 10_000_000  # pixels; the largest slides have some 300,000
MAX_METADATA_BYTES = 16 * 2**20
MAX_CAUSE = 200  # characters of a decoder's own words that a sentence repeats


@contextmanager
def decoding(
    file: Path,
    what: str,
    error: type[HemaCellsError] = ImageError,
    advice: str = "Is it complete?",
) -> Iterator[None]:
    """Turn whatever a decoder raises in the block into one named error about the file.

    Decoders raise anything on damaged bytes (``IndexError``, ``struct.error``, ``zlib.error``,
    ``AssertionError``…), so that no list of them is ever whole. An error of our own keeps its
    sentence, with the file's name before it.

    Parameters
    ----------
    what
        What the file was to be: "a picture", "a label image".
    error
        The type that is raised.
    advice
        What to do next.

    Raises
    ------
    HemaCellsError
        Of the type `error`.
    """
    try:
        yield
    except HemaCellsError as own:
        if isinstance(own, error) and file.name in str(own):
            raise
        raise error(f"{file.name}: {own}") from own
    except MemoryError as short:
        raise error(
            f"{file.name} needs more memory than this computer has free: close other programs, or "
            "save a part of it."
        ) from short
    except Exception as cause:
        raise error(
            f"{file.name} cannot be read as {what} ({cause_of(cause)}). {advice}"
        ) from cause


def cause_of(error: BaseException) -> str:
    """Return the first line of an error, printable and short; its type where it says nothing."""
    lines = str(error).strip().splitlines()
    text = "".join(char for char in (lines[0] if lines else "") if char.isprintable())
    return text[:MAX_CAUSE] or type(error).__name__


def check_picture(rows: int, cols: int) -> None:
    """Refuse a picture too large to be decoded whole.

    Raises
    ------
    ImageError
        With its size, and what to do.
    """
    check_sides(rows, cols)
    if rows * cols > MAX_PICTURE_PIXELS:
        raise ImageError(
            f"The picture measures {cols:,} × {rows:,} pixels, too large to be read at once (at "
            f"most {MAX_PICTURE_PIXELS:,} pixels): save it as a tiled TIFF or as OME-Zarr."
        )


def check_sides(rows: int, cols: int) -> None:
    """Refuse sides that no picture has.

    Raises
    ------
    ImageError
        With the size that the file states.
    """
    if not (0 < rows <= MAX_SIDE and 0 < cols <= MAX_SIDE):
        raise ImageError(
            f"The file states a size of {cols:,} × {rows:,} pixels, which no picture has. Export "
            "it again."
        )


def check_decoded(shape: Sequence[int], itemsize: int, what: str) -> None:
    """Refuse a piece of an image too large to be decoded at once.

    Parameters
    ----------
    shape, itemsize
        Of the piece: lengths along its axes, and bytes of a value.
    what
        What it is called: "a tile", "a chunk".

    Raises
    ------
    ImageError
        With the size, and what to do.
    """
    size = math.prod(int(length) for length in shape) * itemsize
    if size > MAX_DECODED_BYTES:
        raise ImageError(
            f"{what} of the image takes {size / 1e6:,.0f} MB when it is decoded (at most "
            f"{MAX_DECODED_BYTES / 1e6:,.0f} MB): save the image as a tiled TIFF or as OME-Zarr "
            "with tiles of 512 × 512 pixels."
        )
