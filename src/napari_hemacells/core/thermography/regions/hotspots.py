"""Hot spots of a region: spots warmer than the surrounding skin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTRAST = 1.0  # °C above the skin around it
SURROUNDING_SIGMA = (
    0.18  # how far the skin around reaches, in sides of the region (σ of a Gaussian)
)
MARGIN = 0.07  # of the region's side: its rim is left out, where the fold below is warm anyway
MIN_AREA_SHARE = 0.002  # of the region's area
FOLD_LENGTH = 0.3  # in sides of the region: the fold below a breast is a long band,
FOLD_SLIMNESS = 3.0  # at least that many times as long as wide,
FOLD_OUTWARDS = (
    0.085  # whose end comes as near to the region's rim, in its sides: where it runs on
)


@dataclass(frozen=True, eq=False)
class HotSpot:
    """A warm spot and its measurements.

    Attributes
    ----------
    mask
        ``(rows, cols)`` True on it.
    row, col
        Its warmest pixel.
    area_px
        Its pixels.
    peak
        Its warmest pixel's temperature, °C.
    contrast
        Its mean above the skin around it, °C.
    """

    mask: NDArray[np.bool_]
    row: int
    col: int
    area_px: int
    peak: float
    contrast: float


def find_hot_spots(
    celsius: NDArray[np.float32], region: NDArray[np.bool_], *, contrast: float = CONTRAST
) -> tuple[HotSpot, ...]:
    """Return the hot spots of a region, the strongest contrast first.

    The skin around a pixel is the mean of the region's temperatures, weighted by a Gaussian. The
    fold below the breast is warm in everybody and no hot spot, where an outline includes it: a
    long band in the lower half that reaches the rim.

    Parameters
    ----------
    region
        ``(rows, cols)`` True on the region.
    contrast
        Least °C above the skin around.
    """
    from scipy import ndimage

    windows = ndimage.find_objects(region.astype(np.uint8))
    if not windows:
        return ()
    window = windows[0]
    inside, warmth = region[window], celsius[window]
    side = float(np.sqrt(inside.sum()))
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1])
    inner = depth > MARGIN * side
    above = warmth - skin_around(warmth, inside, SURROUNDING_SIGMA * side)
    pieces, count = ndimage.label(inner & (above > contrast))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    large = [n for n in range(1, count + 1) if sizes[n] >= max(4, MIN_AREA_SHARE * inside.sum())]
    spots = [
        _measure_spot(celsius, above, pieces == number, window)
        for number in large
        if not _is_fold(pieces == number, depth, side)
    ]
    return tuple(sorted(spots, key=lambda spot: -spot.contrast))


def _is_fold(piece: NDArray[np.bool_], depth: NDArray[np.float64], side: float) -> bool:
    """Whether a warm component is the inframammary fold.

    `depth` is each pixel's distance from the rim, `side` the root of the region's area.
    """
    places = np.argwhere(piece).astype(np.float64)
    middle = np.nonzero(depth)[0].mean()
    if places[:, 0].mean() <= middle or depth[piece].min() > FOLD_OUTWARDS * side:
        return False
    # A band of length l and width w has the variances l²/12 and w²/12 along its axes.
    variances = np.linalg.eigvalsh(np.cov(places.T))
    width, length = np.sqrt(12 * np.maximum(variances, 1 / 12))
    return bool(length >= FOLD_LENGTH * side and length >= FOLD_SLIMNESS * width)


def skin_around(
    celsius: NDArray[np.float32], region: NDArray[np.bool_], sigma: float
) -> NDArray[np.float32]:
    """Return the mean °C around each pixel, ``(rows, cols)``, over the region only."""
    from scipy import ndimage

    weight = ndimage.gaussian_filter(region.astype(np.float32), sigma, truncate=2.5)
    warmth = ndimage.gaussian_filter(np.where(region, celsius, 0), sigma, truncate=2.5)
    return np.asarray(warmth / np.maximum(weight, 1e-6))


def _measure_spot(
    celsius: NDArray[np.float32],
    above: NDArray[np.float32],
    piece: NDArray[np.bool_],
    window: tuple[slice, ...],
) -> HotSpot:
    """Return the hot spot of a connected component."""
    mask = np.zeros(celsius.shape, dtype=np.bool_)
    mask[window] = piece
    warmest = int(np.where(mask, celsius, -np.inf).argmax())
    row, col = np.unravel_index(warmest, mask.shape)
    peak, contrast = float(celsius[row, col]), float(above[piece].mean())
    return HotSpot(mask, int(row), int(col), int(piece.sum()), peak, contrast)
