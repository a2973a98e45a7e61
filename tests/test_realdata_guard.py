"""A real-data test must not be skipped where the data is: the guard in ``conftest.py``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INNER = """
import pytest

@pytest.mark.realdata
def test_real(shared_data):
    if not (shared_data / "set").is_dir():
        pytest.skip("that set is not here")

def test_other():
    pytest.skip("for another reason")
"""


def _outcome(folder: Path, data: Path) -> str:
    tests = folder / "nested" / "tests"
    tests.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("conftest.py"), tests / "conftest.py")
    (tests / "test_inner.py").write_text(INNER)
    (folder / "nested" / "pytest.ini").write_text("[pytest]\nmarkers = realdata\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "."],
        cwd=folder / "nested",
        env={**os.environ, "HEMACELLS_DATA": str(data)},
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("folders", "outcome"),
    [
        ([], "2 skipped"),
        (["data"], "1 failed, 1 skipped"),
        (["data", "data/set"], "1 passed, 1 skipped"),
    ],
    ids=["no-data", "set-missing", "complete"],
)
def test_a_skip_is_a_failure_where_the_data_is(
    tmp_path: Path, folders: list[str], outcome: str
) -> None:
    for name in folders:
        (tmp_path / name).mkdir()
    assert _outcome(tmp_path, tmp_path / "data").startswith(outcome)
