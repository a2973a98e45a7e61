"""The identity of an image: a hash of what it shows."""

from __future__ import annotations

import hashlib
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAX_IN_MEMORY_PIXELS = 32_000_000  # pixels; up to that an image is kept in memory and hashed whole
GRID = 10  # sampled windows along each axis of a large image
WINDOW = 32  # side of one, in pixels


def image_key(pixels: Any) -> str:
    """16 hexadecimal digits: the image's identity, however it was opened.

    Up to :data:`MAX_IN_MEMORY_PIXELS` pixels that is :func:`content_key` over all of them. A
    larger image is hashed by its shape, its dtype and :func:`sample_windows`: a fixed grid of
    small windows, so that the answer takes a second for any size. The price: two large images of
    one shape that differ only between the windows have the same key.

    Parameters
    ----------
    pixels
        ``(rows, cols, 3)`` uint8, in memory or lazy.
    """
    rows, cols = pixels.shape[:2]
    if rows * cols <= MAX_IN_MEMORY_PIXELS:
        return content_key(np.asarray(pixels))
    digest = hashlib.sha256(f"sampled {_described(pixels)} ".encode())
    for part in sample_windows((rows, cols)):
        digest.update(np.ascontiguousarray(pixels[part]).data)
    return digest.hexdigest()[:16]


def content_key(pixels: NDArray[Any]) -> str:
    """16 hexadecimal digits of SHA-256 over shape, dtype and bytes.

    Examples
    --------
    >>> content_key(np.zeros((2, 2, 3), np.uint8)) == content_key(np.zeros((2, 2, 3), np.uint8))
    True
    """
    digest = hashlib.sha256(f"{_described(pixels)} ".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()[:16]


def sample_windows(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Yield the sampled windows of an image: ``GRID`` times ``GRID``, evenly spread."""
    along = []
    for length in shape:
        centres = ((2 * index + 1) * length // (2 * GRID) for index in range(GRID))
        starts = (max(0, min(centre - WINDOW // 2, length - WINDOW)) for centre in centres)
        along.append([slice(start, min(start + WINDOW, length)) for start in starts])
    yield from product(*along)


def _described(pixels: Any) -> str:
    return f"{tuple(pixels.shape)} {np.dtype(pixels.dtype).str}"
