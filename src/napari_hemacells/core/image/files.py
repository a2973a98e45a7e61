"""Picture files and OME-Zarr folders → :class:`SmearImage`.

Files with temperatures → :class:`SmearImage` in °C.

Which files are too large to be read whole.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

from napari_hemacells.core.errors import ImageError, ThermogramError
from napari_hemacells.core.image.content_hash import MAX_IN_MEMORY_PIXELS, content_key
from napari_hemacells.core.image.from_array import image_from_array
from napari_hemacells.core.image.layout import Layout
from napari_hemacells.core.image.ome_zarr import is_zarr, open_zarr
from napari_hemacells.core.image.picture import OpenedPicture, read_picture
from napari_hemacells.core.image.tiff import TIFF_SUFFIXES, open_tiff
from napari_hemacells.core.temperature import (
    TEXT_SUFFIXES,
    is_celsius_tiff,
    is_radiometric,
    is_thermogram,
    parse_dmr_ir_name,
    read_celsius,
)
from napari_hemacells.core.types import Groups, SmearImage

NUMPY_SUFFIXES = frozenset({".npy"})
CELSIUS_TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
RADIOMETRIC_SUFFIXES = frozenset({".jpg", ".jpeg", ".rjpg"})


def is_temperature(file: Path) -> bool:
    """Whether a file holds one frame of temperatures and is no picture; its beginning is read.

    Text and numpy files that begin like a frame, float TIFF that says it is in °C (as
    ``hemacells thermograms export`` writes them), radiometric FLIR JPEG.
    """
    suffix = file.suffix.lower()
    if suffix in TEXT_SUFFIXES | NUMPY_SUFFIXES:
        return is_thermogram(file)
    if suffix in CELSIUS_TIFF_SUFFIXES:
        return is_celsius_tiff(file)
    return suffix in RADIOMETRIC_SUFFIXES and is_radiometric(file)


def read_temperature(file: Path, groups: Groups | None = None) -> SmearImage:
    """Return the thermogram in a file; its patient is that of the DMR-IR name, if not given.

    Raises
    ------
    ThermogramError
        Damaged, not in °C, or several frames in one file.
    """
    celsius = read_celsius(file)
    if celsius.ndim != 2:
        raise ThermogramError(
            f"{file.name} holds {len(celsius)} frames, and one is needed: save each as a file."
        )
    groups, frame = groups or Groups(), parse_dmr_ir_name(file.name)
    if groups.patient is None and frame is not None:
        groups = replace(groups, patient=frame.patient)
    name = file.name.removesuffix(file.suffix).removesuffix(".celsius")
    return SmearImage(
        pixels=celsius,
        key=content_key(celsius),
        name=name,
        modality="temperature",
        path=file,
        groups=groups,
    )


PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"}) | TIFF_SUFFIXES
READ_ERRORS = (OSError, ValueError, RuntimeError, SyntaxError, LookupError)


def read_image(path: str | Path, *, groups: Groups | None = None) -> SmearImage:
    """Return the picture in a file, with its pixel size where the file states a metric one.

    Files with temperatures (text, numpy, float TIFF in °C, radiometric JPEG) give °C
    (``modality="temperature"``), and their patient where a DMR-IR name says it.
    TIFF and OME-TIFF are read with tifffile (first series), folders as OME-Zarr, everything else
    with Pillow. Large TIFF and OME-Zarr are read where they are sliced. An EXIF orientation is
    ignored: rows and columns are those stored in the file, as napari shows them, so that exported
    coordinates fit the file in every other tool.

    Raises
    ------
    ImageError
        No such file, not a picture, damaged, or more than one picture in one array.
    """
    file = Path(path)
    if not file.exists():
        raise ImageError(f"There is no file {file}.")
    if file.suffix.lower() in TEXT_SUFFIXES or is_temperature(file):
        return read_temperature(file, groups)
    try:
        opened = _open(file)
        return image_from_array(
            opened.levels[0],
            image_name(file),
            levels=opened.levels,
            layout=opened.layout,
            path=file,
            pixel_size_um=opened.pixel_size_um,
            groups=groups,
        )
    except ImageError as error:
        message = str(error) if file.name in str(error) else f"{file.name}: {error}"
        raise ImageError(message) from error
    except READ_ERRORS as error:
        raise ImageError(
            f"{file.name} cannot be read as a picture ({error}). Is it complete?"
        ) from error


def is_image(path: Path) -> bool:
    """Whether a path looks like an image, from its name and kind; of text from its beginning."""
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return path.is_file()
    if path.suffix.lower() in TEXT_SUFFIXES:
        return is_temperature(path)
    return path.suffix.lower() == ".zarr" and path.is_dir()


def image_name(path: Path) -> str:
    """What an image is called: its file's name without the suffix (of OME-Zarr, without both).

    Examples
    --------
    >>> image_name(Path("slides/7.ome.zarr")), image_name(Path("field1.png"))
    ('7', 'field1')
    """
    if path.suffix.lower() == ".zarr":
        return path.stem.removesuffix(".ome") or path.name
    return path.stem


def _open(file: Path) -> OpenedPicture:
    if file.is_dir():
        if not is_zarr(file):
            raise ImageError(
                f"{file.name} is a folder without zarr metadata (zarr.json, .zgroup or .zarray): "
                "an OME-Zarr image has it. Was it copied whole?"
            )
        return open_zarr(file)
    if file.suffix.lower() in TIFF_SUFFIXES:
        return open_tiff(file)
    return OpenedPicture((read_picture(file),))


HEADER_ERRORS = (OSError, ValueError, RuntimeError, LookupError, struct.error, ImageError)


def is_large(path: Path) -> bool:
    """Whether the headers of a TIFF or OME-Zarr say that it is too large to be read whole.

    That is one picture of more than `MAX_IN_MEMORY_PIXELS` pixels. Damaged files and those of
    other kinds are not.
    """
    try:
        rows, cols = _size(path)
    except HEADER_ERRORS:
        return False
    return rows * cols > MAX_IN_MEMORY_PIXELS


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
