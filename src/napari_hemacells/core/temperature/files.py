"""Any file with temperatures → °C; which files those are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.temperature.arrays import (
    ARRAY_SUFFIXES,
    TIFF_SUFFIXES,
    is_celsius_array,
    is_float_tiff,
    read_array,
    read_float_tiff,
)
from napari_hemacells.core.temperature.flir import (
    FLIR_SUFFIXES,
    is_radiometric,
    read_flir,
)
from napari_hemacells.core.temperature.text import TEXT_SUFFIXES, read_text, sniff_matrix

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

THERMOGRAM_SUFFIXES = TEXT_SUFFIXES | ARRAY_SUFFIXES | TIFF_SUFFIXES | FLIR_SUFFIXES


def read_celsius(path: Path) -> NDArray[np.float32]:
    """``(rows, cols)`` float32 °C of a file; ``(frames, rows, cols)`` where it holds several.

    Text, ``.npy`` and ``.npz``, float TIFF, radiometric FLIR JPEG.

    Raises
    ------
    ThermogramError
        The file is missing, damaged or of another kind, or its values cannot be °C.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise ThermogramError(f"There is no file {path}.")
    if suffix in TEXT_SUFFIXES:
        return read_text(path)
    if suffix in ARRAY_SUFFIXES:
        return read_array(path)
    if suffix in TIFF_SUFFIXES:
        return read_float_tiff(path)
    if suffix in FLIR_SUFFIXES:
        return read_flir(path)
    raise ThermogramError(
        f"{path.name} is no kind of file that temperatures are read from: export the frame as "
        "text (.txt, .csv), numpy (.npy), float TIFF or radiometric JPEG."
    )


def is_thermogram(path: Path) -> bool:
    """Whether a file holds temperatures, from its name and its beginning only.

    What begins like a matrix counts, even if it turns out to be damaged or in another unit:
    then reading it says so.
    """
    suffix = path.suffix.lower()
    if suffix not in THERMOGRAM_SUFFIXES or not path.is_file():
        return False
    try:
        if suffix in TEXT_SUFFIXES:
            return sniff_matrix(path) is not None
    except OSError:
        return False
    if suffix in ARRAY_SUFFIXES:
        return is_celsius_array(path)
    if suffix in TIFF_SUFFIXES:
        return is_float_tiff(path)
    return is_radiometric(path)


def find_thermograms(folder: Path) -> list[Path]:
    """Return the files with temperatures directly in a folder, sorted by name.

    Each is looked into at its beginning, none is read whole; hidden ones are passed over.
    """
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and is_thermogram(path)
    ]
