"""Which files are too large to be read whole."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image.key import SMALL
from napari_hemacells.core.image.layout import Layout
from napari_hemacells.core.image.ome_zarr import is_zarr, open_zarr
from napari_hemacells.core.image.tiff import TIFF_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

UNREADABLE = (OSError, ValueError, RuntimeError, LookupError, struct.error, ImageError)


def is_large(path: Path) -> bool:
    """Whether a TIFF or OME-Zarr is one picture of more than `SMALL` pixels; only told by headers.

    Damaged files and those of other kinds are not.
    """
    try:
        rows, cols = _size(path)
    except UNREADABLE:
        return False
    return rows * cols > SMALL


def _size(path: Path) -> tuple[int, int]:
    """Rows and columns of the first picture in a file; 0 for a file of another kind."""
    if path.is_dir():
        if not is_zarr(path):
            return 0, 0
        opened = open_zarr(path)
        shape = opened.levels[0].shape
        return (opened.layout or Layout.of_shape(shape)).size(shape)
    if path.suffix.lower() not in TIFF_SUFFIXES or not path.is_file():
        return 0, 0
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        return Layout.of_axes(series.shape, series.axes).size(series.shape)
