"""Class folders teach instead of the annotated cells: counted, said, trained on, put back."""

from __future__ import annotations

from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image

from made_up import make_embeddings
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train import SubprocessJob, TrainingReport
from napari_hemacells.core.train.classifier import ClassifierConfig, model_store
from napari_hemacells.core.train.classifier.pipeline import prepare_steps
from napari_hemacells.core.types import CropSpec
from napari_hemacells.core.types.progress import run_to_end
from napari_hemacells.widgets.finetune import controller
from napari_hemacells.widgets.finetune.controller import FineTuneRunner
from napari_hemacells.widgets.finetune.panel import FineTunePanel

WAIT = 60_000


def class_folders(folder, each):
    """Write pictures of two classes, so many of each."""
    rng = np.random.default_rng(each)
    for name in ("lymphocyte", "monocyte"):
        (folder / name).mkdir(parents=True)
        for place in range(each):
            pixels = rng.integers(0, 255, (24, 24, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{place}.png")
    return folder


@pytest.fixture
def panel(qtbot):
    panel = FineTunePanel()
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def run(session, panel):
    def embed(_project, image, cells):
        def steps():
            yield TrainingReport(0, 1)
            return make_embeddings(image, cells)

        return steps

    run = FineTuneRunner(session, panel, dict, embed)
    run.preparation.forecast.ask = MagicMock()  # no timing of networks here
    run.preparation.beginning.ask = MagicMock()
    panel.open(opened=True)
    yield run
    run.close()


def chosen(run, folder, qtbot):
    """Choose class folders, as the dialog would."""
    with qtbot.waitSignal(run.preparation.folders.changed, timeout=WAIT):
        run.preparation.folders.read(folder)


def test_folders_are_counted_and_said(run, panel, tmp_path, qtbot):
    chosen(run, class_folders(tmp_path / "PBC", 5), qtbot)
    assert panel.lessons.text() == (
        "10 pictures of the class folders in “PBC”: 5 lymphocyte, 5 monocyte."
    )
    assert panel.split.text() == "About one picture in 5 is held out."
    assert panel.start.isEnabled()
    panel.form.recipe.setCurrentIndex(panel.form.recipe.findData("five-shot"))
    assert panel.split.text() == (
        "About one picture in 5 is held out. Of the rest, 5 of each class teach; the others test."
    )
    panel.folders.click()  # the annotated cells again
    assert "class folders" not in panel.lessons.text()


def test_own_parts_are_said_to_be_used(run, panel, tmp_path, qtbot):
    for part, each in (("train", 4), ("valid", 2), ("test", 3)):
        class_folders(tmp_path / "set" / part, each)
    chosen(run, tmp_path / "set", qtbot)
    assert panel.split.text() == (
        "Its own folders are used as they are: 8 to learn from, 4 to choose by, 6 to test with."
    )
    panel.form.recipe.setCurrentIndex(panel.form.recipe.findData("five-shot"))
    assert panel.split.text().endswith(
        " Of those to learn from, 5 of each class teach; the others are not used."
    )


def test_other_folder_is_refused_and_the_cells_teach_on(run, panel, tmp_path, qtbot):
    (tmp_path / "empty").mkdir()
    with qtbot.waitSignal(run.warning_emitted, timeout=WAIT):
        run.preparation.folders.read(tmp_path / "empty")
    assert run.preparation.folders.chosen is None


def test_start_trains_on_the_folders_and_their_parts(
    run, panel, session, tmp_path, monkeypatch, qtbot
):
    made = {}

    def child(_job, params, *, threads):
        made["job"] = params
        fake = MagicMock(spec=SubprocessJob)
        fake.reports.side_effect = refusing
        return fake

    def refusing():
        yield TrainingReport(1, 2, "epoch", phase="train")
        raise TrainingError("Enough of it.")

    monkeypatch.setattr(controller, "SubprocessJob", child)
    for part, each in (("train", 4), ("valid", 2), ("test", 3)):
        class_folders(tmp_path / "set" / part, each)
    chosen(run, tmp_path / "set", qtbot)
    panel.form.arch.setCurrentText("test_resnet")
    panel.form.scratch.setChecked(True)
    with qtbot.waitSignal(run.warning_emitted, timeout=WAIT):
        panel.start.click()
    job = made["job"]
    assert (job.source, job.spec) == (tmp_path / "set", None)
    assert job.folder.parent == session.project.folder / "models"
    assert job.command.startswith(f"hemacells train {tmp_path / 'set'} ")
    prepared = run_to_end(prepare_steps(job))
    assert [prepared.split.parts.count(part) for part in ("train", "validation", "test")] == [
        8, 4, 6,
    ]  # fmt: skip


def test_cells_keep_the_parts_of_their_last_training_not_of_class_folders(session, tmp_path):
    models = session.project.folder / "models"
    of_cells, of_folders, new = (models / f"classifier-2026010{n}-030405" for n in (1, 2, 3))
    for folder in (of_cells, of_folders, new):
        folder.mkdir(parents=True)
    model_store.save_job(of_cells, ClassifierConfig(), "quick", CropSpec(16))
    model_store.save_job(of_folders, ClassifierConfig(), "quick", None, tmp_path)
    (of_cells / "split.json").write_text("cells")
    (of_folders / "split.json").write_text("folders")
    model_store.save_job(new, ClassifierConfig(), "quick", CropSpec(16))
    assert (new / "split.json").read_text() == "cells"
    job = model_store.load_job(of_folders, session.palette)
    assert (job.source, job.spec) == (tmp_path, None)


@pytest.fixture
def without_project(empty_session, panel, monkeypatch, tmp_path):
    """The page before anything is open; projects are written into a temporary folder."""
    root = tmp_path / "projects"
    monkeypatch.setattr("napari_hemacells.core.store.projects_root", lambda: root)
    run = FineTuneRunner(empty_session, panel, dict, MagicMock())
    run.preparation.forecast.ask = MagicMock()
    run.preparation.beginning.ask = MagicMock()
    panel.open(opened=True)
    yield run
    run.close()


def test_class_folders_have_a_project_of_their_own(
    without_project, empty_session, panel, tmp_path, qtbot
):
    assert "train on class folders" in panel.forecast.text()
    folder = class_folders(tmp_path / "PBC", 5)
    chosen(without_project, folder, qtbot)
    session = empty_session
    assert session.project.name == "PBC"
    assert [one.name for one in session.palette] == ["lymphocyte", "monocyte"]
    assert panel.start.isEnabled()
    where = session.project.folder
    session.close()
    session.open_folder_project(folder, ["lymphocyte"])  # opened again, not made anew
    assert (session.project.folder, len(session.palette)) == (where, 2)
