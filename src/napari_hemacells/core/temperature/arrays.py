"""Temperature matrices in numpy files and in float TIFF."""

from __future__ import annotations

import struct
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.temperature.quality import check_celsius

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ARRAY_SUFFIXES = frozenset({".npy", ".npz"})
TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
CELSIUS_NAMES = (".celsius.tif", ".celsius.tiff")
CELSIUS_NOTE = '"unit": "celsius"'  # in the description of the TIFF that are exported
LEAST_SIDE = 8  # pixels; smaller is no frame of a camera
DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, struct.error)


def read_array(path: Path) -> NDArray[np.float32]:
    """``(rows, cols)`` or ``(frames, rows, cols)`` float32 °C of a ``.npy`` or ``.npz`` file.

    The arrays of an ``.npz`` are one frame each, in their order in the file.

    Raises
    ------
    ThermogramError
        Damaged, of the wrong shape, or not in °C.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            if isinstance(stored, np.ndarray):
                return _checked(stored, path.name)
            frames = [_checked(stored[name], f"{path.name}, array {name}") for name in stored]
    except TypeError:  # a plain array is no context manager
        return _checked(np.load(path, allow_pickle=False), path.name)
    except DAMAGED as error:
        raise ThermogramError(
            f"{path.name} cannot be read as numbers ({error}). Save it again with numpy.save."
        ) from error
    if len({frame.shape for frame in frames}) != 1:
        raise ThermogramError(
            f"{path.name} holds {len(frames)} arrays of different sizes: save frames of one size "
            "in a file."
        )
    return np.stack(frames) if len(frames) > 1 else frames[0]


def read_float_tiff(path: Path) -> NDArray[np.float32]:
    """``(rows, cols)`` or ``(frames, rows, cols)`` float32 °C of a TIFF with floats.

    Raises
    ------
    ThermogramError
        Damaged, not floats, of the wrong shape, or not in °C.
    """
    import tifffile

    try:
        values = tifffile.imread(path)
    except (*DAMAGED, tifffile.TiffFileError) as error:
        raise ThermogramError(f"{path.name} cannot be read as TIFF ({error}).") from error
    if values.dtype.kind != "f":
        raise ThermogramError(
            f"{path.name} holds {values.dtype}, not degrees: a picture of a thermogram has lost "
            "its temperatures. Export the frame as float TIFF or as text."
        )
    return _checked(values, path.name)


def is_float_tiff(path: Path) -> bool:
    """Whether a TIFF holds floats with one sample a pixel; only its header is read."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0].aspage()
            return page.dtype is not None and page.dtype.kind == "f" and page.samplesperpixel == 1
    except (*DAMAGED, tifffile.TiffFileError):
        return False


def is_celsius_tiff(path: Path) -> bool:
    """Whether a TIFF says that it holds °C: by its name, or in its description."""
    import tifffile

    if not is_float_tiff(path):
        return False
    if path.name.lower().endswith(CELSIUS_NAMES):
        return True
    with tifffile.TiffFile(path) as tiff:
        return CELSIUS_NOTE in tiff.pages[0].aspage().description


def is_celsius_array(path: Path) -> bool:
    """Whether a numpy file holds frames of numbers in °C; a small part is read."""
    try:
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as archive:
                return _all_frames(archive)
        first = np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGED:
        return False
    if not _is_frame(first.shape, first.dtype):
        return False
    return _in_degrees(np.asarray(first[0] if first.ndim == 3 else first))


def _all_frames(archive: zipfile.ZipFile) -> bool:
    """Whether an archive holds nothing but frames: read from the headers of its arrays."""
    names = archive.namelist()
    for name in names:
        with archive.open(name) as stream:
            major = np.lib.format.read_magic(stream)[0]
            read = np.lib.format.read_array_header_1_0
            shape, _, dtype = (read if major == 1 else np.lib.format.read_array_header_2_0)(stream)
        if not _is_frame(shape, dtype):
            return False
    return bool(names)


def _is_frame(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" and len(shape) in {2, 3} and min(shape[-2:]) >= LEAST_SIDE


def _in_degrees(frame: NDArray[Any]) -> bool:
    try:
        check_celsius(frame, "", line=0)
    except ThermogramError:
        return False
    return True


def _checked(values: NDArray[Any], name: str) -> NDArray[np.float32]:
    squeezed = values[0] if values.ndim == 3 and len(values) == 1 else values
    if squeezed.ndim not in {2, 3} or min(squeezed.shape[-2:]) < LEAST_SIDE:
        raise ThermogramError(
            f"{name} has the shape {values.shape}: a frame is (rows, columns), a series (frames, "
            "rows, columns)."
        )
    if squeezed.dtype.kind not in "fiu":
        raise ThermogramError(f"{name} holds {squeezed.dtype}, not temperatures.")
    for index, frame in enumerate(squeezed if squeezed.ndim == 3 else squeezed[np.newaxis]):
        which = f"{name}, frame {index + 1}" if squeezed.ndim == 3 else name
        check_celsius(np.asarray(frame, np.float64), which, line=0)
    return np.asarray(squeezed, dtype=np.float32)
