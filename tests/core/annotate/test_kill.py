"""A process that annotates in a loop is killed with signal 9: what it said is on the disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

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
    found = sorted(history.state.annotations_of_image("img"))
    assert found in (list(range(1, acknowledged + 1)), list(range(1, acknowledged + 2)))
    history.do(_another(acknowledged + 5))
    assert len(history.state.labels) == len(found) + 1
    history.close()


def _another(number):
    return SetLabels(((CellRef("img", number), 1.0, 2.0),), "rbc", "ann")


CORRECTS = """
import itertools, pathlib, sys
import numpy as np
from made_up import make_cells, make_image
from napari_hemacells.core.detect.proposal import Proposal, mask_in_window
from napari_hemacells.core.store import Project
from napari_hemacells.session import Session

session = Session("ann")
session.use_project(Project.create(pathlib.Path(sys.argv[1])))
session.show_image(make_image())
session.set_cells(make_cells(30))
dice = np.random.default_rng(0)
for number in itertools.count(1):
    row, col = int(dice.integers(49, 60)), int(dice.integers(0, 60))
    mask = mask_in_window(np.ones((3, 3), bool), (slice(row, row + 3), slice(col, col + 3)))
    last = session.add_cell(row, col, None, Proposal("RBC", 0.5, mask.box, mask, "disc"))
    print(last, flush=True)
    session.delete_cells([last])
    print(-last, flush=True)
"""


@pytest.mark.parametrize("steps", [3, 40])
def test_every_correction_survives_kill_9(tmp_path, steps):
    from made_up import make_image
    from napari_hemacells.core.store import Project, corrected_cells

    tests = str(Path(__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-c", CORRECTS, str(tmp_path / "project")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([tests, *sys.path])},
    )
    told = [int(child.stdout.readline()) for _ in range(steps)]
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read()
    told += [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    assert child.wait() == -signal.SIGKILL
    cells = corrected_cells(Project.open(tmp_path / "project"), make_image().key)
    by_hand = set(cells.ids.tolist()) - set(range(1, 31))
    last = told[-1]  # told when it was on disk; one more step may be on disk and untold
    assert by_hand in (({last}, set()) if last > 0 else (set(), {-last + 1}))
    assert len(cells) == 30 + len(by_hand)
