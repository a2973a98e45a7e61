"""An image with its cells in the colours of their classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.annotate.palette import UNKNOWN_COLOUR
from napari_hemacells.core.cell_masks import look_up
from napari_hemacells.core.files.fsio import atomic_path
from napari_hemacells.core.temperature.normalise import celsius_to_picture
from napari_hemacells.core.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate.palette import Palette
    from napari_hemacells.core.types import Cells, SmearImage

UNCLASSIFIED_COLOUR = "#8c8c8c"
_MAX_PIXELS = 100_000_000  # pixels of an overlay
_REGION_OUTLINE = 1 / 320  # width around the regions of a thermogram, in its longer sides
PNG_LEVEL = 2  # of 9: a smear is noise, which more effort hardly makes smaller
_BAND = 1024  # rows that are drawn at once: a large image is never in memory as floats


def class_overlay(
    image: SmearImage,
    cells: Cells,
    shown: Mapping[int, str],
    palette: Palette,
    *,
    fill: float = 0.22,
    legend: bool = False,
) -> NDArray[np.uint8]:
    """``(rows, cols, 3)`` uint8: each cell tinted and outlined in its class's colour.

    Parameters
    ----------
    shown
        Class id by cell id, or ``UNKNOWN``; the other cells have a grey outline.
    fill
        Opacity of the tint inside, 0 to 1.
    legend
        Whether to add a strip with the classes and their counts below the image.

    A picture of more than 100 megapixels is shown at a whole fraction of its size.
    """
    classes, colours = _lookup(cells, shown, palette)
    highest = int(cells.ids.max(initial=0))
    rows, cols = image.shape
    step = max(1, int(np.ceil(np.sqrt(rows * cols / _MAX_PIXELS))))
    width = outline_width(image, cells, step)
    picture = display_pixels(image)
    drawn = np.empty((-(-rows // step), -(-cols // step), 3), np.uint8)
    for start in range(0, len(drawn), _BAND):
        first, last = max(0, start - width), min(len(drawn), start + _BAND + width)
        window = (slice(first * step, last * step, step), slice(None, None, step))
        pixels, labels = picture[window], cells.labels[window]
        of_pixel = look_up(labels, cells.ids, classes)
        labels = np.where(labels <= highest, labels, 0)
        band = _tinted(pixels, labels, of_pixel, colours, width=width, fill=fill)
        kept = slice(start - first, min(start + _BAND, len(drawn)) - first)
        drawn[start : start + _BAND] = band[kept]
    return with_legend(drawn, shown, palette) if legend else drawn


def display_pixels(image: SmearImage) -> Any:
    """``(rows, cols, 3)`` uint8 that a person sees: of a thermogram its colours in the viewer.

    Lazy where the pixels of the image are.
    """
    if image.modality != "temperature":
        return image.pixels
    return celsius_to_picture(np.asarray(image.pixels))


def outline_width(image: SmearImage, cells: Cells, step: int = 1) -> int:
    """Width in pixels of the outlines; `step` is by what the picture is made smaller.

    It grows with the cells; the regions of a thermogram, which are large, have thin outlines.
    """
    thermal = image.modality == "temperature"
    width = max(image.shape) * _REGION_OUTLINE if thermal else cells.diameter / 22
    return max(1, round(width / step))


def _tinted(
    pixels: NDArray[Any],
    labels: NDArray[np.int32],
    of_pixel: NDArray[np.int64],
    colours: NDArray[np.float32],
    *,
    width: int,
    fill: float,
) -> NDArray[np.uint8]:
    """A part of the overlay: `of_pixel` is the row of its cell in the table of colours.

    A pixel's new value follows from its old one and from what it is of: looked up, not computed.
    """
    glass = len(colours)  # codes: tinted with each colour, as it is, then the colours themselves
    code = np.where(of_pixel > 1, of_pixel, glass).astype(np.int32)
    border = _border(labels, width=width)
    code[border] = of_pixel[border] + glass + 1
    drawn = np.empty((*labels.shape, 3), np.uint8)
    light = np.arange(256, dtype=np.float32)
    for channel in range(3):
        colour = colours[:, channel, np.newaxis]
        tinted = np.round(light + (colour - light) * np.float32(fill))
        whole = np.broadcast_to(colour, tinted.shape)
        table = np.concatenate([tinted, light[np.newaxis], whole]).astype(np.uint8)
        np.take(table.ravel(), code * 256 + pixels[..., channel], out=drawn[..., channel])
    return drawn


def write_overlay(path: Path, overlay: NDArray[np.uint8]) -> None:
    """Write an overlay as PNG, whole or not at all."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(overlay).save(temporary, format="PNG", compress_level=PNG_LEVEL)


def with_legend(
    overlay: NDArray[np.uint8], shown: Mapping[int, str], palette: Palette
) -> NDArray[np.uint8]:
    """The overlay with a white strip below it: a swatch, name and count a class."""
    from PIL import Image, ImageDraw, ImageFont

    cols = overlay.shape[1]
    size = max(12, round(cols / 60))
    font = ImageFont.load_default(size=size)
    entries = [
        (cell_class.colour, f"{cell_class.name}  {_count(shown, cell_class.id)}")
        for cell_class in palette
    ]
    if unknown := _count(shown, UNKNOWN):
        entries.append((UNKNOWN_COLOUR, f"unknown  {unknown}"))
    lines = _wrap([font.getlength(text) + 3 * size for _, text in entries], cols - size)
    strip = Image.new("RGB", (cols, round((max(lines, default=0) + 1) * 1.7 * size)), "white")
    draw, left, line = ImageDraw.Draw(strip), float(size), 0
    for (colour, text), at in zip(entries, lines, strict=True):
        left, line = (float(size), at) if at != line else (left, line)
        top = (1.7 * line + 0.35) * size
        draw.rectangle((left, top, left + size, top + size), fill=colour, outline="#404040")
        draw.text((left + 1.4 * size, top + size / 2), text, "#202020", font, anchor="lm")
        left += font.getlength(text) + 3 * size
    return np.concatenate([overlay, np.asarray(strip, dtype=np.uint8)])


def _lookup(
    cells: Cells, shown: Mapping[int, str], palette: Palette
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Row of the colour table for each cell, and that table: 0 glass, 1 no class, the rest."""
    row = {class_id: number for number, class_id in enumerate((UNKNOWN, *palette.ids), start=2)}
    classes = [row.get(shown.get(cell, ""), 1) for cell in cells.ids.tolist()]
    colours = [
        UNCLASSIFIED_COLOUR,
        UNCLASSIFIED_COLOUR,
        UNKNOWN_COLOUR,
        *(cell_class.colour for cell_class in palette),
    ]
    rgb = [list(bytes.fromhex(colour[1:])) for colour in colours]
    return np.asarray(classes, dtype=np.intp), np.asarray(rgb, dtype=np.float32)


def _border(labels: NDArray[np.int32], width: int) -> NDArray[np.bool_]:
    """The rim of each cell, ``width`` pixels wide and inside it."""
    from scipy.ndimage import maximum_filter, minimum_filter

    size = 2 * width + 1
    low, high = minimum_filter(labels, size), maximum_filter(labels, size)
    rim: NDArray[np.bool_] = (labels > 0) & (low != high)
    return rim


def _wrap(widths: list[float], available: float) -> list[int]:
    """Line number of each entry, so that no line is wider than there is room."""
    lines, used, line = [], 0.0, 0
    for width in widths:
        if used and used + width > available:
            used, line = 0.0, line + 1
        used += width
        lines.append(line)
    return lines


def _count(shown: Mapping[int, str], wanted: str) -> int:
    return sum(class_id == wanted for class_id in shown.values())
