"""Which picture of a TIFF is the one, what its samples mean, how large a pixel is."""

from __future__ import annotations

import math
import struct
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.files.decoding import check_pages, check_segments
from napari_hemacells.core.image.from_array import SampleMeaning
from napari_hemacells.core.image.layout import Layout
from napari_hemacells.core.image.pixel_size import PixelSize, micrometres, number, pixel_size
from napari_hemacells.core.types import BitDepth

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

ALPHA = {1: "associated", 2: "straight"}  # values of the tag ExtraSamples; 0 is unspecified
# Kinds with pictures of the label and of the whole slide beside the slide itself.
SLIDE_KINDS = frozenset({"svs", "ndpi", "scn", "bif", "philips", "qpi", "avs", "eer", "argos"})
COLOUR_PHOTOMETRICS = frozenset({"RGB", "YCBCR"})
RESOLUTION_PER_CENTIMETRE = 3
UNSTATED_SAMPLE = "Samples of a pixel whose meaning the file does not state are left out."


@contextmanager
def open_pages(file: Path) -> Iterator[Any]:
    """Open a TIFF with tifffile, once its pages are known to come to an end.

    Raises
    ------
    ImageError
        The pages name one another in a circle: they would be read for hours.
    """
    import tifffile

    with file.open("rb") as stream:
        _check_chain(stream)
    with tifffile.TiffFile(file) as tiff:
        yield tiff


def _check_chain(stream: IO[bytes]) -> None:
    start = stream.read(16)
    order = "<" if start[:2] == b"II" else ">"
    big = start[2:4] in {b"+\0", b"\0+"}
    count_format, entry, next_format = (
        (order + "Q", 20, order + "Q") if big else (order + "H", 12, order + "I")
    )
    (offset,) = struct.unpack_from(next_format, start, 8 if big else 4)
    seen: set[int] = set()
    while offset:
        if offset in seen:
            raise ImageError(
                "The pages of the TIFF go round in a circle: it is damaged. Export it again."
            )
        seen.add(offset)
        try:
            stream.seek(offset)
            (count,) = struct.unpack(count_format, stream.read(struct.calcsize(count_format)))
            stream.seek(count * entry, 1)
            (offset,) = struct.unpack(next_format, stream.read(struct.calcsize(next_format)))
        except (struct.error, OSError, OverflowError):
            return  # the end of the file: tifffile says it


def main_series(tiff: Any) -> int:
    """Return the place of the series that is the picture: no reduced copy, no mask.

    Raises
    ------
    ImageError
        The file holds no picture.
    """
    check_pages(tiff)
    if not tiff.series:
        raise ImageError("The TIFF holds no picture. Was it written to its end?")
    full = [
        place
        for place, series in enumerate(tiff.series)
        if not (series.keyframe.is_reduced or series.keyframe.is_mask)
    ]
    if full:
        return full[0]
    return max(range(len(tiff.series)), key=lambda place: math.prod(tiff.series[place].shape))


def describe_series(tiff: Any, place: int) -> tuple[str, ...]:
    """Return the sentence about the other pictures in the file, if there are any."""
    kind = tiff.series[place].kind
    others = [
        series
        for number_of, series in enumerate(tiff.series)
        if number_of != place and not (series.keyframe.is_reduced or series.keyframe.is_mask)
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
            (base + place for place, extra in enumerate(extras[-(count - base) :])
             if extra in ALPHA and base + place < count),
            None,
        ) if count > base else None  # fmt: skip
        used = (*range(min(base, count)), *(() if alpha is None else (alpha,)))
        self.picked = used if count > 1 else ()
        self.notes = (UNSTATED_SAMPLE,) if len(used) < count else ()
        kind = None if alpha is None else ALPHA[extras[-(count - base) :][alpha - base]]
        self.meaning = SampleMeaning(
            _stated_depth(page, significant_bits),
            associated=kind == "associated",
            inverted=photometric == "MINISWHITE",
        )


def _stated_depth(page: Any, significant_bits: int | None) -> BitDepth | None:
    """Return the bits a sample that the file states, if the type has room for more."""
    dtype = page.dtype
    if dtype is None or dtype.kind != "u":
        return None
    room = dtype.itemsize * 8
    stated = [bits for bits in (significant_bits, page.bitspersample) if bits]
    fewer = [bits for bits in stated if isinstance(bits, int) and 0 < bits < room]
    return BitDepth(min(fewer), 0, "file") if fewer else None


class OmeImage:
    """What the OME-XML of a TIFF says of one image; empty where there is none, or it is damaged.

    Attributes
    ----------
    pixels
        Attributes and elements of *Pixels*, as :func:`tifffile.xml2dict` gives them.
    """

    def __init__(self, tiff: Any, place: int) -> None:
        self.pixels: dict[str, Any] = {}
        description = tiff.ome_metadata
        if not description:
            return
        import tifffile

        found: Any = None
        with suppress(Exception):  # what is said beside the pixels never costs the pixels
            images = _listed(
                tifffile.xml2dict(description, sep="").get("OME", {}).get("Image", {})
            )
            chosen = images[place] if place < len(images) == len(tiff.series) else images[0]
            found = chosen.get("Pixels", {})
        if isinstance(found, dict):
            self.pixels = found

    @property
    def significant_bits(self) -> int | None:
        """Bits a sample, where it is said."""
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


def _listed(found: Any) -> list[Any]:
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def stated_pixel_size(tiff: Any, page: Any, ome: OmeImage) -> PixelSize:
    """Return the size of a pixel from OME-XML, a slide scanner's words, ImageJ or the tags."""
    if ome.pixel_size != PixelSize():
        return ome.pixel_size
    for read in (_svs_pixel_size, _tag_pixel_size):
        found = PixelSize()
        with suppress(Exception):  # what is said beside the pixels never costs the pixels
            found = read(tiff, page)
        if found != PixelSize():
            return found
    return PixelSize()


def _svs_pixel_size(tiff: Any, page: Any) -> PixelSize:  # noqa: ARG001
    if not tiff.is_svs:
        return PixelSize()
    from tifffile.tifffile import svs_description_metadata

    return pixel_size(svs_description_metadata(tiff.pages[0].description).get("MPP"))


def _tag_pixel_size(tiff: Any, page: Any) -> PixelSize:
    """Micrometres a pixel from the ImageJ unit or from a resolution per centimetre."""
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


def series_layout(series: Any, samples: TiffSamples, names: Sequence[str]) -> Layout:
    """Return which axes of a series are rows, columns and colour.

    Raises
    ------
    ImageError
        A stack, or channels that are no colour.
    """
    return Layout.of_axes(series.shape, series.axes, samples=samples.picked, names=names)
