from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest


@pytest.fixture
def small_is_tiny(monkeypatch):
    """Make images of more than 2,000 pixels large ones: tests of lazy reading are quick."""
    for module in ("content_hash", "from_array", "tiff"):
        monkeypatch.setattr(
            import_module(f"napari_hemacells.core.image.{module}"), "MAX_IN_MEMORY_PIXELS", 2000
        )


@pytest.fixture
def picture():
    return np.random.default_rng(3).integers(0, 256, (90, 130, 3), dtype=np.uint8)
