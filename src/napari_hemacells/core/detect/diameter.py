"""The typical cell diameter of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from napari_hemacells.core.detect.foreground import foreground, stained_windows
from napari_hemacells.core.detect.stain import read_stain
from napari_hemacells.core.errors import CellsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.detect.regions import Regions
    from napari_hemacells.core.params import DetectParams
    from napari_hemacells.core.types import SmearImage

THUMBNAIL_SIDE = 800  # a thumbnail of this side is enough to measure cells
MAX_THUMBNAIL_STEP = 2  # only each so many-th pixel: beyond it cells melt into one another
SMALLEST = 4.0  # px in the thumbnail: below it a "cell" is noise
EDGE_SHARE = 1.08  # the largest disc in a cell misses its blurred rim: measured on drawn cells


def cell_diameter(
    image: SmearImage, params: DetectParams, regions: Regions | None = None
) -> float:
    """Return the typical cell diameter in pixels, given in pixels or µm, or estimated; 0 unknown.

    Raises
    ------
    CellsError
        A diameter in µm without a pixel size.
    """
    if params.cell_diameter is not None:
        return params.cell_diameter
    if params.cell_diameter_um is None:
        return estimate_diameter(image, regions)
    pixel_size = params.pixel_size_um or image.pixel_size_um
    if pixel_size is None:
        raise CellsError(
            "A cell diameter in µm needs the pixel size: enter it, or the diameter in pixels."
        )
    return params.cell_diameter_um / pixel_size


def estimate_diameter(image: SmearImage, regions: Regions | None = None) -> float:
    """Return the typical cell diameter in pixels, 0 if nothing looks like a cell.

    The area-weighted median of the largest discs in the stained foreground (maxima of the distance
    transform), so that platelets and debris hardly count; on a large image, the median over some
    stained windows.
    """
    step = max(1, round(max(image.shape) / THUMBNAIL_SIDE))
    if step <= MAX_THUMBNAIL_STEP:
        return _diameter_of(np.asarray(image.pixels[::step, ::step], dtype=np.uint8), step)
    diameters = []
    for row, col in stained_windows(image, regions):
        top, left = (max(0, int(at) - THUMBNAIL_SIDE // 2) for at in (row, col))
        window = image.pixels[top : top + THUMBNAIL_SIDE, left : left + THUMBNAIL_SIDE]
        diameters.append(_diameter_of(np.asarray(window, dtype=np.uint8), 1))
    known = [diameter for diameter in diameters if diameter > 0]
    return float(np.median(known)) if known else 0.0


def _diameter_of(pixels: NDArray[np.uint8], step: int) -> float:
    """Return the diameter in a picture subsampled by `step`."""
    if min(pixels.shape[:2]) < 2 * SMALLEST:
        return 0.0
    stain = read_stain(pixels)
    radii = _inscribed_radii(foreground(stain, 1.5))
    if not len(radii):
        return 0.0
    return EDGE_SHARE * 2 * step * _weighted_median(radii, radii**2)


def _inscribed_radii(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    from skimage.feature import peak_local_max

    padded = np.pad(mask, 1, mode="edge")  # the border is no edge of a cell
    distance = ndi.distance_transform_edt(padded)[1:-1, 1:-1]
    peaks = peak_local_max(
        ndi.gaussian_filter(distance, 2), min_distance=8, labels=mask.astype(int), exclude_border=5
    )
    radii = np.asarray(distance[tuple(peaks.T)], dtype=np.float64)
    # A radius near the picture's own size is a picture without glass, not a cell.
    plausible = (radii >= SMALLEST) & (radii < min(mask.shape) / 2)
    return np.asarray(radii[plausible])


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
