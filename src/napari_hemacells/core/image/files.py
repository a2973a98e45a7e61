"""Picture files and OME-Zarr folders → :class:`SmearImage`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.image.arrays import from_array
from napari_hemacells.core.image.ome_zarr import is_zarr, open_zarr
from napari_hemacells.core.image.opened import Opened
from napari_hemacells.core.image.picture import read_picture
from napari_hemacells.core.image.temperature import is_temperature, read_temperature
from napari_hemacells.core.image.tiff import TIFF_SUFFIXES, open_tiff
from napari_hemacells.core.thermogram import TEXT_SUFFIXES

if TYPE_CHECKING:
    from napari_hemacells.core.types import Groups, SmearImage

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"}) | TIFF_SUFFIXES
UNREADABLE = (OSError, ValueError, RuntimeError, SyntaxError, LookupError)


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
    if is_temperature(file):
        return read_temperature(file, groups)
    try:
        opened = _open(file)
        return from_array(
            opened.levels[0],
            image_name(file),
            levels=opened.levels,
            layout=opened.layout,
            path=file,
            pixel_size_um=opened.pixel_size_um,
            groups=groups,
        )
    except ImageError as error:
        told = str(error) if file.name in str(error) else f"{file.name}: {error}"
        raise ImageError(told) from error
    except UNREADABLE as error:
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


def _open(file: Path) -> Opened:
    if file.is_dir():
        if not is_zarr(file):
            raise ImageError(
                f"{file.name} is a folder without zarr metadata (zarr.json, .zgroup or .zarray): "
                "an OME-Zarr image has it. Was it copied whole?"
            )
        return open_zarr(file)
    if file.suffix.lower() in TIFF_SUFFIXES:
        return open_tiff(file)
    return Opened((read_picture(file),))
