"""Which picture of a TIFF is read, what its samples mean, and how large a pixel is."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.files.tiff_files import check_segments
from napari_hemacells.core.image.from_array import SampleMeaning
from napari_hemacells.core.image.layout import Layout
from napari_hemacells.core.image.pixel_size import PixelSize, micrometres, number, pixel_size
from napari_hemacells.core.types import BitDepth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.image.plane_selection import PlaneSelection

ALPHA = {1: "associated", 2: "straight"}  # values of the tag ExtraSamples; 0 is unspecified
# Kinds with pictures of the label and of the whole slide beside the slide itself.
SLIDE_KINDS = frozenset({"svs", "ndpi", "scn", "bif", "philips", "qpi", "avs", "eer", "argos"})
COLOUR_PHOTOMETRICS = frozenset({"RGB", "YCBCR"})
RESOLUTION_PER_CENTIMETRE = 3


def main_series(tiff: Any) -> int:
    """Return the index of the series that is the picture: no reduced copy, no mask.

    Raises
    ------
    ImageError
        The file holds no picture.
    """
    if not tiff.series:
        raise ImageError("The TIFF holds no picture. Was it written to its end?")
    full = [
        index
        for index, series in enumerate(tiff.series)
        if not (series.keyframe.is_reduced or series.keyframe.is_mask)
    ]
    if full:
        return full[0]
    return max(range(len(tiff.series)), key=lambda index: math.prod(tiff.series[index].shape))


def describe_series(tiff: Any, index: int) -> tuple[str, ...]:
    """Return the sentence about other pictures in the file; empty where there are none."""
    kind = tiff.series[index].kind
    others = [
        series
        for other, series in enumerate(tiff.series)
        if other != index and not (series.keyframe.is_reduced or series.keyframe.is_mask)
    ]
    if not others or kind in SLIDE_KINDS:
        return ()
    return (f"The file holds {len(others) + 1} pictures; the first of them is used.",)


def check_complete(page: Any, size: int) -> None:
    """Refuse a page that would need more bytes than its file has, before room is made for it.

    Parameters
    ----------
    size
        Bytes of the file.

    Raises
    ------
    ImageError
        The file was cut short, or its header is damaged.
    """
    check_segments(page, size)
    offsets = [offset for offset in page.dataoffsets if offset]
    stored = page.compression.name == "NONE" and page.photometric.name != "YCBCR"
    sparse = len(offsets) < len(page.dataoffsets)
    bits = int(np.max(page.bitspersample))  # a tuple where samples differ
    needed = math.prod(page.shape) * bits // 8 if stored and not sparse else 0
    # Tiles and strips that are not even listed would be read as black.
    unlisted = not stored and math.prod(page.chunked) > len(page.dataoffsets)
    if unlisted or needed > size or any(offset >= size for offset in offsets):
        raise ImageError(
            f"The header speaks of more pixels than the file's {size:,} bytes hold: it was cut "
            "short or is damaged. Copy or export it again."
        )


class TiffSamples:
    """What the samples of a page mean.

    Attributes
    ----------
    picked
        Those that are read, alpha last; empty for all.
    meaning
        Their bits, whether alpha is associated, whether 0 is white.
    notes
        What is left out.
    """

    def __init__(self, page: Any, significant_bits: int | None) -> None:
        photometric = page.photometric.name
        count, extras = page.samplesperpixel, [int(extra) for extra in page.extrasamples]
        base = 3 if photometric in COLOUR_PHOTOMETRICS else 1
        if base == 1 and count >= 3 and not any(extra in ALPHA for extra in extras):
            base = 3  # colour that its writer called grey
        alpha = next(
            (base + index for index, extra in enumerate(extras[-(count - base) :])
             if extra in ALPHA and base + index < count),
            None,
        ) if count > base else None  # fmt: skip
        used = (*range(min(base, count)), *(() if alpha is None else (alpha,)))
        self.picked = used if count > 1 else ()
        self.notes = (_left_out_note(count, used),) if len(used) < count else ()
        kind = None if alpha is None else ALPHA[extras[-(count - base) :][alpha - base]]
        self.meaning = SampleMeaning(
            _stated_depth(page, significant_bits),
            associated=kind == "associated",
            inverted=photometric == "MINISWHITE",
        )


def _left_out_note(count: int, used: Sequence[int]) -> str:
    numbers = ", ".join(str(index + 1) for index in used)
    return (
        f"Of the {count} samples of a pixel, {numbers} are read; the file does not state what the "
        "others mean, and they are left out (choose others with --channels)."
    )


def _stated_depth(page: Any, significant_bits: int | None) -> BitDepth | None:
    """Return the bits per sample that the file states, if the type has room for more."""
    dtype = page.dtype
    if dtype is None or dtype.kind != "u":
        return None
    room = dtype.itemsize * 8
    stated = [bits for bits in (significant_bits, page.bitspersample) if bits]
    fewer = [bits for bits in stated if isinstance(bits, int) and 0 < bits < room]
    return BitDepth(min(fewer), 0, "file") if fewer else None


class OmeImage:
    """The OME-XML of one image in a TIFF; empty where there is none, or it is damaged.

    Attributes
    ----------
    pixels
        Attributes and elements of *Pixels*, as :func:`tifffile.xml2dict` gives them.
    """

    def __init__(self, tiff: Any, index: int) -> None:
        self.pixels: dict[str, Any] = {}
        description = tiff.ome_metadata
        if not description:
            return
        import tifffile

        pixels: Any = None
        with suppress(Exception):  # damaged metadata must not cost the pixels
            images = _listed(
                tifffile.xml2dict(description, sep="").get("OME", {}).get("Image", {})
            )
            chosen = images[index] if index < len(images) == len(tiff.series) else images[0]
            pixels = chosen.get("Pixels", {})
        if isinstance(pixels, dict):
            self.pixels = pixels

    @property
    def significant_bits(self) -> int | None:
        """Bits per sample; ``None`` where they are not stated."""
        bits = number(self.pixels.get("SignificantBits"))
        return None if bits is None else int(bits)

    @property
    def channel_names(self) -> list[str]:
        """Names of the channels, ``""`` for one without."""
        channels = [item for item in _listed(self.pixels.get("Channel")) if isinstance(item, dict)]
        return [str(item.get("Name", "")) for item in channels]

    @property
    def pixel_size(self) -> PixelSize:
        """Width and height of a pixel, as one number."""
        get = self.pixels.get
        return pixel_size(
            get("PhysicalSizeX"),
            get("PhysicalSizeY"),
            get("PhysicalSizeXUnit", "µm"),
            get("PhysicalSizeYUnit", "µm"),
        )


def _listed(element: Any) -> list[Any]:
    if element is None:
        return []
    return element if isinstance(element, list) else [element]


def stated_pixel_size(tiff: Any, page: Any, ome: OmeImage) -> PixelSize:
    """Return the pixel size from OME-XML, a slide scanner's description, ImageJ or the tags."""
    if ome.pixel_size != PixelSize():
        return ome.pixel_size
    for read in (_svs_pixel_size, _tag_pixel_size):
        size = PixelSize()
        with suppress(Exception):  # damaged metadata must not cost the pixels
            size = read(tiff, page)
        if size != PixelSize():
            return size
    return PixelSize()


def _svs_pixel_size(tiff: Any, page: Any) -> PixelSize:  # noqa: ARG001
    if not tiff.is_svs:
        return PixelSize()
    from tifffile.tifffile import svs_description_metadata

    return pixel_size(svs_description_metadata(tiff.pages[0].description).get("MPP"))


def _tag_pixel_size(tiff: Any, page: Any) -> PixelSize:
    """Return micrometres per pixel from the ImageJ unit or a resolution per centimetre."""
    wide, high = _unit_length(page, "XResolution"), _unit_length(page, "YResolution")
    if wide is None and high is None:
        return PixelSize()
    imagej = tiff.imagej_metadata or {}
    unit = str(imagej.get("unit", ""))
    if micrometres(unit) is not None:
        unit_y = imagej.get("yunit") or unit
        return pixel_size(wide, high, unit, unit_y)
    resolution_unit = page.tags.get("ResolutionUnit")
    per_centimetre = (
        resolution_unit is not None and int(resolution_unit.value) == RESOLUTION_PER_CENTIMETRE
    )
    if per_centimetre:
        return pixel_size(wide, high, "cm")
    return pixel_size(wide, high, unit) if unit else PixelSize()


def _unit_length(page: Any, name: str) -> float | None:
    """Return the length of a pixel's side in the unit of the tags; ``None`` if not stated."""
    tag = page.tags.get(name)
    return tag.value[1] / tag.value[0] if tag is not None and tag.value[0] else None


def apply_colormap(indices: NDArray[Any], page: Any) -> NDArray[np.uint8]:
    """``(rows, cols, 3)`` uint8 colours of ``(rows, cols)`` places in a page's palette."""
    palette = (np.asarray(page.colormap) >> 8).astype(np.uint8)
    colour: NDArray[np.uint8] = np.stack([channel[indices] for channel in palette], axis=-1)
    return colour


def ycbcr_to_rgb(values: NDArray[np.uint8], page: Any) -> NDArray[np.uint8]:
    """``(rows, cols, 3)`` uint8 colours of luminance and colour differences.

    As TIFF 6.0, section 21, defines it, with the coefficients and the range of the page's tags.
    """
    luma = [_ratio(pair) for pair in _tag_pairs(page, "YCbCrCoefficients")] or [
        0.299,
        0.587,
        0.114,
    ]
    span = [_ratio(pair) for pair in _tag_pairs(page, "ReferenceBlackWhite")]
    span = span if len(span) == 6 else [0.0, 255.0, 128.0, 255.0, 128.0, 255.0]
    full = (255.0, 127.0, 127.0)
    light, blue_difference, red_difference = (
        (values[..., at].astype(np.float32) - span[2 * at])
        * (full[at] / ((span[2 * at + 1] - span[2 * at]) or 1.0))
        for at in range(3)
    )
    red = red_difference * (2 - 2 * luma[0]) + light
    blue = blue_difference * (2 - 2 * luma[2]) + light
    green = (light - luma[2] * blue - luma[0] * red) / (luma[1] or 1.0)
    mixed = np.stack([red, green, blue], axis=-1)
    colour: NDArray[np.uint8] = np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)
    return colour


def _tag_pairs(page: Any, name: str) -> list[Sequence[float]]:
    tag = page.tags.get(name)
    if tag is None:
        return []
    flat = np.asarray(tag.value, dtype=np.float64).reshape(-1)
    return [
        (float(top), float(bottom)) for top, bottom in zip(flat[::2], flat[1::2], strict=False)
    ]


def _ratio(pair: Sequence[float]) -> float:
    return pair[0] / pair[1] if pair[1] else pair[0]


def series_layout(
    series: Any, samples: TiffSamples, names: Sequence[str], selection: PlaneSelection
) -> Layout:
    """Return which axes of a series are rows, columns and colour, and which plane is read.

    Raises
    ------
    ImageError
        A stack without a selected plane, or channels that are no colour.
    """
    return Layout.of_axes(
        series.shape, series.axes, samples=samples.picked, names=names, selection=selection
    )


def selected_page(series: Any, layout: Layout) -> Any:
    """Return the page with the plane that is read, ``None`` where a page holds several planes."""
    read = {layout.rows, layout.cols, layout.channels}
    stack = [axis for axis in range(layout.ndim) if axis not in read]
    lengths = [int(series.shape[axis]) for axis in stack]
    if len(series.pages) != math.prod(lengths) or stack != sorted(stack):
        return None
    if any(axis > min(layout.rows, layout.cols) for axis in stack):
        return None
    index = 0
    for axis, length in zip(stack, lengths, strict=True):
        index = index * length + (layout.plane[axis] if layout.plane else 0)
    return series.pages[index]
