"""TIFF, OME-TIFF and BigTIFF: small ones read, large ones opened level by level."""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.files.decoding import check_decoded, check_sides
from napari_hemacells.core.files.tiff_files import open_pages
from napari_hemacells.core.image.content_hash import MAX_IN_MEMORY_PIXELS
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.image.picture import OpenedPicture, read_picture
from napari_hemacells.core.image.stored_values import StoredValues
from napari_hemacells.core.image.tiff_pages import (
    OmeImage,
    TiffSamples,
    apply_colormap,
    check_complete,
    describe_series,
    main_series,
    selected_page,
    series_layout,
    stated_pixel_size,
    ycbcr_to_rgb,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.image.layout import Layout
    from napari_hemacells.core.image.plane_selection import PlaneSelection

# The last ones are whole-slide scanners' own names for tiled TIFF.
TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".tf8", ".svs", ".ndpi", ".scn", ".qptiff"})
MAX_SAMPLES = 4  # of a pixel of one picture; more values are several planes
BY_PILLOW = frozenset({"SEPARATED", "CIELAB"})  # colours that are no mixture of red, green, blue
# JPEG and JPEG 2000 give colours, whatever they are stored as.
AS_STORED = frozenset({"NONE", "LZW", "DEFLATE", "ADOBE_DEFLATE", "PACKBITS", "LZMA", "ZSTD"})


def open_tiff(file: Path, selection: PlaneSelection = WHOLE_PICTURE) -> OpenedPicture:
    """Return the picture of a file with its pyramid; one with few pixels is read.

    That is the first series that is no reduced copy of another.

    Parameters
    ----------
    selection
        The plane of a stack, and the channels.

    Raises
    ------
    ImageError
        A stack without a selected plane, or a series that cannot be read in parts that fit in
        memory.
    """
    with open_pages(file) as tiff:
        index = main_series(tiff)
        series = tiff.series[index]
        page: Any = series.keyframe
        check_complete(page, page.parent.filehandle.size)
        ome = OmeImage(tiff, index)
        size = stated_pixel_size(tiff, page, ome)
        samples = TiffSamples(page, ome.significant_bits)
        layout = series_layout(series, samples, ome.channel_names, selection)
        check_sides(*layout.size(series.shape))
        notes = describe_series(tiff, index)
        if page.photometric.name in BY_PILLOW:
            chosen = selected_page(series, layout)
            colour = read_picture(file, tiff_page=page.index if chosen is None else chosen.index)
            note = selection.note(layout.stack(series.shape, series.axes))
            return OpenedPicture((colour,), None, size, None, (*notes, note))
        notes = (*notes, *(() if selection.channels else samples.notes))
        if _needs_conversion(page):
            colour = _converted(series, page, layout)
            return OpenedPicture((colour,), None, size, None, (*notes, layout.note))
        levels, layout = _levels(file, index, series, layout)
        return OpenedPicture(levels, layout, size, samples.meaning, notes)


def tiff_shape(file: Path, selection: PlaneSelection = WHOLE_PICTURE) -> tuple[int, int]:
    """Rows and columns of the picture in a file, as its header says."""
    with open_pages(file) as tiff:
        series = tiff.series[main_series(tiff)]
        layout = series_layout(series, TiffSamples(series.keyframe, None), (), selection)
        return layout.size(series.shape)


def has_unstated_depth(file: Path) -> bool:
    """Whether samples have more than 8 bits, and the file does not say how many are used."""
    with open_pages(file) as tiff:
        index = main_series(tiff)
        page: Any = tiff.series[index].keyframe
        stated = TiffSamples(page, OmeImage(tiff, index).significant_bits).meaning.depth
        return stated is None and page.dtype.kind in "ui" and page.dtype.itemsize > 1


def _levels(file: Path, index: int, series: Any, layout: Layout) -> tuple[tuple[Any, ...], Layout]:
    """Return the series in memory, or its levels to be read where they are sliced, and how."""
    small = math.prod(layout.size(series.shape)) <= MAX_IN_MEMORY_PIXELS
    page = selected_page(series, layout) if any(layout.plane) else None
    if page is not None and (small or not _in_parts(series.levels[0], layout)):
        return (_read_page(page, layout),), layout.without_plane()
    if math.prod(series.shape) <= MAX_IN_MEMORY_PIXELS:  # one sample a pixel at least
        return (_read(series),), layout
    stack = math.prod(series.shape) > math.prod(layout.size(series.shape)) * MAX_SAMPLES
    in_parts = _in_parts(series.levels[0], layout)
    if not in_parts or (small and not (stack and series.dataoffset is not None)):
        return (_read(series),), layout
    for level in series.levels:
        _check_parts(level)
    return tuple(TiffLevel(file, index, level) for level in range(len(series.levels))), layout


def _read_page(page: Any, layout: Layout) -> NDArray[Any]:
    """Return the plane of one page, with an axis of length 1 in place of each axis of a stack."""
    whole = page.aspage()
    check_complete(whole, whole.parent.filehandle.size)
    check_decoded(whole.shape, whole.dtype.itemsize, "A plane")
    check_decoded(whole.chunks, whole.dtype.itemsize, "A tile or strip")
    plane = np.asarray(whole.asarray())
    return plane.reshape((1,) * (layout.ndim - plane.ndim) + plane.shape)


def _read(series: Any) -> NDArray[Any]:
    """Return all of a series, which the header says is not too large."""
    check_decoded(series.shape, series.dtype.itemsize, "All")
    _check_parts(series)
    return np.asarray(series.asarray())


def _check_parts(series: Any) -> None:
    page = series.keyframe
    if series.dataoffset is None:
        check_decoded(page.chunks, series.dtype.itemsize, "A tile or strip")


def _needs_conversion(page: Any) -> bool:
    photometric = page.photometric.name
    stored = page.compression.name in AS_STORED
    return photometric == "PALETTE" or (photometric == "YCBCR" and stored)


def _converted(series: Any, page: Any, layout: Layout) -> NDArray[np.uint8]:
    plane = selected_page(series, layout) if any(layout.plane) else None
    if plane is None:
        values = layout.read(_read(series))
    else:
        values = layout.without_plane().read(_read_page(plane, layout))
    if page.photometric.name == "PALETTE":
        return apply_colormap(values[..., 0], page)
    return ycbcr_to_rgb(values, page)


class TiffLevel:
    """A level of a series of a TIFF, read where it is sliced.

    A copy in another process opens the file by its path.
    """

    def __init__(self, path: Path, series: int = 0, level: int = 0) -> None:
        self.path, self.series, self.level = path, series, level
        self._array, self.chunks = _open_level(self, path, series, level)
        self.shape: tuple[int, ...] = self._array.shape
        self.dtype = np.dtype(self._array.dtype)
        self.ndim = len(self.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        return np.asarray(self._array[key])

    def __reduce__(self) -> tuple[Any, ...]:
        return TiffLevel, (self.path, self.series, self.level)


def _open_level(
    owner: TiffLevel, path: Path, index: int, level: int
) -> tuple[Any, tuple[int, ...] | None]:
    """Return the array of a level, and its chunks; the file is closed when `owner` goes."""
    import tifffile
    import zarr

    tiff = tifffile.TiffFile(path)
    weakref.finalize(owner, tiff.close)
    series = tiff.series[index].levels[level]
    if series.dataoffset is not None:  # contiguous and not compressed
        dtype = np.dtype(series.dtype).newbyteorder(tiff.byteorder)
        return StoredValues(path, series.dataoffset, series.shape, dtype), None
    array = zarr.open_array(tiff.series[index].aszarr(level=level), mode="r")
    return array, tuple(array.chunks)


def _in_parts(series: Any, layout: Layout) -> bool:
    """Whether parts of a series can be read without decoding all of it."""
    if series.dataoffset is not None:
        return True
    page = series.keyframe
    return bool(page.is_tiled or page.rowsperstrip * 4 <= layout.size(series.shape)[0])
