"""Label images in files: whole numbers, 0 glass; looked at in the header before they are read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.files.decoding import MAX_DECODED_BYTES, check_decoded, decoding
from napari_hemacells.core.files.safe_files import open_stream
from napari_hemacells.core.files.tiff_files import open_pages
from napari_hemacells.core.image.formats import TIFF, kind_of
from napari_hemacells.core.image.picture import open_pillow
from napari_hemacells.core.image.tiff_pages import check_complete, main_series

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

NUMPY_MAGIC = b"\x93NUMPY"


def read_labels(path: Path, shape: tuple[int, int] | None = None) -> NDArray[np.integer[Any]]:
    """Return the label image of a file, integers.

    TIFF, PNG (and what else Pillow reads without loss) or ``.npy``, by its content.

    Parameters
    ----------
    shape
        Rows and columns of the image that it belongs to, where that is known.

    Raises
    ------
    CellsError
        The file is missing, damaged, of another size than the image, or holds something other
        than whole numbers.
    """
    if not path.is_file():
        raise CellsError(f"{path} cannot be read as a label image: there is no such file.")
    with decoding(path, "a label image", CellsError):
        labels = _load(path, shape)
        _check(path, labels.shape, labels.dtype, shape)
    return labels.astype(np.int64) if labels.dtype.kind == "b" else labels


def _load(path: Path, shape: tuple[int, int] | None) -> NDArray[Any]:
    with open_stream(path, follow=True) as stream:
        is_numpy = stream.read(len(NUMPY_MAGIC)) == NUMPY_MAGIC
    if is_numpy:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        _check(path, mapped.shape, mapped.dtype, shape)
        return np.array(mapped)
    if kind_of(path) == TIFF:
        with open_pages(path) as tiff:
            series = tiff.series[main_series(tiff)]
            _check(path, series.shape, series.dtype, shape)
            page: Any = series.keyframe
            check_complete(page, page.parent.filehandle.size)
            if series.dataoffset is None:
                check_decoded(page.chunks, series.dtype.itemsize, "A tile or strip")
            return np.asarray(series.asarray())
    with open_pillow(path) as picture:
        if picture.mode not in {"1", "L", "P", "I"} and ";16" not in picture.mode:
            raise CellsError(
                f"{path.name} is no label image: it is a picture in colour ({picture.mode}). "
                "Save the labels as a grey picture of 16 bits."
            )
        _check(path, (picture.height, picture.width), np.dtype(np.int32), shape)
        return np.asarray(picture)


def _check(
    path: Path, found_shape: Sequence[int], dtype: np.dtype[Any], shape: tuple[int, int] | None
) -> None:
    """Refuse, by the header alone, what is no label image, or none of this image."""
    if len(found_shape) != 2 or dtype.kind not in "iub":
        raise CellsError(
            f"{path.name} is no label image: it needs two axes of whole numbers, "
            f"this has shape {tuple(found_shape)} and type {dtype}."
        )
    if shape is not None and tuple(found_shape) != tuple(shape):
        raise CellsError(
            f"The labels in {path.name} measure {found_shape[1]:,} × {found_shape[0]:,} pixels, "
            f"the image {shape[1]:,} × {shape[0]:,}: choose the labels that belong to this image."
        )
    size = math.prod(found_shape) * dtype.itemsize
    if shape is None and size > MAX_DECODED_BYTES:
        raise CellsError(
            f"{path.name} takes {size / 1e6:,.0f} MB when it is read, more than a label image "
            f"without its image may ({MAX_DECODED_BYTES / 1e6:,.0f} MB)."
        )
