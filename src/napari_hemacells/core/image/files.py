"""Reading picture files, OME-Zarr folders and files with temperatures as :class:`SmearImage`.

The size of a picture is read from its header alone.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from napari_hemacells.core.errors import (
    HemaCellsError,
    ImageError,
    StorageError,
    ThermogramError,
)
from napari_hemacells.core.files.decoding import check_picture, decoding
from napari_hemacells.core.files.safe_files import check_readable, unreadable_error
from napari_hemacells.core.image.bit_depth import depth_of_run
from napari_hemacells.core.image.content_hash import MAX_IN_MEMORY_PIXELS, content_key
from napari_hemacells.core.image.formats import is_tiff, no_image_error
from napari_hemacells.core.image.from_array import image_from_array
from napari_hemacells.core.image.layout import WHOLE_PICTURE, Layout
from napari_hemacells.core.image.ome_zarr import is_zarr, open_zarr
from napari_hemacells.core.image.picture import (
    OpenedPicture,
    frame_count,
    has_deep_samples,
    picture_shape,
    read_picture,
)
from napari_hemacells.core.image.tiff import (
    TIFF_SUFFIXES,
    has_unstated_depth,
    open_tiff,
    tiff_shape,
)
from napari_hemacells.core.temperature import (
    TEXT_SUFFIXES,
    is_celsius_tiff,
    is_radiometric,
    is_thermogram,
    parse_dmr_ir_name,
    read_celsius,
)
from napari_hemacells.core.types import BitDepth, Groups, Pixels, SmearImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.core.image.plane_selection import PlaneSelection

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
        return is_tiff(file) and is_celsius_tiff(file)
    return suffix in RADIOMETRIC_SUFFIXES and is_radiometric(file)


def read_temperature(
    file: Path, groups: Groups | None = None, selection: PlaneSelection = WHOLE_PICTURE
) -> SmearImage:
    """Return the thermogram in a file; its patient is that of the DMR-IR name, if not given.

    Parameters
    ----------
    selection
        The frame of a series, along the axis ``t``.

    Raises
    ------
    ThermogramError
        Damaged, not in °C, or several frames in one file of which none is selected.
    """
    celsius = read_celsius(file)
    notes = ""
    if celsius.ndim != 2:
        frames = [("t", len(celsius))]
        try:
            celsius, notes = celsius[selection.indices(frames)[0]], selection.note(frames)
        except ImageError as error:
            raise ThermogramError(f"{file.name}: {error}") from error
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
        notes=(notes,) if notes else (),
    )


PICTURE_SUFFIXES = TIFF_SUFFIXES | {
    ".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".bmp", ".dib", ".gif", ".webp", ".jp2", ".ppm",
}  # fmt: skip
DEPTH_SAMPLE = 200  # images of a run, evenly spread, whose values tell its bit depth


def read_image(
    path: str | Path,
    *,
    groups: Groups | None = None,
    run_depths: Sequence[BitDepth] = (),
    selection: PlaneSelection = WHOLE_PICTURE,
) -> SmearImage:
    """Return the picture in a file, with its pixel size where the file states a metric one.

    Files with temperatures (text, numpy, float TIFF in °C, radiometric JPEG) give °C
    (``modality="temperature"``), and their patient where a DMR-IR name says it.
    By their content, TIFF and OME-TIFF are read with tifffile (the first series that is no reduced
    copy), PNG, JPEG, BMP, GIF, WebP, JPEG 2000 and PPM with Pillow, folders as OME-Zarr; nothing
    else is read. Large TIFF and OME-Zarr are read where they are sliced. An EXIF orientation is
    ignored: rows and columns are those stored in the file, as napari shows them, so that exported
    coordinates fit the file in every other tool.

    Parameters
    ----------
    run_depths
        What :func:`guess_run_depths` says of the run or folder that the file belongs to.
    selection
        The plane of a stack, and which channels are grey or red, green and blue.

    Raises
    ------
    ImageError
        No such file, not a picture, damaged, too large, or a stack without a selected plane.
    """
    file = Path(path)
    _check_there(file)
    with decoding(file, "a picture"):
        if file.suffix.lower() in TEXT_SUFFIXES or is_temperature(file):
            return read_temperature(file, groups, selection)
        opened = _open(file, selection)
        return image_from_array(
            opened.levels[0],
            image_name(file),
            levels=opened.levels,
            layout=opened.layout,
            path=file,
            pixel_size_um=opened.pixel_size.um,
            groups=groups,
            meaning=opened.meaning,
            run_depths=run_depths,
            notes=(*opened.notes, opened.pixel_size.note),
            selection=selection,
        )


def _check_there(file: Path) -> None:
    """Refuse what is not there, may not be read, or would be read for ever."""
    try:
        check_readable(file)
        if not file.exists():
            raise ImageError(f"There is no file {file}.")
    except StorageError as error:
        raise ImageError(str(error)) from error
    except ValueError as error:  # a zero byte in the name
        raise ImageError(f"There is no file {str(file)[:80]}.") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ImageError(f"There is no file {str(file)[:80]}.") from error
        raise ImageError(str(unreadable_error(error, file))) from error


def read_pixels(
    path: Path,
    *,
    run_depths: Sequence[BitDepth] = (),
    selection: PlaneSelection = WHOLE_PICTURE,
) -> Pixels:
    """Return the pixels of a picture that is needed whole, such as that of one cell.

    Raises
    ------
    ImageError
        As :func:`read_image` does, and for a picture too large to be in memory.
    """
    image = read_image(path, run_depths=run_depths, selection=selection)
    with decoding(path, "a picture"):
        if image.is_lazy:
            check_picture(*image.shape)
        return cast("Pixels", np.asarray(image.pixels))


def guess_run_depths(
    files: Sequence[Path], selection: PlaneSelection = WHOLE_PICTURE
) -> tuple[BitDepth, ...]:
    """Return one bit depth, of each offset, for all images of a run; empty if none is guessed.

    Only images are read that have more than 8 bits a sample and do not say how many are used, and
    of very many of them every so many.
    """
    deep = [file for file in files if _is_deep(file, selection)]
    depths = []
    for file in deep[:: -(-len(deep) // DEPTH_SAMPLE) or 1]:
        try:
            depth = read_image(file, selection=selection).bit_depth
        except ImageError:
            continue  # told when its turn comes
        if depth is not None and depth.source == "guessed":
            depths.append(depth)
    return depth_of_run(depths)


def _is_deep(file: Path, selection: PlaneSelection) -> bool:
    try:
        with decoding(file, "a picture"):
            if is_temperature(file):
                return False
            if file.is_dir():
                dtype = open_zarr(file, selection).levels[0].dtype if is_zarr(file) else None
                return dtype is not None and dtype.kind in "iu" and dtype.itemsize > 1
            return has_unstated_depth(file) if is_tiff(file) else has_deep_samples(file)
    except (HemaCellsError, OSError):
        return False


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


def _open(file: Path, selection: PlaneSelection) -> OpenedPicture:
    if file.is_dir():
        if not is_zarr(file):
            raise no_image_error(file, PICTURE_SUFFIXES)
        return open_zarr(file, selection)
    if is_tiff(file):
        return open_tiff(file, selection)
    frames = [("t", frame_count(file))]
    picture = read_picture(file, frame=selection.indices(frames)[0])
    return OpenedPicture((picture,), notes=(selection.note(frames),))


def is_large(path: Path) -> bool:
    """Whether the headers of a TIFF or OME-Zarr say that it is too large to be read whole.

    That is one picture of more than `MAX_IN_MEMORY_PIXELS` pixels. Damaged files and those of
    other kinds are not.
    """
    if not path.is_dir() and not is_tiff(path):
        return False
    rows, cols = picture_size(path)
    return rows * cols > MAX_IN_MEMORY_PIXELS


def picture_size(path: Path, selection: PlaneSelection = WHOLE_PICTURE) -> tuple[int, int]:
    """Rows and columns of the picture in a file, by its header; 0 where they cannot be read.

    What is wrong is told when the picture itself is read.
    """
    try:
        with decoding(path, "a picture"):
            return _size(path, selection)
    except (HemaCellsError, OSError):
        return 0, 0


def _size(path: Path, selection: PlaneSelection) -> tuple[int, int]:
    if path.is_dir():
        if not is_zarr(path):
            return 0, 0
        opened = open_zarr(path, selection)
        shape = opened.levels[0].shape
        return (opened.layout or Layout.of_shape(shape)).size(shape)
    if not path.is_file():
        return 0, 0
    return tiff_shape(path, selection) if is_tiff(path) else picture_shape(path)
