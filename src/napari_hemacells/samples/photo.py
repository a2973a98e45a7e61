"""Rendering of a slide by the camera: lamp, stain, optics and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

LAMP = (0.905, 0.885, 0.895)
COLOUR_FRINGE = ((0.4, 0.2), (0.0, 0.0), (-0.3, -0.4))  # px that red and blue are off the green
GRAIN = 0.011


@dataclass(frozen=True, eq=False)
class Camera:
    """Stain, lamp and optics: what is constant over the fields of a slide.

    Attributes
    ----------
    stain
        ``(3,)`` strength by colour, 1 for a typical stain.
    top, fall
        Where the lamp is brightest, from -1 to 1 along each axis, and how fast it falls.
    tone
        ``(3,)`` colour of the lamp relative to a typical one.
    blur
        Standard deviation of the point spread in pixels.
    diameter
        Diameter of a red cell in pixels.
    """

    stain: NDArray[np.float64]
    top: NDArray[np.float64]
    fall: float
    tone: NDArray[np.float64]
    blur: float
    diameter: float

    @classmethod
    def drawn(cls, rng: Generator, diameter: float, *, fall: float) -> Camera:
        """Return a random one with the given fall of the lamp."""
        stain = rng.uniform(0.85, 1.2) * rng.normal(1.0, 0.06, 3)
        tone = rng.normal(1.0, 0.012, 3)
        return cls(stain, np.zeros(2), fall, tone, diameter * rng.uniform(0.018, 0.026), diameter)

    def picture(
        self, density: NDArray[np.float32], dirt: NDArray[np.float64], rng: Generator
    ) -> NDArray[np.uint8]:
        """``(rows, cols, 3)`` uint8 image of an optical density; `dirt` is noise of its shape."""
        smooth = ndi.gaussian_filter(dirt, self.diameter * 0.5)
        film = 0.012 * np.clip(smooth / max(float(smooth.std()), 1e-6), -1.5, 1.5)
        light = 10.0 ** -(density * self.stain + film[..., None].astype(np.float32))
        light *= self._illumination(density.shape[:2])[..., None]
        light *= np.asarray(LAMP) * self.tone
        planes = [ndi.gaussian_filter(light[..., channel], self.blur) for channel in range(3)]
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

    def _illumination(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the illumination: a flat hill whose top is off centre."""
        rows, cols = np.meshgrid(
            np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij"
        )
        hill = (rows - self.top[0]) ** 2 + (cols - self.top[1]) ** 2
        return np.asarray(1 - self.fall * hill, dtype=np.float32)


def render_photo(
    rng: Generator, density: NDArray[np.float32], diameter: float, stain: float | None = None
) -> NDArray[np.uint8]:
    """Return the image of the camera: lamp, stain (1 is typical; default random), optics."""
    usual = rng.uniform(0.85, 1.2)  # drawn in any case: a given stain changes nothing else
    strength = usual if stain is None else stain
    tint = rng.normal(1.0, 0.06, 3)
    dirt = rng.normal(size=density.shape[:2])
    top = rng.uniform(-0.35, 0.35, 2)
    fall = rng.uniform(0.03, 0.075)
    tone = rng.normal(1.0, 0.012, 3)
    blur = diameter * rng.uniform(0.018, 0.026)
    camera = Camera(strength * tint, top, fall, tone, blur, diameter)
    return camera.picture(density, dirt, rng)
