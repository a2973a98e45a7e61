"""A picture of four discs, made by hand: every number in these tests can be checked on paper."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_hemacells.core.annotate import Annotation, default_palette
from napari_hemacells.core.types import (
    CELL_COLUMNS,
    Cells,
    CropSpec,
    EncoderInfo,
    Prediction,
    SmearImage,
)

KEY = "0123456789abcdef"
WHEN = "2026-01-02T03:04:05+00:00"


@pytest.fixture
def image():
    pixels = np.full((40, 60, 3), 230, dtype=np.uint8)
    pixels[5:15, 5:15] = (200, 120, 130)
    return SmearImage(pixels, KEY, "field", pixel_size_um=0.1)


@pytest.fixture
def cells():
    labels = np.zeros((40, 60), dtype=np.int32)
    boxes = {2: (5, 5, 15, 15), 3: (5, 30, 15, 40), 7: (25, 5, 35, 15), 9: (20, 40, 40, 60)}
    rows = []
    for cell, (top, left, bottom, right) in boxes.items():
        labels[top:bottom, left:right] = cell
        centre = ((top + bottom - 1) / 2, (left + right - 1) / 2)
        area = (bottom - top) * (right - left)
        kind = "WBC" if cell == 9 else "RBC"
        rows.append((cell, kind, 0.1 + cell / 30, *centre, top, left, bottom, right, area))
    return Cells(labels, pd.DataFrame(rows, columns=list(CELL_COLUMNS)), diameter=10.0)


@pytest.fixture
def no_cells():
    kinds = dict.fromkeys(CELL_COLUMNS, "int64") | {"class": "str"}
    kinds |= dict.fromkeys(["score", "row", "col"], "float64")
    table = pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in kinds.items()})
    return Cells(np.zeros((40, 60), dtype=np.int32), table, diameter=10.0)


@pytest.fixture
def palette():
    return default_palette()


@pytest.fixture
def annotations():
    return {3: Annotation("platelets", 9.5, 34.5, "ann", WHEN)}


@pytest.fixture
def prediction():
    probabilities = np.array(
        [[0.8, 0.1, 0.1], [0.5, 0.3, 0.2], [0.25, 0.25, 0.5], [0.1, 0.9, 0.0]], dtype=np.float32
    )
    ids = np.array([2, 3, 7, 9])
    return Prediction(ids, ("rbc", "wbc", "platelets"), probabilities, "linear head")


@pytest.fixture
def no_prediction():
    nothing = np.zeros((0, 3), dtype=np.float32)
    return Prediction(np.zeros(0, dtype=np.int64), ("rbc", "wbc", "platelets"), nothing, "none")


@pytest.fixture
def spec():
    return CropSpec(size=32, context=1.5)


@pytest.fixture
def encoder():
    return EncoderInfo("tiny", "ab" * 32, 4, {"mean": 0.5, "std": 0.5}, "ImageNet")
