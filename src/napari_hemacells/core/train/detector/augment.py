"""Another laboratory's look: stain, lamp, camera. All on ``(rows, cols, 3)`` uint8."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage as ndi

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


def another_look(pixels: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Return the same cells in other colours, light and sharpness."""
    if rng.random() < 0.1:
        return _camera(pixels.astype(np.float32), rng)
    return _camera(_lamp(_stain(pixels, rng), rng), rng)


def _stain(pixels: NDArray[np.uint8], rng: Generator) -> NDArray[np.float32]:
    """Return brightness 0 to 255 after each dye and each channel took another strength."""
    density = -np.log((pixels.astype(np.float32) + 4) / 259)
    mixing = np.eye(3) + rng.normal(0, 0.08, (3, 3))
    strength = np.exp(rng.normal(0, 0.25) + rng.normal(0, 0.18, 3))
    density = (density @ mixing.T.astype(np.float32)) * strength.astype(np.float32)
    return np.asarray(259 * np.exp(-density) - 4, dtype=np.float32)


def _lamp(light: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Return the picture under another lamp: tint, brightness, gamma, colour depth, hue."""
    light = np.clip(light / 255, 0, 1)
    light = light ** np.float32(np.exp(rng.normal(0, 0.25)))
    light = light * np.exp(rng.normal(-0.05, 0.12) + rng.normal(0, 0.07, 3)).astype(np.float32)
    grey = light.mean(axis=2, keepdims=True)
    light = grey + (light - grey) * np.float32(rng.uniform(0.4, 1.6))
    if rng.random() < 0.5:
        light = light @ _hue_turn(rng.normal(0, 0.2)).T
    centre = light.mean()
    light = centre + (light - centre) * np.float32(rng.uniform(0.65, 1.25))
    return np.asarray(light * 255, dtype=np.float32)


def _hue_turn(angle: float) -> NDArray[np.float32]:
    """Return the rotation of colour by `angle` radians about the grey axis."""
    cosine, sine = np.cos(angle), np.sin(angle) / np.sqrt(3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    turn = np.eye(3) * cosine + (1 - cosine) / 3 + sine * cross
    return np.asarray(turn, dtype=np.float32)


def _camera(light: NDArray[np.float32], rng: Generator) -> NDArray[np.uint8]:
    """Return uint8 after blur or sharpening, noise and JPEG."""
    if rng.random() < 0.4:
        sigma = rng.uniform(0.3, 1.3)
        light = ndi.gaussian_filter(light, (sigma, sigma, 0))
    if rng.random() < 0.15:
        light = light + rng.uniform(0.3, 1.0) * (light - ndi.gaussian_filter(light, (1, 1, 0)))
    if rng.random() < 0.4:
        light = light + rng.normal(0, rng.uniform(1, 7), light.shape).astype(np.float32)
    picture = np.clip(light, 0, 255).astype(np.uint8)
    return _jpeg(picture, int(rng.integers(35, 95))) if rng.random() < 0.3 else picture


def _jpeg(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "jpeg", quality=quality)
    return np.asarray(Image.open(buffer))
