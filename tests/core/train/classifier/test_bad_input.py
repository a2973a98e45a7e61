"""What cannot be learned from, or ends before its time: a sentence, and nothing is harmed."""

from __future__ import annotations

import csv
import errno
import hashlib
import os
import signal
import sys

import pytest
import torch

from made_up_discs import add_discs
from napari_hemacells.core.errors import StorageError, TrainingError
from napari_hemacells.core.train import SubprocessJob
from napari_hemacells.core.train.callbacks import CHECKPOINT
from napari_hemacells.core.train.classifier.learner import ClassifierTrainStep
from napari_hemacells.core.train.classifier.pipeline import train, train_steps


def contents(folder):
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def table(discs, group_of):
    """Name every disc with a group in a table of its own."""
    file = discs.parent / "cells.csv"
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("path", "label", "patient"))
        for picture in sorted(discs.glob("*/*.png")):
            label = picture.parent.name
            rows.writerow((picture, label, group_of(label, int(picture.stem))))
    return file


def messages(steps):
    said = []
    while True:
        try:
            said.append(next(steps).message)
        except StopIteration:
            return said


def kill_after(run, checks):
    """End a training's process from outside after so many looks at the validation part."""
    seen = set()
    for report in run.reports():  # one that is silent for a while tells its last report again
        seen |= {report.done} if report.metrics else set()
        if len(seen) == checks:
            os.kill(run.pid, signal.SIGKILL)


def test_one_class_is_refused(job, tmp_path):
    add_discs(tmp_path / "one", "red", 8)
    with pytest.raises(TrainingError, match=r"Two classes are needed.*“red”.*annotate"):
        train(job(source=tmp_path / "one"))


def test_a_class_with_one_picture_is_refused(job, discs):
    add_discs(discs, "green", 1)
    with pytest.raises(TrainingError, match=r"“green” has only one picture.*Add pictures"):
        train(job())


def test_a_class_of_one_patient_is_refused_unless_groups_are_ignored(job, discs):
    source = table(discs, lambda label, n: "p0" if label == "red" else f"p{n % 4}")
    with pytest.raises(TrainingError, match=r"“red” come from one group \(p0\)"):
        train(job(source=source))
    done = train(job("again", source=source, ungrouped=True, epochs=0))
    assert "ungrouped" in done.split
    assert any("ignores patients and slides" in one for one in done.notes)


def test_nothing_but_broken_files_is_refused(job, tmp_path):
    for name in ("red", "violet"):
        (tmp_path / "broken" / name).mkdir(parents=True)
        for n in range(3):
            (tmp_path / "broken" / name / f"{n}.png").write_bytes(b"no picture")
    with pytest.raises(TrainingError, match=r"No picture in .* can be read"):
        train(job(source=tmp_path / "broken"))


def test_a_loss_that_is_no_number_leaves_the_pictures_and_no_model(job, discs, monkeypatch):
    before = contents(discs)

    def broken(self, places, feed):
        return torch.tensor(float("nan"), requires_grad=True)

    monkeypatch.setattr(ClassifierTrainStep, "loss", broken)
    given = job()
    with pytest.raises(TrainingError, match=r"not a number any more.*--rate"):
        train(given)
    assert contents(discs) == before
    assert not (given.folder / "model").exists()


def test_a_disk_that_fills_up_keeps_the_checkpoint_before(job, monkeypatch):
    honest, saved = torch.save, []

    def full(state, stream, *more, **options):
        saved.append(1)
        if len(saved) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        honest(state, stream, *more, **options)

    given = job(epochs=4)
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StorageError, match=r"checkpoint\.pt.*not saved"):
        train(given)
    monkeypatch.setattr(torch, "save", honest)
    assert (given.folder / CHECKPOINT).is_file()
    assert any(one.startswith("Going on after") for one in messages(train_steps(given)))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_killed_child_is_told_and_gone_on_with(job, discs):
    before = contents(discs)
    given = job(epochs=400, schedule="constant", rate=1e-3)
    with pytest.raises(TrainingError, match=r"memory was full.*last checkpoint"):
        kill_after(SubprocessJob(train_steps, given, threads=1), checks=4)
    assert contents(discs) == before
    assert not (given.folder / "model").exists()
    steps = train_steps(given)
    said = [next(steps).message for _ in range(4)]
    steps.close()
    assert any(one.startswith("Going on after") for one in said)
