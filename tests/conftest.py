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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Turn a skipped real-data test into a failure where the real data is there."""
    report = yield
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and item.get_closest_marker("realdata") and _find_shared_data():
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped although the real data is there"
    return report
