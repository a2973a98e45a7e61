"""Hot spots of a region: what is warmer than the skin around it."""

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


@dataclass(frozen=True, eq=False)
class HotSpot:
    """A warm place.

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

    The skin around a pixel is the mean of the region's temperatures, weighted by a Gaussian.

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
    inner = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1] > MARGIN * side
    above = warmth - skin_around(warmth, inside, SURROUNDING_SIGMA * side)
    pieces, count = ndimage.label(inner & (above > contrast))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    large = [n for n in range(1, count + 1) if sizes[n] >= max(4, MIN_AREA_SHARE * inside.sum())]
    spots = [_measure_spot(celsius, above, pieces == number, window) for number in large]
    return tuple(sorted(spots, key=lambda spot: -spot.contrast))


def skin_around(
    celsius: NDArray[np.float32], region: NDArray[np.bool_], sigma: float
) -> NDArray[np.float32]:
    """``(rows, cols)`` mean °C of the region around each pixel; nothing outside it counts."""
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
    """Return the hot spot of a piece of a window of the frame."""
    mask = np.zeros(celsius.shape, dtype=np.bool_)
    mask[window] = piece
    warmest = int(np.where(mask, celsius, -np.inf).argmax())
    row, col = np.unravel_index(warmest, mask.shape)
    peak, contrast = float(celsius[row, col]), float(above[piece].mean())
    return HotSpot(mask, int(row), int(col), int(piece.sum()), peak, contrast)
