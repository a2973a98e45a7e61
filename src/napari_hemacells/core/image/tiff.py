"""TIFF, OME-TIFF and BigTIFF: small ones read, large ones opened level by level."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.image.content_hash import MAX_IN_MEMORY_PIXELS
from napari_hemacells.core.image.layout import Layout
from napari_hemacells.core.image.picture import (
    MICROMETRES,
    OpenedPicture,
    plausible_pixel_size,
    read_picture,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# The last ones are whole-slide scanners' own names for tiled TIFF.
TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".tf8", ".svs", ".ndpi", ".scn", ".qptiff"})
NEEDS_DECODING = frozenset({"PALETTE", "MINISWHITE", "SEPARATED", "CIELAB"})


def open_tiff(file: Path) -> OpenedPicture:
    """Return the first series of a file with its pyramid; one with few pixels is read.

    Raises
    ------
    ImageError
        A large series that is more than one picture.
    """
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        size = plausible_pixel_size(_pixel_size(tiff))
        if tiff.pages[0].photometric.name in NEEDS_DECODING:  # type: ignore[union-attr]  # a page
            return OpenedPicture((read_picture(file),), None, size)
        series = tiff.series[0]
        if np.prod(series.shape) <= MAX_IN_MEMORY_PIXELS:  # one sample a pixel at least
            return OpenedPicture((series.asarray(),), None, size)
        layout = Layout.of_axes(series.shape, series.axes)
        in_parts = _in_parts(series.levels[0], layout)
        small = int(np.prod(layout.size(series.shape))) <= MAX_IN_MEMORY_PIXELS
        if small or not in_parts:
            return OpenedPicture((series.asarray(),), layout, size)
        count = len(series.levels)
    return OpenedPicture(tuple(TiffLevel(file, level) for level in range(count)), layout, size)


class TiffLevel:
    """A level of the first series of a TIFF, read where it is sliced.

    A copy in another process opens the file by its path.
    """

    def __init__(self, path: Path, level: int = 0) -> None:
        self.path, self.level = path, level
        self._array, self.chunks = _open_level(self, path, level)
        self.shape: tuple[int, ...] = self._array.shape
        self.dtype = np.dtype(self._array.dtype)
        self.ndim = len(self.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        return np.asarray(self._array[key])

    def __reduce__(self) -> tuple[Any, ...]:
        return TiffLevel, (self.path, self.level)


def _open_level(owner: TiffLevel, path: Path, level: int) -> tuple[Any, tuple[int, ...] | None]:
    """Return the array of a level, and its chunks; the file is closed when `owner` goes."""
    import tifffile
    import zarr

    tiff = tifffile.TiffFile(path)
    weakref.finalize(owner, tiff.close)
    series = tiff.series[0].levels[level]
    if series.dataoffset is not None:  # contiguous and not compressed
        return series.asarray(out="memmap"), None
    array = zarr.open_array(tiff.series[0].aszarr(level=level), mode="r")
    return array, tuple(array.chunks)


def _in_parts(series: Any, layout: Layout) -> bool:
    """Whether parts of a series can be read without decoding all of it."""
    if series.dataoffset is not None:
        return True
    page = series.keyframe
    return bool(page.is_tiled or page.rowsperstrip * 4 <= layout.size(series.shape)[0])


def _pixel_size(tiff: Any) -> float | None:
    return _ome_pixel_size(tiff.ome_metadata) or _svs_pixel_size(tiff) or _tag_pixel_size(tiff)


def _ome_pixel_size(description: str | None) -> float | None:
    if not description:
        return None
    import tifffile

    image = tifffile.xml2dict(description).get("OME", {}).get("Image", {})
    pixels = (image[0] if isinstance(image, list) else image).get("Pixels", {})
    size, unit = pixels.get("PhysicalSizeX"), str(pixels.get("PhysicalSizeXUnit", "µm"))
    return None if size is None or unit not in MICROMETRES else float(size) * MICROMETRES[unit]


def _svs_pixel_size(tiff: Any) -> float | None:
    if not tiff.is_svs:
        return None
    from tifffile.tifffile import svs_description_metadata

    size = svs_description_metadata(tiff.pages[0].description).get("MPP")
    return None if size is None else float(size)


def _tag_pixel_size(tiff: Any) -> float | None:
    """Micrometres a pixel from the ImageJ unit or from a resolution per centimetre."""
    page = tiff.pages[0]
    tag = page.tags.get("XResolution")
    if tag is None or not tag.value[0]:
        return None
    unit_length = tag.value[1] / tag.value[0]
    unit = str((tiff.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "µ")
    if unit in MICROMETRES:
        return float(unit_length * MICROMETRES[unit])
    resolution_unit = page.tags.get("ResolutionUnit")
    in_centimetres = resolution_unit is not None and int(resolution_unit.value) == 3
    return float(unit_length * MICROMETRES["cm"]) if in_centimetres else None
