"""The command that kills saving at each step finds nothing lost and nothing left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("signal 9 is a POSIX signal", allow_module_level=True)

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "kill_saves.py"


def test_no_save_is_lost_however_it_ends(tmp_path):
    result = tmp_path / "kills.json"
    ended = subprocess.run(
        [sys.executable, SCRIPT, "--random", "3", "--json", result],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    table = json.loads(result.read_text())
    assert {row["kind"] for row in table} >= {"model", "project.json", "click", "cells", "Save as"}
    assert all(row["losses"] == row["leftovers"] == 0 for row in table)
    assert all(row["runs"] > 1 for row in table)
    steps = {row["kind"]: row["runs"] for row in table if row["ended_by"] == "kill at each step"}
    assert steps["model"] > 10
