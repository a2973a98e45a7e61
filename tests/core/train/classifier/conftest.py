"""Small coloured discs in class folders, and a recipe that learns them in a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from made_up_discs import SMALL, add_discs
from napari_hemacells.core.train.classifier import ClassifierConfig
from napari_hemacells.core.train.classifier.training import TrainJob

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    """Sixteen discs of two colours each."""
    for name in ("red", "violet"):
        add_discs(tmp_path / "discs", name, 16)
    return tmp_path / "discs"


@pytest.fixture
def job(discs: Path, tmp_path: Path) -> Callable[..., TrainJob]:
    """A job on the discs, with some of the recipe changed."""

    def make(folder: str = "run", source: Path = discs, **changes: Any) -> TrainJob:
        return TrainJob(
            source, tmp_path / folder, ClassifierConfig(**{**SMALL, **changes}), "discs"
        )

    return make
