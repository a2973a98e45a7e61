"""Any array or picture file → :class:`SmearImage`; the content hash that is its identity."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.types import Groups, SmearImage

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".tf8"})
CHANNEL_COUNTS = (1, 2, 3, 4)  # grey, grey + alpha, colour, colour + alpha
BIT_DEPTHS = (8, 10, 12, 14, 16)
PLAUSIBLE_PIXEL_UM = (0.001, 20.0)  # beyond it the tag speaks of print, not of a microscope
MICROMETRES = {"nm": 1e-3, "µm": 1.0, "um": 1.0, "micron": 1.0, "mm": 1e3, "cm": 1e4}


def to_colour(array: ArrayLike) -> NDArray[np.uint8]:
    r"""``(rows, cols, 3)`` uint8 sRGB colour image of any picture-like array.

    Shape
        ``(r, c)`` and ``(r, c, 1)`` are grey and repeated; ``(r, c, 3)`` is colour; a last axis
        of 2 or 4 carries alpha, and the picture is laid on white, as the glass of a smear is.
        ``(k, r, c)`` with k from 1 to 4 is channel-first, unless the last axis is itself 1 to 4
        long. Leading axes of length 1 beyond the third are dropped.
    Values
        *uint8* as they are; *bool* 0 and 255. Other integers that are not negative and fit in 16
        bits are divided by the full scale of the smallest depth among 8, 10, 12, 14 and 16 bits
        that holds their maximum (a 16-bit picture by 257, so that a 12-bit camera is not black).
        Floats between 0 and 1 are multiplied by 255. Everything else is stretched from its
        minimum to its maximum, one scale for all channels, so that the hue survives.

    Raises
    ------
    ImageError
        Empty array, NaN or infinity, not a number, or not the shape of one picture.

    Examples
    --------
    >>> to_colour(np.array([[0, 4095]], dtype=np.uint16))[0, 1].tolist()
    [255, 255, 255]
    """
    values = _channels_last(_validated(np.asarray(array)))
    channels = values.shape[-1]
    if channels in {2, 4}:
        colour = _to_bytes(values[..., :-1])
        alpha = _opacity(values[..., -1:])
        blended = colour * alpha + 255.0 * (1.0 - alpha)
        colour = np.rint(blended).astype(np.uint8)
    else:
        colour = _to_bytes(values)
    if colour.shape[-1] == 1:
        colour = np.repeat(colour, 3, axis=-1)
    return np.ascontiguousarray(colour)


def content_key(pixels: NDArray[Any]) -> str:
    """16 hexadecimal digits of SHA-256 over shape, dtype and bytes: an image's identity.

    Examples
    --------
    >>> content_key(np.zeros((2, 2, 3), np.uint8)) == content_key(np.zeros((2, 2, 3), np.uint8))
    True
    """
    digest = hashlib.sha256(f"{tuple(pixels.shape)} {np.dtype(pixels.dtype).str} ".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()[:16]


def from_array(
    array: ArrayLike,
    name: str,
    *,
    path: Path | None = None,
    pixel_size_um: float | None = None,
    groups: Groups | None = None,
) -> SmearImage:
    """Return the colour image of an array, converted by :func:`to_colour`, keyed by content."""
    pixels = to_colour(array)
    return SmearImage(
        pixels=pixels,
        key=content_key(pixels),
        name=name,
        path=path,
        pixel_size_um=pixel_size_um,
        groups=groups or Groups(),
    )


def read_image(path: str | Path, *, groups: Groups | None = None) -> SmearImage:
    """Return the picture in a file, with its pixel size where the file states a metric one.

    TIFF and OME-TIFF are read with tifffile (first series), everything else with Pillow. An EXIF
    orientation is ignored: rows and columns are those stored in the file, as napari shows them,
    so that exported coordinates fit the file in every other tool.

    Raises
    ------
    ImageError
        No such file, not a picture, damaged, or more than one picture in one array.
    """
    file = Path(path)
    if not file.is_file():
        raise ImageError(f"There is no file {file}.")
    try:
        if file.suffix.lower() in TIFF_SUFFIXES:
            array, pixel_size = _read_tiff(file)
        else:
            array, pixel_size = _read_picture(file), None
    except ImageError:
        raise
    except (OSError, ValueError, RuntimeError, SyntaxError, KeyError, IndexError) as error:
        raise ImageError(
            f"{file.name} cannot be read as a picture ({error}). Is it complete?"
        ) from error
    try:
        return from_array(array, file.stem, path=file, pixel_size_um=pixel_size, groups=groups)
    except ImageError as error:
        raise ImageError(f"{file.name}: {error}") from error


def _validated(array: NDArray[Any]) -> NDArray[Any]:
    if array.size == 0:
        raise ImageError(f"The image is empty: its shape is {array.shape}.")
    if array.dtype.kind not in "buif":
        raise ImageError(f"The image holds {array.dtype}, not numbers.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ImageError("The image holds NaN or infinite values; replace them first.")
    return array


def _channels_last(array: NDArray[Any]) -> NDArray[Any]:
    """``(rows, cols, channels)`` with 1 to 4 channels."""
    shape = array.shape
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 2:
        return array[..., np.newaxis]
    if array.ndim == 3 and array.shape[-1] in CHANNEL_COUNTS:
        return array
    if array.ndim == 3 and array.shape[0] in CHANNEL_COUNTS:
        return np.moveaxis(array, 0, -1)
    raise ImageError(
        "One picture is needed, (rows, columns) or (rows, columns, colour); "
        f"this array has the shape {shape}. Choose one plane of it."
    )


def _to_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    low, high = float(values.min()), float(values.max())
    offset, full = _scale(low, high, is_float=values.dtype.kind == "f")
    scaled = (values.astype(np.float64) - offset) * (255.0 / full)
    return np.rint(scaled).astype(np.uint8)


def _scale(low: float, high: float, *, is_float: bool) -> tuple[float, float]:
    """Value that becomes 0, and the distance from it to the value that becomes 255."""
    if is_float and low >= 0 and high <= 1:
        return 0.0, 1.0
    if not is_float and low >= 0:
        for bits in BIT_DEPTHS:
            if high < 2**bits:
                return 0.0, float(2**bits - 1)
    return low, (high - low) or 1.0


def _opacity(alpha: NDArray[Any]) -> NDArray[np.float64]:
    """Alpha as 0 to 1: floats as they are, integers by the full scale of their type."""
    full = 1.0 if alpha.dtype.kind in "bf" else float(np.iinfo(alpha.dtype).max)
    return np.clip(alpha.astype(np.float64) / full, 0.0, 1.0)


def _read_picture(file: Path) -> NDArray[Any]:
    from PIL import Image

    try:
        with Image.open(file) as picture:
            if picture.mode in {"1", "L", "LA", "RGB", "RGBA", "F", "I"} or ";16" in picture.mode:
                return np.asarray(picture)
            with_alpha = picture.has_transparency_data
            return np.asarray(picture.convert("RGBA" if with_alpha else "RGB"))
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{file.name} is too large to be read at once ({error}); save a region of it as TIFF."
        ) from error


def _read_tiff(file: Path) -> tuple[NDArray[Any], float | None]:
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        page: Any = tiff.pages[0]
        size = _plausible(_ome_pixel_size(tiff.ome_metadata) or _tag_pixel_size(tiff, page))
        needs_decoding = page.photometric.name in {"PALETTE", "MINISWHITE", "SEPARATED", "CIELAB"}
        array = _read_picture(file) if needs_decoding else tiff.series[0].asarray()
    return np.asarray(array), size


def _ome_pixel_size(description: str | None) -> float | None:
    if not description:
        return None
    import tifffile

    image = tifffile.xml2dict(description).get("OME", {}).get("Image", {})
    pixels = (image[0] if isinstance(image, list) else image).get("Pixels", {})
    size, unit = pixels.get("PhysicalSizeX"), str(pixels.get("PhysicalSizeXUnit", "µm"))
    return None if size is None or unit not in MICROMETRES else float(size) * MICROMETRES[unit]


def _tag_pixel_size(tiff: Any, page: Any) -> float | None:
    """Micrometres a pixel from the ImageJ unit or from a resolution per centimetre."""
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


def _plausible(pixel_size_um: float | None) -> float | None:
    low, high = PLAUSIBLE_PIXEL_UM
    return pixel_size_um if pixel_size_um is not None and low <= pixel_size_um <= high else None
