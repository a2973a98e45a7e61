"""Crops of two kinds of discs on glass, and a tiny encoder from nothing."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.encode import registry
from napari_hemacells.core.train.selfsupervised.dataset import AdaptTrainingSet, LabelledCrops

BASE = "untrained:test_vit?size=32"


def discs(count, colour, seed):
    """``(count, 32, 32, 3)`` discs of about that colour, of several sizes."""
    random = np.random.default_rng(seed)
    rows, cols = np.indices((32, 32))
    crops = np.full((count, 32, 32, 3), 235.0)
    for crop in crops:
        radius = random.uniform(7, 12)
        crop[np.hypot(rows - 15.5, cols - 15.5) < radius] = colour + random.normal(0, 10, 3)
    return (crops + random.normal(0, 5, crops.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def material():
    """40 crops without labels, and four clicks of each of two classes."""
    red, violet = np.array([200, 80, 90]), np.array([90, 40, 150])
    crops = np.concatenate([discs(20, red, 0), discs(20, violet, 1)])
    clicked = np.concatenate([discs(4, red, 2), discs(4, violet, 3)])
    return AdaptTrainingSet(
        crops, LabelledCrops(clicked, ("red",) * 4 + ("violet",) * 4), ("one", "two")
    )


@pytest.fixture(autouse=True)
def no_shelf(tmp_path, monkeypatch):
    """Nothing of the user's is read or written."""
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name: str(tmp_path / "data"))
    registry._load_cached.cache_clear()
