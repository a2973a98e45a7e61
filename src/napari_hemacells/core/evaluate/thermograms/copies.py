"""Copies of a frame as the next frames of a series would be: what a split by image leaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

NOISE, DRIFT, SHIFT = 0.05, 0.15, 4  # °C a pixel, °C a frame, pixels either way


def copies_of(
    celsius: NDArray[np.float32], count: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    """Yield the frame, and copies: moved by some pixels, a little warmer or cooler, noisier."""
    yield celsius
    for _ in range(count - 1):
        rows, cols = rng.integers(-SHIFT, SHIFT + 1, 2)
        moved = np.roll(celsius, (int(rows), int(cols)), axis=(0, 1))
        noise = rng.normal(rng.normal(0, DRIFT), NOISE, celsius.shape)
        yield (moved + noise).astype(np.float32)
