"""A process that annotates in a loop is killed with signal 9: what it said is on the disk."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from napari_hemacells.core.annotate import SetLabels, open_history
from napari_hemacells.core.types import CellRef

if sys.platform == "win32":
    pytest.skip("signal 9 is a POSIX signal", allow_module_level=True)

CHILD = """
import itertools, pathlib, sys
from napari_hemacells.core.annotate import SetLabels, open_history
from napari_hemacells.core.types import CellRef

history = open_history(pathlib.Path(sys.argv[1]), "ann")
for number in itertools.count(1):
    history.do(SetLabels(((CellRef("img", number), 1.0, 2.0),), "wbc", "ann"))
    print(number, flush=True)
"""


@pytest.mark.parametrize("clicks", [1, 37, 200])
def test_every_acknowledged_click_survives_kill_9(tmp_path, clicks):
    path = tmp_path / "journal.jsonl"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True
    )
    acknowledged = 0
    while acknowledged < clicks:
        acknowledged = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read()
    assert child.wait() == -signal.SIGKILL
    # A last number without its line end was torn by the kill and acknowledges nothing.
    acknowledged += rest.count("\n")
    history = open_history(path, "ann")
    found = sorted(history.state.of_image("img"))
    assert found in (list(range(1, acknowledged + 1)), list(range(1, acknowledged + 2)))
    history.do(_another(acknowledged + 5))
    assert len(history.state.labels) == len(found) + 1
    history.close()


def _another(number):
    return SetLabels(((CellRef("img", number), 1.0, 2.0),), "rbc", "ann")
