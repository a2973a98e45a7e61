"""Temperature matrices in numpy files and in float TIFF.

Sizes are checked in the headers, before anything is allocated.
"""

from __future__ import annotations

import zipfile
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import ThermogramError
from napari_hemacells.core.files.decoding import check_decoded
from napari_hemacells.core.files.numpy_files import COMPRESSIONS, MAX_ARRAYS, array_header
from napari_hemacells.core.files.safe_files import open_stream
from napari_hemacells.core.files.tiff_files import check_segments, open_pages
from napari_hemacells.core.temperature.quality import check_celsius

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ARRAY_SUFFIXES = frozenset({".npy", ".npz"})
TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
CELSIUS_NAMES = (".celsius.tif", ".celsius.tiff")
CELSIUS_NOTE = '"unit": "celsius"'  # in the description of the TIFF that are exported
LEAST_SIDE = 8  # pixels; smaller is no frame of a camera
MAX_BYTES = 512 * 2**20  # of one file's temperatures: 200 frames of 640 × 480 as float64


def read_array(path: Path) -> NDArray[np.float32]:
    """``(rows, cols)`` or ``(frames, rows, cols)`` float32 °C of a ``.npy`` or ``.npz`` file.

    The arrays of an ``.npz`` are one frame each, in their order in the file.

    Raises
    ------
    ThermogramError
        Damaged, too large, of the wrong shape, or not in °C.
    """
    try:
        if path.suffix.lower() == ".npy":
            _check_npy(path)
            return _checked(np.load(path, allow_pickle=False), path.name)
        check_archive(path)
        with np.load(path, allow_pickle=False) as stored:
            frames = [_checked(stored[name], f"{path.name}, array {name}") for name in stored]
    except ThermogramError:
        raise
    except Exception as error:
        raise ThermogramError(
            f"{path.name} cannot be read as numbers ({error}). Save it again with numpy.save."
        ) from error
    if not frames:
        raise ThermogramError(f"{path.name} holds no array.")
    if len({frame.shape for frame in frames}) != 1:
        raise ThermogramError(
            f"{path.name} holds {len(frames)} arrays of different sizes: save frames of one size "
            "in a file."
        )
    return np.stack(frames) if len(frames) > 1 else frames[0]


def check_archive(path: Path) -> None:
    """Refuse an ``.npz`` whose headers ask for more than is reasonable, or than it holds.

    Raises
    ------
    ThermogramError
        Too many or too large arrays, or shapes that do not fit the bytes.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if len(members) > MAX_ARRAYS:
            raise ThermogramError(
                f"{path.name} holds {len(members)} arrays, at most {MAX_ARRAYS} are read at once."
            )
        _check_size(path, f"{len(members)} arrays", total)
        for member in members:
            if member.compress_type not in COMPRESSIONS:
                raise ThermogramError(f"{path.name} is compressed in a way that numpy is not.")
            with archive.open(member) as stream:
                shape, dtype = array_header(stream)
                if stream.tell() + prod(shape) * dtype.itemsize != member.file_size:
                    raise ThermogramError(
                        f"{path.name}, array {member.filename}: its shape {shape} does not fit "
                        "its bytes; the file is damaged. Save it again."
                    )


def _check_npy(path: Path) -> None:
    """Refuse an array that asks for more than is reasonable, or than its file holds."""
    with open_stream(path, follow=True) as stream:
        shape, dtype = array_header(stream)
        wanted = prod(shape) * dtype.itemsize
        _check_size(path, f"an array {shape}", wanted)
        if stream.tell() + wanted > path.stat().st_size:
            raise ThermogramError(
                f"{path.name} was cut off: its shape {shape} needs more bytes than there are. "
                "Copy it again."
            )


def _check_size(path: Path, what: str, size: int) -> None:
    if size > MAX_BYTES:
        raise ThermogramError(
            f"{path.name} asks for {size / 2**20:,.0f} MB ({what}), at most {MAX_BYTES // 2**20} "
            "MB are read at once: save the frames in several files."
        )


def read_float_tiff(path: Path) -> NDArray[np.float32]:
    """``(rows, cols)`` or ``(frames, rows, cols)`` float32 °C of a TIFF with floats.

    Raises
    ------
    ThermogramError
        Damaged, too large, not floats, of the wrong shape, or not in °C.
    """
    try:
        with open_pages(path) as tiff:
            series = tiff.series[0]
            page: Any = series.keyframe
            check_segments(page, page.parent.filehandle.size)
            check_decoded(page.chunks, page.dtype.itemsize if page.dtype else 8, "A tile or strip")
            item = 0 if series.dtype is None else series.dtype.itemsize
            _check_size(path, f"a picture {series.shape}", prod(series.shape) * item)
            values = series.asarray()
    except ThermogramError:
        raise
    except Exception as error:
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
    except Exception:  # noqa: BLE001  # whatever a decoder says: it is none
        return False


def is_celsius_tiff(path: Path) -> bool:
    """Whether a TIFF says that it holds °C: by its name, or in its description."""
    import tifffile

    if not is_float_tiff(path):
        return False
    if path.name.lower().endswith(CELSIUS_NAMES):
        return True
    try:
        with tifffile.TiffFile(path) as tiff:
            return CELSIUS_NOTE in tiff.pages[0].aspage().description
    except Exception:  # noqa: BLE001  # as above
        return False


def is_celsius_array(path: Path) -> bool:
    """Whether a numpy file holds frames of numbers in °C; a small part is read."""
    try:
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as archive:
                return _all_frames(archive)
        _check_npy(path)
        first = np.load(path, mmap_mode="r", allow_pickle=False)
        if not _is_frame(first.shape, first.dtype):
            return False
        return _in_degrees(np.asarray(first[0] if first.ndim == 3 else first))
    except Exception:  # noqa: BLE001  # as above
        return False


def _all_frames(archive: zipfile.ZipFile) -> bool:
    """Whether an archive holds nothing but frames: read from the headers of its arrays."""
    names = archive.namelist()
    for name in names:
        with archive.open(name) as stream:
            if not _is_frame(*array_header(stream)):
                return False
    return 0 < len(names) <= MAX_ARRAYS


def _is_frame(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    return (
        dtype.kind == "f"
        and len(shape) in {2, 3}
        and min(shape) > 0
        and (min(shape[-2:]) >= LEAST_SIDE)
    )


def _in_degrees(frame: NDArray[Any]) -> bool:
    try:
        check_celsius(frame, "", line=0)
    except ThermogramError:
        return False
    return True


def _checked(values: NDArray[Any], name: str) -> NDArray[np.float32]:
    squeezed = values[0] if values.ndim == 3 and len(values) == 1 else values
    if squeezed.ndim not in {2, 3} or min(squeezed.shape[-2:]) < LEAST_SIDE or not squeezed.size:
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
