"""Small pictures of coloured discs, sorted into class folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 32
COLOURS = {"red": (200, 70, 80), "violet": (90, 40, 160), "green": (60, 160, 90)}
SMALL = {
    "arch": "test_resnet",
    "weights": "none",
    "size": SIDE,
    "frozen_epochs": 1,
    "epochs": 2,
    "rate": 1e-2,
    "lower": 1.0,
    "batch": 8,
    "device": "cpu",
}


def disc(name: str, seed: int) -> np.ndarray:
    rows, cols = np.indices((SIDE, SIDE)) - SIDE / 2
    pixels = np.full((SIDE, SIDE, 3), 235.0)
    pixels[np.hypot(rows, cols) < SIDE / 3] = COLOURS[name]
    pixels += np.random.default_rng(seed).normal(0, 8, pixels.shape)
    return pixels.clip(0, 255).astype(np.uint8)


def add_discs(folder: Path, name: str, count: int, first: int = 0) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        seed = 1000 * list(COLOURS).index(name) + number
        Image.fromarray(disc(name, seed)).save(folder / name / f"{number:03d}.png")
