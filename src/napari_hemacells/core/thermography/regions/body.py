"""Segmenting the body in a thermogram: the largest warm region."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_hemacells.core.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FLAT = 3.0  # °C from the coldest to the warmest place: less shows no background
LOWEST, HIGHEST = 0.25, 0.55  # where between room and skin the limit may lie
SMOOTHING = 1 / 320  # of the longer side: below the width of an arm, above the noise
TORSO = (0.3, 0.95)  # part of the body's rows that the torso is measured on


class TorsoExtent(NamedTuple):
    """Position of the torso, from which the first boxes are placed.

    Attributes
    ----------
    row, col
        Its middle, pixels.
    width
        From side to side, pixels.
    """

    row: float
    col: float
    width: float


def validate_celsius(celsius: ArrayLike) -> NDArray[np.float32]:
    """Return ``(rows, cols)`` float32 °C, missing pixels replaced by the minimum.

    Raises
    ------
    ImageError
        Not one plane of numbers, fewer than 16 × 16 pixels, or no finite value.
    """
    array = np.asarray(celsius, dtype=np.float32)
    if array.ndim != 2 or min(array.shape) < 16:
        raise ImageError(
            f"A thermogram is one plane of 16 × 16 temperatures or more, this has {array.shape}."
        )
    finite = np.isfinite(array)
    if finite.all():
        return array
    if not finite.any():
        raise ImageError("The thermogram holds no temperature at all.")
    return np.where(finite, array, array[finite].min())


def body_mask(celsius: ArrayLike) -> NDArray[np.bool_]:
    """Return the mask of the body, ``(rows, cols)``: the largest warm region, holes filled.

    The limit between room and skin is Otsu's, kept between a quarter and a half of the way so
    that a frame that the body fills is not cut at cool skin. A frame without a background is all
    body.

    Raises
    ------
    ImageError
        As :func:`validate_celsius`.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    array = validate_celsius(celsius)
    smooth = ndimage.gaussian_filter(array, max(array.shape) * SMOOTHING)
    cold, warm = np.percentile(smooth, (0.5, 99.5))
    if warm - cold < FLAT:
        return np.ones(array.shape, dtype=np.bool_)
    limit = np.clip(
        threshold_otsu(np.clip(smooth, cold, warm)),
        cold + LOWEST * (warm - cold),
        cold + HIGHEST * (warm - cold),
    )
    pieces, count = ndimage.label(smooth > limit)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    return _filled(pieces == sizes.argmax())


def find_torso(body: NDArray[np.bool_]) -> TorsoExtent:
    """Return centre and width of the torso: medians over rows, without separate arms."""
    rows = np.flatnonzero(body.any(axis=1))
    if not len(rows):
        height, width = body.shape
        return TorsoExtent(height / 2, width / 2, float(width))
    top, bottom = float(rows[0]), float(rows[-1]) + 1
    within = rows[
        (rows >= top + TORSO[0] * (bottom - top)) & (rows <= top + TORSO[1] * (bottom - top))
    ]
    spans = np.array([_longest_run(body[row]) for row in (within if len(within) else rows)])
    left, right = np.median(spans[:, 0]), np.median(spans[:, 1])
    return TorsoExtent((top + bottom) / 2, float(left + right) / 2, float(max(right - left, 1.0)))


def _longest_run(line: NDArray[np.bool_]) -> tuple[int, int]:
    """Return start and end (beyond the last) of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], line, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts)) if len(starts) else -1
    return (int(starts[longest]), int(ends[longest])) if longest >= 0 else (0, 0)


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill the holes of the mask, also those open to the frame's lower edge."""
    from scipy import ndimage

    closed = np.pad(mask, ((0, 1), (0, 0)), constant_values=False)
    columns = np.flatnonzero(mask[-1])
    if len(columns):
        closed[-1, columns[0] : columns[-1] + 1] = True
    return np.asarray(ndimage.binary_fill_holes(closed)[:-1], dtype=np.bool_)
