"""Reading any supported thermogram file as °C, and recognising such files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.files.own_files import without_clutter
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
from napari_hemacells.core.temperature.matrix_format import sniff_matrix
from napari_hemacells.core.temperature.text import TEXT_SUFFIXES, read_text

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
    if not path.is_file():
        raise ThermogramError(f"There is no file {path}.")
    try:
        return _read(path)
    except ThermogramError:
        raise
    except Exception as error:
        raise ThermogramError(
            f"{path.name} cannot be read ({type(error).__name__}: {error}): it is damaged. Copy "
            "or export it again."
        ) from error


def _read(path: Path) -> NDArray[np.float32]:
    suffix = path.suffix.lower()
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

    What begins like a frame of a person counts, even if it turns out to be damaged or in another
    unit: then reading it says so. Tables of numbers, and files that cannot be read, do not.
    """
    if path.suffix.lower() not in THERMOGRAM_SUFFIXES or not path.is_file():
        return False
    try:
        return _begins_like_thermogram(path)
    except Exception:  # noqa: BLE001  # a file that no decoder opens is none
        return False


def _begins_like_thermogram(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in TEXT_SUFFIXES:
        matrix_format = sniff_matrix(path)
        return matrix_format is not None and matrix_format.plausible
    if suffix in ARRAY_SUFFIXES:
        return is_celsius_array(path)
    if suffix in TIFF_SUFFIXES:
        return is_float_tiff(path)
    return is_radiometric(path)


def find_thermograms(folder: Path) -> list[Path]:
    """Return the thermograms in a folder (not in its subfolders), sorted by name.

    Each is looked into at its beginning, none is read whole; hidden ones, and results of this
    program, are passed over.

    Raises
    ------
    ThermogramError
        The folder may not be read.
    """
    if not folder.is_dir():
        return []
    try:
        inside = without_clutter(folder.iterdir())
    except OSError as error:
        raise ThermogramError(f"The folder {folder} cannot be read ({error.strerror}).") from error
    return [path for path in inside if is_thermogram(path)]
