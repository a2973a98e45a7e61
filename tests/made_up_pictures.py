"""Folders of made-up pictures of one cell each: discs of a colour for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {"basophil": (90, 60, 160), "eosinophil": (220, 120, 90), "neutrophil": (160, 110, 180)}


def picture(kind: str, rng: np.random.Generator, side: int = 48) -> np.ndarray:
    """``(side, side, 3)`` uint8: a disc of the kind's colour on glass, with soft noise."""
    pixels = np.full((side, side, 3), (235, 230, 228), float)
    rows, cols = np.ogrid[:side, :side]
    centre = side / 2 + rng.uniform(-2, 2, 2)
    inside = (rows - centre[0]) ** 2 + (cols - centre[1]) ** 2 < (side / 3) ** 2
    pixels[inside] = KINDS[kind]
    return np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)


def write_pictures(
    folder: Path, each: int = 4, *, in_classes: bool = False, suffix: str = ".png", start: int = 0
) -> list[Path]:
    """Write so many pictures of each kind, in one folder or in one for each class."""
    rng = np.random.default_rng(start)
    written = []
    for kind in KINDS:
        where = folder / kind if in_classes else folder
        where.mkdir(parents=True, exist_ok=True)
        for index in range(start, start + each):
            file = where / f"{kind}_{index:03d}{suffix}"
            Image.fromarray(picture(kind, rng)).save(file)
            written.append(file)
    return written
