"""A small encoder that counts its crops, and cells on noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_hemacells.core.image import image_from_array
from napari_hemacells.core.types import BOX_COLUMNS, Cells, EncoderInfo


class CountingEncoder:
    """Mean and deviation of each colour; remembers how many crops it was given."""

    info = EncoderInfo("fake", "0" * 64, 6, {"mean": [0.5] * 3, "std": [0.5] * 3})
    device = "cpu"

    def __init__(self):
        self.encoded = 0

    def encode(self, crops):
        self.encoded += len(crops)
        values = crops.reshape(len(crops), -1, 3).astype(np.float32)
        return np.concatenate([values.mean(axis=1), values.std(axis=1)], axis=1)


@pytest.fixture
def encoder():
    return CountingEncoder()


@pytest.fixture
def tight_encoder():
    """One that has room for two crops at once, as a network on a small GPU."""
    tight = CountingEncoder()
    tight.largest_batch = 2
    return tight


@pytest.fixture
def image():
    pixels = np.random.default_rng(2).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    return image_from_array(pixels, "noise")


@pytest.fixture
def cells(image):
    corners = np.random.default_rng(3).integers(0, 50, (7, 2))
    table = pd.DataFrame(np.hstack([corners, corners + 9]), columns=BOX_COLUMNS)
    table.insert(0, "label", np.arange(7) * 2 + 1)
    table["row"], table["col"] = corners[:, 0] + 4.5, corners[:, 1] + 4.5
    return Cells(np.zeros(image.shape, np.int32), table, 9.0)
