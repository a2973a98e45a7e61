"""What the camera makes of a slide: lamp, stain of the day, optics, noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

LAMP = (0.905, 0.885, 0.895)
COLOUR_FRINGE = ((0.4, 0.2), (0.0, 0.0), (-0.3, -0.4))  # px that red and blue are off the green
GRAIN = 0.011


def photograph(
    rng: Generator, density: NDArray[np.float32], diameter: float, stain: float | None = None
) -> NDArray[np.uint8]:
    """Return what the camera sees: lamp, stain (1 is usual, by chance if not given), optics."""
    usual = rng.uniform(0.85, 1.2)  # drawn in any case: a given stain changes nothing else
    strength = usual if stain is None else stain
    tint = rng.normal(1.0, 0.06, 3)
    dirt = ndi.gaussian_filter(rng.normal(size=density.shape[:2]), diameter * 0.5)
    film = 0.012 * np.clip(dirt / max(float(dirt.std()), 1e-6), -1.5, 1.5)
    light = 10.0 ** -(density * strength * tint + film[..., None].astype(np.float32))
    light *= _illumination(rng, density.shape[:2])[..., None]
    light *= np.asarray(LAMP) * rng.normal(1.0, 0.012, 3)
    blur = diameter * rng.uniform(0.018, 0.026)
    planes = [ndi.gaussian_filter(light[..., channel], blur) for channel in range(3)]
    seen = np.stack(
        [
            ndi.shift(plane, offset, order=1, mode="nearest")
            for plane, offset in zip(planes, COLOUR_FRINGE, strict=True)
        ],
        axis=-1,
    )
    grain = ndi.gaussian_filter(rng.normal(size=seen.shape), (0.6, 0.6, 0))
    noisy = seen + GRAIN * np.sqrt(seen) * grain
    return np.asarray(np.clip(np.rint(noisy * 255), 0, 255), dtype=np.uint8)


def _illumination(rng: Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the lamp's field: a flat hill whose top is not in the middle."""
    rows, cols = np.meshgrid(
        np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij"
    )
    top = rng.uniform(-0.35, 0.35, 2)
    fall = rng.uniform(0.03, 0.075)
    hill = (rows - top[0]) ** 2 + (cols - top[1]) ** 2
    return np.asarray(1 - fall * hill, dtype=np.float32)
