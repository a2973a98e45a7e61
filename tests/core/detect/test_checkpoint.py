"""What is interrupted goes on where it stopped; what is damaged is computed again."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest

from napari_hemacells.core.detect import detect_steps, pipeline
from napari_hemacells.core.detect.checkpoint import PLAN_FILE, remove_checkpoint
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.image import image_from_array
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types.progress import run_to_end
from napari_hemacells.samples.smear import synthetic_smear

PARAMS = DetectParams(method="classical", cell_diameter=24)
TILE = 96
CHILD = """
import sys
import numpy as np
from pathlib import Path
from napari_hemacells.core.detect import detect_steps
from napari_hemacells.core.image import image_from_array
from napari_hemacells.core.params import DetectParams
image = image_from_array(np.load(sys.argv[1]), "smear")
params = DetectParams(method="classical", cell_diameter=24)
for report in detect_steps(image, params, tile=int(sys.argv[3]), resume=Path(sys.argv[2])):
    print("part" if report.found is not None else "step", flush=True)
"""


@pytest.fixture(scope="module")
def smear():
    return image_from_array(synthetic_smear(4, (260, 340), diameter=24).image, "smear")


@pytest.fixture(scope="module")
def uninterrupted(smear):
    return run_to_end(detect_steps(smear, PARAMS, tile=TILE))


@pytest.fixture
def computed(monkeypatch):
    """The indices of the parts that are computed, as they are."""
    seen, really = [], pipeline.detect_part_steps

    def watched(image, plan, part, **options):
        seen.append(part.index)
        return really(image, plan, part, **options)

    monkeypatch.setattr(pipeline, "detect_part_steps", watched)
    return seen


def same(one, other) -> bool:
    return one.table.equals(other.table) and np.array_equal(one.labels, other.labels)


def stopped_after(image, parts: int, folder, params=PARAMS) -> None:
    steps = detect_steps(image, params, tile=TILE, resume=folder)
    while parts:
        parts -= next(steps).found is not None
    steps.close()


def test_a_killed_process_loses_at_most_the_part_it_was_at(
    smear, uninterrupted, computed, tmp_path
):
    np.save(tmp_path / "smear.npy", smear.pixels)
    folder = tmp_path / "resume"
    command = [sys.executable, "-c", CHILD, tmp_path / "smear.npy", folder, str(TILE)]
    done = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            done += line.strip() == "part"
            if done == 3:
                child.send_signal(signal.SIGKILL)
                break
    assert child.returncode == -signal.SIGKILL
    kept = {int(file.stem.split("-")[1]) for file in folder.glob("part-*.npz")}
    assert {0, 1, 2} <= kept
    cells = run_to_end(detect_steps(smear, PARAMS, tile=TILE, resume=folder))
    assert same(cells, uninterrupted)
    assert kept.isdisjoint(computed)
    assert computed


def test_a_part_that_was_being_written_is_computed_again(smear, uninterrupted, computed, tmp_path):
    stopped_after(smear, 4, tmp_path)
    whole = (tmp_path / "part-00002.npz").read_bytes()
    (tmp_path / "part-00002.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "part-00001.npz").write_bytes(b"")
    (tmp_path / ".part-00005.npz.1.part").write_bytes(whole[:100])
    computed.clear()
    assert same(run_to_end(detect_steps(smear, PARAMS, tile=TILE, resume=tmp_path)), uninterrupted)
    assert computed[:2] == [1, 2]
    assert not {0, 3} & set(computed)


def test_what_is_done_is_read_back(smear, uninterrupted, computed, tmp_path):
    run_to_end(detect_steps(smear, PARAMS, tile=TILE, resume=tmp_path))
    computed.clear()
    assert same(run_to_end(detect_steps(smear, PARAMS, tile=TILE, resume=tmp_path)), uninterrupted)
    assert computed == []


def test_another_plan_starts_anew(smear, computed, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    stopped_after(smear, 3, tmp_path)
    computed.clear()
    more = DetectParams(method="classical", cell_diameter=24, sensitivity=0.6)
    stopped_after(smear, 1, tmp_path, more)
    assert computed[0] == 0
    assert [file.name for file in tmp_path.glob("part-*")] == ["part-00000.npz"]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_forgetting_leaves_other_files_alone(smear, tmp_path):
    folder = tmp_path / "resume"
    stopped_after(smear, 1, folder)
    assert (folder / PLAN_FILE).exists()
    remove_checkpoint(folder)
    assert not folder.exists()
    remove_checkpoint(folder)
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    stopped_after(smear, 1, folder)
    remove_checkpoint(folder)
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_written_is_told(smear, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be kept"):
        run_to_end(detect_steps(smear, PARAMS, tile=TILE, resume=tmp_path / "file"))
