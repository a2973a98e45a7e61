"""Archives of numpy: what their headers ask for is known before anything is allocated."""

from __future__ import annotations

import zipfile
from math import prod
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMPRESSIONS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})  # those of numpy
MAX_ARRAYS = 4096
MAX_ARCHIVE_BYTES = 800_000_000  # of all arrays: the masks of some million cells


def array_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype at the beginning of a ``.npy``; the stream stands behind them.

    Raises
    ------
    ValueError
        No numpy array of numbers or text.
    """
    major = np.lib.format.read_magic(stream)[0]
    read = np.lib.format.read_array_header_1_0
    shape, _, dtype = (read if major == 1 else np.lib.format.read_array_header_2_0)(stream)
    if dtype.hasobject:
        raise ValueError("it holds objects, not numbers")
    if any(side < 0 for side in shape):
        raise ValueError(f"its shape is {shape}")
    return shape, dtype


def load_arrays(stream: IO[bytes], most: int = MAX_ARCHIVE_BYTES) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` by name, after all of their headers were looked at.

    Parameters
    ----------
    most
        Bytes of all arrays.

    Raises
    ------
    ValueError
        Any damage, pickles, and arrays that are too many, too large, or larger than they say.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            return _load_all(archive, most)
    except Exception as error:  # numpy, zipfile and zlib raise anything on damaged bytes
        raise ValueError(f"it is no whole archive of numpy ({error})") from error


def _load_all(archive: zipfile.ZipFile, most: int) -> dict[str, NDArray[Any]]:
    members = archive.infolist()
    if len(members) > MAX_ARRAYS or sum(member.file_size for member in members) > most:
        raise ValueError("it asks for too many or too large arrays")
    return {member.filename.removesuffix(".npy"): _load(archive, member) for member in members}


def _load(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    if member.compress_type not in COMPRESSIONS:
        raise ValueError("it is compressed in a way that numpy is not")
    with archive.open(member) as file:
        shape, dtype = array_header(file)
        if file.tell() + prod(shape) * dtype.itemsize != member.file_size:
            raise ValueError(f"the shape {shape} of {member.filename} does not fit its bytes")
    with archive.open(member) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array
