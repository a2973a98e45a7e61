"""Fixtures that every ring of tests shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _find_shared_data() -> Path | None:
    named = os.environ.get("HEMACELLS_DATA")
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    for folder in filter(None, [named, beside]):
        if Path(folder).is_dir():
            return Path(folder)
    return None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The shared real data sets; a test that needs them is skipped only where there are none."""
    folder = _find_shared_data()
    if folder is None:
        pytest.skip("no real data here: set HEMACELLS_DATA or put it at ../shared/data")
    return folder
