"""Where the answers of Cell Spotting are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cell_spotting(shared_data: Path) -> Path:
    return shared_data / "cell_spotting" / "task_runs.csv"
