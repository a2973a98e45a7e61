"""A script that ends while workers are at work ends quietly."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import time

from qtpy.QtWidgets import QApplication

app = QApplication([])
from napari_hemacells.widgets.background.workers import JobRunner

jobs = JobRunner()


def steps():
    print("started", flush=True)
    for _ in range(100):
        time.sleep(0.02)
        yield None


jobs.start("rank", steps)
until = time.monotonic() + 0.3
while time.monotonic() < until:
    app.processEvents()
    time.sleep(0.01)
print("left", flush=True)
"""

DOCK = """
import sys
from pathlib import Path

from qtpy.QtWidgets import QApplication

app = QApplication([])
from napari.components import ViewerModel

from napari_hemacells.widgets import HemaCellsWidget

widget = HemaCellsWidget(ViewerModel())
widget.show()
app.processEvents()
if "close" in sys.argv:
    widget.controller.close()
print("left", flush=True)
"""


def run(script: str, *given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *given],
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_workers_end_before_their_objects():
    done = run(SCRIPT)
    assert done.stdout.split() == ["started", "left"]
    assert "deleted" not in done.stderr
    assert done.returncode == 0, done.stderr


def test_a_dock_that_nobody_closed_is_closed_before_qt_deletes_its_timers():
    for given in ((), ("close",)):
        done = run(DOCK, *given)
        assert done.stdout.split() == ["left"]
        assert "deleted" not in done.stderr
        assert done.returncode == 0, done.stderr
