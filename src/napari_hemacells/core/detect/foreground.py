"""The stained foreground: which parts of an image hold cells, and windows to measure them in."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage as ndi

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.detect.regions import Regions
    from napari_hemacells.core.detect.stain import Plane, Stain
    from napari_hemacells.core.detect.tiling import Part, ScaledImage
    from napari_hemacells.core.types import SmearImage

BLOCK, FLAT_RANGE = 8, 6  # pixels at 40 px a red cell; grey levels
WINDOWS = 5  # that the cells are measured in
CONTRAST_WINDOW = 512  # pixels of the image that are judged together
SAMPLE_WINDOW = 512  # side of the windows that levels are measured in, pixels at the working scale
WINDOWS_PER_AXIS = 8  # along each axis, where there is no overview
MIN_RELATIVE_CONTRAST = 0.3  # of the strongest contrast: a window with less is mostly glass
BLOCKS_PER_DIAMETER = 5  # block means to a red cell's diameter in an overview
EMPTY_RANGE = 4  # grey levels: stricter than FLAT, as an overview blurs
MIN_OVERVIEW_DIAMETER = (
    5.0  # least pixels of an overview to a red cell, for cells to be seen there
)


def is_flat(picture: NDArray[np.uint8]) -> bool:
    """Whether there is only background: the means of small blocks differ by noise only."""
    return bool(np.ptp(_block_means(picture, BLOCK), axis=(0, 1)).max() < FLAT_RANGE)


def _block_means(picture: NDArray[np.uint8], block: int) -> NDArray[np.uint8]:
    rows, cols = (max(1, side // block) for side in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((cols, rows), Image.Resampling.BOX))


def drop_empty_parts(
    image: SmearImage, parts: Iterable[Part], grid: tuple[int, int], diameter: float
) -> tuple[Part, ...]:
    """Return the parts that may hold cells, judged on the image's overview.

    All parts if there is no overview, or one so coarse that a pale cell could be missed.

    Parameters
    ----------
    grid
        Rows and columns of the grid of the parts.
    diameter
        Of a red cell, in pixels of the image.
    """
    parts = tuple(parts)
    if image.overview is None:
        return parts
    across = diameter * image.overview.shape[0] / image.shape[0]
    if across < MIN_OVERVIEW_DIAMETER:
        return parts
    means = _block_means(
        np.asarray(image.overview[:, :]), max(1, int(across / BLOCKS_PER_DIAMETER))
    )
    return tuple(part for part in parts if not _is_empty(means, part, grid))


def _is_empty(means: NDArray[np.uint8], part: Part, grid: tuple[int, int]) -> bool:
    """Whether a part has only one colour."""
    spans = zip((part.rows, part.cols), means.shape[:2], grid, strict=True)
    rows, cols = (
        slice(max(0, int(low * small / whole) - 1), int(np.ceil(high * small / whole)) + 1)
        for (low, high), small, whole in spans
    )
    return bool(np.ptp(means[rows, cols], axis=(0, 1)).max() < EMPTY_RANGE)


def stained_windows(
    image: SmearImage, regions: Regions | None = None, count: int = WINDOWS
) -> list[tuple[float, float]]:
    """Return the centres (row, column; pixels) of windows with cells, fewer if there are few.

    They range from the strongest contrast to weak ones, so that not all lie in the thick end of a
    smear. The contrast is that of an overview, or of a grid of windows.
    """
    middles, contrast = _contrast(image)
    if regions is not None:
        inside = regions.contains(middles)
        if not inside.any():  # smaller than the windows: their own middles will do
            return [tuple(polygon.mean(axis=0).tolist()) for polygon in regions.polygons[:count]]
        middles, contrast = middles[inside], contrast[inside]
    order = np.argsort(-contrast, kind="stable")
    order = order[contrast[order] > MIN_RELATIVE_CONTRAST * contrast.max()]
    chosen = np.unique(np.linspace(0, max(0, len(order) - 1), count).round().astype(int))
    return [tuple(middle) for middle in middles[order[chosen]].tolist()] if len(order) else []


def _contrast(image: SmearImage) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centres of windows all over the image, and their contrast."""
    if image.overview is None:
        spans = [_spaced_windows(side) for side in image.shape]
        pictures = [np.asarray(image.pixels[row, col]) for row in spans[0] for col in spans[1]]
    else:
        small = np.asarray(image.overview[:, :])
        spans = [_adjacent_windows(side) for side in image.shape]
        ratio = [few / side for few, side in zip(small.shape[:2], image.shape, strict=True)]
        pictures = [
            small[_scaled(row, ratio[0]), _scaled(col, ratio[1])]
            for row in spans[0]
            for col in spans[1]
        ]
    middles = [
        ((row.start + row.stop) / 2, (col.start + col.stop) / 2)
        for row in spans[0]
        for col in spans[1]
    ]
    contrast = [float(picture.std(axis=(0, 1)).mean()) for picture in pictures]
    return np.array(middles), np.array(contrast)


def _adjacent_windows(extent: int) -> list[slice]:
    """Return windows side by side along an axis."""
    count = max(1, extent // CONTRAST_WINDOW)
    edges = np.linspace(0, extent, count + 1).astype(int).tolist()
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _spaced_windows(extent: int) -> list[slice]:
    """Return a few small windows along an axis, to read few pixels."""
    side = min(extent, CONTRAST_WINDOW // 2)
    count = min(WINDOWS_PER_AXIS, max(1, extent // side))
    starts = np.linspace(0, extent - side, 2 * count + 1)[1::2].astype(int).tolist()
    return [slice(start, start + side) for start in starts]


def _scaled(span: slice, ratio: float) -> slice:
    start = int(span.start * ratio)
    return slice(start, max(start + 1, int(span.stop * ratio)))


def windows_around(
    view: ScaledImage, places: Sequence[tuple[float, float]]
) -> list[tuple[slice, slice]]:
    """Return a window at the working scale around each point of the image."""
    windows = []
    for place in places:
        rows, cols = (
            slice(start, min(side, start + SAMPLE_WINDOW))
            for side, start in (
                (side, max(0, min(int(at / ratio - SAMPLE_WINDOW / 2), side - SAMPLE_WINDOW)))
                for at, ratio, side in zip(place, view.ratio, view.shape, strict=True)
            )
        )
        windows.append((rows, cols))
    return windows


CEILING = 2.0  # of the median density of what is stained
FOREGROUND_SHARE = 0.7  # of Otsu's threshold: pale cells belong to the foreground


def foreground(stain: Stain, sigma: float, floor: float | None = None) -> NDArray[np.bool_]:
    """Return the stained foreground, with pale centres of red cells filled.

    Parameters
    ----------
    floor
        Least density; measured on the picture by default.
    """
    density = ndi.gaussian_filter(stain.density, sigma)
    floor = foreground_floor(stain, density) if floor is None else floor
    return np.asarray(ndi.binary_fill_holes(density > floor), dtype=np.bool_)


def foreground_floor(stain: Stain, density: Plane) -> float:
    """Return the threshold of the smoothed density for the foreground."""
    from skimage.filters import threshold_otsu

    stained = density > 4 * stain.noise
    if stained.any():  # a pointer or a nucleus must not set the bar for pale red cells
        density = np.minimum(density, CEILING * float(np.median(density[stained])))
    return max(FOREGROUND_SHARE * float(threshold_otsu(density)), 4 * stain.noise, 1e-3)
