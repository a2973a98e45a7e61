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


DELETED = """
import gc

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

app = QApplication([])
from napari.components import ViewerModel
from qtpy import API_NAME

from napari_hemacells.widgets import HemaCellsWidget

if API_NAME == "PyQt6":
    from PyQt6.sip import delete
else:
    from shiboken6 import delete

widget = HemaCellsWidget(ViewerModel())
timers = [thing for thing in gc.get_objects() if isinstance(thing, QTimer)]
print(len(timers) > 5)
for timer in timers:
    delete(timer)
widget.controller.close()
print("left", flush=True)
"""


def test_timers_that_qt_has_deleted_first_are_no_abort():
    """Of every part of the dock: the order in which Qt ends its objects is its own."""
    done = run(DELETED)
    assert done.stdout.split() == ["True", "left"], done.stderr[-2000:]
    assert done.returncode == 0, done.stderr[-2000:]
