"""Image + cells → square colour crops, framed alike wherever the cells come from.

Crops of a smear are bytes. Those of a thermogram are float32 from 0 to 255, made of the degrees
as the :class:`CropSpec` says and never rounded; encoders take both.

Image + points → crops of a fixed number of pixels, whatever the size of the cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from napari_hemacells.core.errors import CellsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.types import Cells, CropSpec, SmearImage

Border: TypeAlias = Literal["pad", "shift", "reject"]

CONTEXT_BOUNDS = (1.0, 4.0)


def extract_crops(
    image: SmearImage, cells: Cells, spec: CropSpec, ids: Sequence[int] | None = None
) -> NDArray[Any]:
    """``(n, size, size, 3)`` crops, one a cell, in the order of `ids`: uint8, of degrees float32.

    Each is the square around the centre of the cell's box whose side is ``spec.context`` times
    the longer side of the box (of a whole picture as :attr:`Cells.context` says), resampled with
    an antialiased bilinear filter. What lies beyond the image's border is the image mirrored
    there.

    Parameters
    ----------
    image
        Of a colour image only the regions around the cells are read. Of a contact sheet of
        pictures the crops are those of the pictures.
    cells
        Where the cells are.
    spec
        Size and margin of the crops.
    ids
        The cells wanted; ``None`` for all, in the order of the table.

    Raises
    ------
    CellsError
        An id that is not among the cells.
    """
    if image.sheet is not None:
        places = slice(None) if ids is None else row_indices(cells, ids)
        return image.sheet.crops(cells.ids[places].tolist(), spec)
    boxes = cells.boxes if ids is None else cells.boxes[row_indices(cells, ids)]
    pixels = _crop_source(image.pixels, spec)
    context = spec.context if cells.source != "whole" else _whole_framing(image, cells, spec)
    crops = np.empty((len(boxes), spec.size, spec.size, 3), dtype=pixels.dtype)
    for crop, box in zip(crops, boxes, strict=True):
        min_row, min_col, max_row, max_col = (float(edge) for edge in box)
        side = context * max(max_row - min_row, max_col - min_col, 1.0)
        centre = (min_row + max_row) / 2, (min_col + max_col) / 2
        crop[...] = _square(pixels, centre, side, spec.size)
    return crops


def crop_square(image: SmearImage, cells: Cells, spec: CropSpec, cell: int) -> CropSquare:
    """Return where in the image the crop of a cell lies, as :func:`extract_crops` cuts it.

    Raises
    ------
    CellsError
        An id that is not among the cells.
    """
    box = cells.boxes[row_indices(cells, [cell])[0]]
    min_row, min_col, max_row, max_col = (float(edge) for edge in box)
    context = spec.context if cells.source != "whole" else _whole_framing(image, cells, spec)
    if image.sheet is not None:
        context = image.sheet.framing(spec)
    side = context * max(max_row - min_row, max_col - min_col, 1.0)
    row, col = (min_row + max_row) / 2, (min_col + max_col) / 2
    return CropSquare(row - side / 2, col - side / 2, side)


class PointCrops(NamedTuple):
    """Crops around points, and what was done near the image's border.

    Attributes
    ----------
    pixels
        ``(m, size, size, 3)`` uint8 of colours, float32 from 0 to 255 of degrees.
    points
        ``(m,)`` which point each crop shows.
    beyond
        ``(n,)`` whether the square around each point reaches beyond the image.
    """

    pixels: NDArray[Any]
    points: NDArray[np.intp]
    beyond: NDArray[np.bool_]


def crop_around_points(
    image: SmearImage,
    points: NDArray[np.floating],
    size: int,
    *,
    border: Border = "pad",
    enlarge: float = 1.0,
    spec: CropSpec | None = None,
) -> PointCrops:
    """Return squares of `size` pixels with a point in the middle, the same for every cell.

    Parameters
    ----------
    points
        ``(n, 2)`` rows and columns as a napari Points layer has them: (0, 0) is the middle of the
        first pixel.
    size
        Side in pixels. Of a side with an even number the point is the pixel right below the
        middle.
    border
        What is done where a square reaches beyond the image. ``pad``: the image is mirrored there.
        ``shift``: the square is moved into the image, so that the point is not in its middle; an
        image smaller than the square gives no crop. ``reject``: no crop.
    enlarge
        The image is thought of as enlarged by so much first: 3 cuts a third of `size`. 1 copies
        pixels without resampling.
    spec
        How degrees become colours.

    Raises
    ------
    CellsError
        Points that are not finite or lie outside the image.

    Examples
    --------
    >>> from napari_hemacells.core.types import SmearImage
    >>> image = SmearImage(np.zeros((60, 80, 3), np.uint8), "field", "x")
    >>> cut = crop_around_points(image, np.array([[30, 40], [2, 3]]), 20, border="reject")
    >>> cut.pixels.shape, cut.points.tolist(), cut.beyond.tolist()
    ((1, 20, 20, 3), [0], [False, True])
    """
    from napari_hemacells.core.types import CropSpec as Spec

    places = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    extent = np.array(image.shape, dtype=np.float64)
    inside = points_inside(image, places)
    if not inside.all():
        row, col = places[np.flatnonzero(~inside)[0]]
        raise CellsError(
            f"The point at row {row:g}, column {col:g} is outside of {image.name}, which has "
            f"{image.shape[0]} × {image.shape[1]} pixels: was it set in another image?"
        )
    side = size / enlarge
    corners = places + 0.5 - side / 2
    if enlarge == 1:
        corners = np.floor(corners + 1e-9)  # whole pixels: nothing is resampled
    beyond = np.any((corners < 0) | (corners + side > extent), axis=1)
    assert isinstance(beyond, np.ndarray)  # noqa: S101  # one answer a point
    kept = np.arange(len(places))
    if border == "shift":
        corners = np.clip(corners, 0, np.maximum(extent - side, 0))
        kept = kept if (side <= extent).all() else kept[:0]
    elif border == "reject":
        kept = np.flatnonzero(~beyond)
    source = _crop_source(image.pixels, spec or Spec())
    pixels = np.empty((len(kept), size, size, 3), dtype=source.dtype)
    for crop, (top, left) in zip(pixels, corners[kept].tolist(), strict=True):
        crop[...] = _square(source, (top + side / 2, left + side / 2), side, size)
    return PointCrops(pixels, kept, beyond)


def points_inside(image: SmearImage, points: NDArray[np.floating]) -> NDArray[np.bool_]:
    """``(n,)`` whether each point lies on a pixel of the image."""
    places = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    last = np.array(image.shape, dtype=np.float64) - 0.5
    inside = np.isfinite(places) & (places >= -0.5) & (places <= last)
    return np.asarray(inside[:, 0] & inside[:, 1])


def nothing_near(points: NDArray[np.floating], cells: Cells, reach: float) -> NDArray[np.bool_]:
    """``(n,)`` whether no cell's box is within `reach` pixels of each point.

    Examples
    --------
    >>> from napari_hemacells.core.detect import cells_from_boxes, empty_cells
    >>> nothing_near(np.zeros((2, 2)), empty_cells((9, 9), 5.0), 3.0).tolist()
    [True, True]
    """
    empty = np.ones(len(points), dtype=bool)
    if len(cells):
        low, high = cells.boxes[:, :2], cells.boxes[:, 2:] - 1
        for number, point in enumerate(np.asarray(points, dtype=np.float64)):
            gap = np.maximum(np.maximum(low - point, point - high), 0)
            empty[number] = bool((np.hypot(gap[:, 0], gap[:, 1]) > reach).all())
    return empty


class CropSquare(NamedTuple):
    """A square in the image, in pixels; its upper left corner may be beyond the border."""

    top: float
    left: float
    side: float


def _whole_framing(image: SmearImage, cells: Cells, spec: CropSpec) -> float:
    """Return the square's side divided by the longer side of a whole picture."""
    degrees = image.modality == "temperature"
    return 1.0 if degrees or cells.context is None else spec.context / cells.context


def to_bytes(crops: NDArray[Any]) -> NDArray[np.uint8]:
    """Return crops as bytes, to be looked at: colours are those already, degrees are rounded."""
    rounded = crops if crops.dtype == np.uint8 else np.rint(np.clip(crops, 0, 255))
    return rounded.astype(np.uint8, copy=False)


def from_picture(pixels: NDArray[Any], spec: CropSpec, *, framing: float = 1.0) -> NDArray[Any]:
    """``(size, size, 3)`` crop of a picture that shows one cell in its centre.

    Parameters
    ----------
    pixels
        ``(rows, cols, 3)`` uint8, or ``(rows, cols)`` float32 °C.
    spec
        Size of the crop; its context is met through `framing`.
    framing
        Side of the square that is taken, divided by the picture's longer side: 1 takes the whole
        picture (and mirrors what a picture that is not square lacks). To frame a picture as a
        detector would, give ``spec.context / estimate_context(pictures)``.
    """
    rows, cols = pixels.shape[:2]
    side = framing * max(rows, cols)
    return _square(_crop_source(pixels, spec), (rows / 2, cols / 2), side, spec.size)


def estimate_context(pictures: Iterable[NDArray[Any]]) -> float:
    """Picture side divided by the extent of the cell in its centre, median over the pictures.

    The cell is the stained object nearest the centre: Otsu's threshold on the distance from the
    colour of glass, opened so that neighbours that touch it fall off. 1.0 means that the pictures
    are cut tightly.
    """
    ratios = [max(picture.shape[:2]) / _central_extent(picture) for picture in pictures]
    low, high = CONTEXT_BOUNDS
    return float(np.clip(np.median(ratios), low, high)) if ratios else low


def row_indices(cells: Cells, ids: Sequence[int]) -> NDArray[np.intp]:
    """``(n,)`` places in the table of the cells with these ids.

    Raises
    ------
    CellsError
        An id that is not among the cells.
    """
    try:
        return np.array([cells.position[int(cell)] for cell in ids], dtype=np.intp)
    except KeyError as error:
        raise CellsError(f"There is no cell {error.args[0]} in this image.") from error


def _crop_source(pixels: Any, spec: CropSpec) -> Any:
    """Return what crops are cut from: colours as they are, degrees as floats from 0 to 255."""
    if pixels.ndim == 3:
        return pixels
    from napari_hemacells.core.temperature.normalise import celsius_to_rgb

    return celsius_to_rgb(np.asarray(pixels), spec.degrees, palette=spec.palette)


def _square(
    pixels: NDArray[Any], centre: tuple[float, float], side: float, size: int
) -> NDArray[Any]:
    """Return the square with that centre and side, resampled to ``(size, size, 3)``."""
    from PIL import Image

    top, left = centre[0] - side / 2, centre[1] - side / 2
    rows = int(np.floor(top)), int(np.ceil(top + side))
    cols = int(np.floor(left)), int(np.ceil(left + side))
    region = _region(pixels, rows, cols)
    box = (left - cols[0], top - rows[0], left - cols[0] + side, top - rows[0] + side)
    box = (box[0], box[1], min(box[2], region.shape[1]), min(box[3], region.shape[0]))

    def resized(part: NDArray[Any]) -> NDArray[Any]:
        picture = Image.fromarray(part)
        return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, box=box))

    if region.dtype == np.uint8:
        return resized(region)
    return np.stack([resized(region[..., channel]) for channel in range(3)], axis=-1)


def _region(pixels: NDArray[Any], rows: tuple[int, int], cols: tuple[int, int]) -> NDArray[Any]:
    """Return the pixels between two rows and two columns, mirrored at the image's border."""
    spans, padding = [], []
    for (start, stop), length in zip((rows, cols), pixels.shape[:2], strict=True):
        first = min(max(start, 0), length - 1)
        last = max(min(stop, length), first + 1)
        spans.append(slice(first, last))
        padding.append((max(first - start, 0), max(stop - last, 0)))
    inside = np.ascontiguousarray(pixels[spans[0], spans[1]])
    if not any(before or after for before, after in padding):
        return inside
    return np.pad(inside, [*padding, (0, 0)], mode="symmetric")


def _central_extent(picture: NDArray[Any]) -> float:
    """Longer side of the box of the stained object nearest the centre, in pixels.

    Of a thermogram, which has none, the whole picture's.
    """
    spans = None if picture.ndim == 2 else central_object(picture)
    if spans is None:
        return float(max(picture.shape[:2]))
    return float(max(span.stop - span.start for span in spans))


def central_object(picture: NDArray[np.uint8]) -> tuple[slice, slice] | None:
    """Rows and columns of the stained object nearest the centre; ``None`` where nothing is.

    See :func:`estimate_context`.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    glass = np.percentile(picture.reshape(-1, 3), 95, axis=0)
    stain = np.linalg.norm(picture.astype(np.float32) - glass, axis=-1)
    if np.ptp(stain) == 0:
        return None
    stained = stain > threshold_otsu(stain)
    opened = ndimage.binary_opening(stained, iterations=max(1, min(stained.shape) // 20))
    objects, count = ndimage.label(opened if opened.any() else stained)
    if count == 0:
        return None
    centre = (np.array(stained.shape) - 1) / 2
    inside = np.argwhere(objects > 0)
    nearest = inside[np.square(inside - centre).sum(axis=1).argmin()]
    rows, cols = ndimage.find_objects(objects)[objects[tuple(nearest)] - 1]
    return rows, cols


TILE = 2048  # pixels; 12 MB of colour, an eighth of what a lazy image keeps decoded


def sort_by_tile(corners: NDArray[np.integer], places: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the places ordered by tile of the image, within a tile as they were.

    In reading order, a row of cells crosses a large image from side to side and takes more chunks
    of its file than are kept, and the next row reads them all again. A tile's fit.
    """
    tiles = (corners[places] // TILE).astype(np.int64)
    return places[np.lexsort((tiles[:, 1], tiles[:, 0]))]
