"""Small made-up images, cells and embeddings for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_hemacells.core.image import image_from_array
from napari_hemacells.core.types import CELL_COLUMNS, Cells, CropSpec, Embeddings, EncoderInfo

if TYPE_CHECKING:
    from napari_hemacells.core.types import SmearImage

INFO = EncoderInfo(name="fake", sha256="0" * 64, dim=16)
SPEC = CropSpec(size=16)
SIDE = 8


def make_image(seed: int = 0, name: str = "smear") -> SmearImage:
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return image_from_array(pixels, name)


def make_cells(n: int = 30) -> Cells:
    labels = np.zeros((64, 64), np.int32)
    rows = []
    for place in range(n):
        row, col = SIDE * (place // 8), SIDE * (place % 8)
        labels[row : row + 6, col : col + 6] = place + 1
        rows.append((place + 1, "RBC", 0.9, row + 2.5, col + 2.5, row, col, row + 6, col + 6, 36))
    return Cells(labels, pd.DataFrame(rows, columns=list(CELL_COLUMNS)), diameter=6.0)


def make_embeddings(image: SmearImage, cells: Cells, seed: int = 1) -> Embeddings:
    """Three clear clusters: the class of cell ``i`` is ``i % 3``."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(3, INFO.dim)) * 4
    vectors = centres[cells.ids % 3] + rng.normal(size=(len(cells), INFO.dim)) * 0.3
    return Embeddings(cells.ids, vectors.astype(np.float32), INFO, SPEC, image.key)
