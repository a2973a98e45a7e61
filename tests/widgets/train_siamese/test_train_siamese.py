"""The section *Same kind or not*: what it says, what it asks for, and what is remembered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import save_file

from made_up import make_embeddings
from napari_hemacells.core.classify.verification import fit_likeness
from napari_hemacells.core.encode.siamese_header import SiameseHeader
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.params import SiameseParams
from napari_hemacells.core.store import Project
from napari_hemacells.core.train import TrainingReport
from napari_hemacells.core.train.siamese import likeness_store
from napari_hemacells.core.train.siamese.config import LIKENESS, WEIGHTS, SiameseOutcome
from napari_hemacells.session.likeness import learn_likeness, request_likeness
from napari_hemacells.widgets.train_siamese import controller
from napari_hemacells.widgets.train_siamese.controller import TrainSiameseRunner
from napari_hemacells.widgets.train_siamese.panel import TrainSiamesePanel

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 60_000


@pytest.fixture
def panel(qtbot):
    panel = TrainSiamesePanel()
    qtbot.addWidget(panel)
    panel.restyle()
    panel.title.setChecked(True)
    panel.show()
    return panel


@pytest.fixture
def run(session, panel):
    session.set_embeddings(make_embeddings(session.image, session.cells))
    run = TrainSiameseRunner(session, panel, dict, str)
    run.refresh()
    yield run
    run.close()


def annotate(session, kinds=(0, 1), shots=4) -> None:
    for kind in kinds:
        cells = [cell for cell in session.cells.ids.tolist() if cell % 3 == kind][:shots]
        session.annotate(cells, session.palette.ids[kind])


def trained(folder: Path, session, *, network: bool = False) -> Path:
    """Write a folder as ``train siamese`` does, for the encoder in use here."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = session.embeddings.encoder
    kinds = np.repeat(np.arange(4), 5)
    vectors = np.eye(encoder.dim)[kinds]
    vectors += np.random.default_rng(0).normal(0, 0.1, vectors.shape)
    likeness = fit_likeness(vectors, [f"kind {kind}" for kind in kinds], encoder=encoder)
    if network:
        likeness = replace(likeness, encoder_sha256="2" * 64)
        header = SiameseHeader("", "", ("a", "b"), 20, "cells", "2026-01-01", {})
        weights = {"linear.0.weight": np.zeros((1, 1), np.float32)}
        save_file(weights, folder / WEIGHTS, metadata=header.to_metadata())
    replace(likeness, learned_from="trained elsewhere.").save(folder / LIKENESS)
    return folder


def outcome_in(folder: Path) -> SiameseOutcome:
    return SiameseOutcome(
        None, folder / LIKENESS, folder / "report.html", "imagenet", "no <b>blood</b>",
        {"a": 5, "b": 5}, "held-out cells", 0.5, 0.9, 0.1, 0, 1.0, ("A note.",),
    )  # fmt: skip


def test_it_says_what_is_missing_and_what_it_would_learn_from(run, panel, session):
    assert "Annotate two cells or more" in panel.lessons.text()
    assert not panel.start.isEnabled()
    annotate(session)
    run.refresh()
    names = [cell_class.name for cell_class in session.palette.classes[:2]]
    text = f"8 annotated cells of 2 kinds ({names[0]} 4, {names[1]} 4)"
    assert text in panel.lessons.text()
    assert panel.start.isEnabled()
    assert "your annotations" in panel.in_use.text()
    assert not panel.back.isVisible()


def test_the_loss_is_for_networks_alone_and_a_wrong_threshold_is_told(panel):
    started, refused = [], []
    panel.start_requested.connect(started.append)
    panel.refused.connect(refused.append)
    assert not panel.form.container["loss"].enabled
    panel.form.set_values({"network": "head", "threshold": "0.05"})
    assert panel.form.container["loss"].enabled
    panel._start()
    assert (started[0].network, started[0].threshold) == ("head", "0.05")
    panel.form.set_values({"threshold": "some"})
    panel._start()
    assert len(started) == 1
    assert "Threshold" in refused[0]


def test_a_trained_folder_is_copied_used_remembered_and_left_again(run, panel, session, tmp_path):
    annotate(session)
    changed, said = [], []
    run.likeness_changed.connect(lambda: changed.append(1))
    run.said.connect(said.append)
    before = learn_likeness(request_likeness(session))
    run.use_trained(trained(tmp_path / "elsewhere", session))
    project = session.project
    assert project.likeness.parent == project.folder / "siamese"
    assert Project.open(project.folder).likeness == project.likeness
    likeness = learn_likeness(request_likeness(session))
    assert likeness.learned_from == "trained elsewhere."
    assert likeness.kinds_left_out
    assert "trained elsewhere." in panel.in_use.text()
    assert "trained elsewhere." in said[-1]
    panel.back.click()
    assert Project.open(project.folder).likeness is None
    assert learn_likeness(request_likeness(session)).learned_from == before.learned_from
    assert len(changed) == 2
    assert not panel.back.isVisible()


def test_a_network_asks_for_its_encoder_and_back_for_the_one_before(
    run, session, tmp_path, monkeypatch
):
    wanted = []
    run.encoder_requested.connect(wanted.append)
    run.use_trained(trained(tmp_path / "elsewhere", session, network=True))
    assert wanted == [f"siamese:{session.project.likeness / WEIGHTS}"]
    monkeypatch.setattr(session.live, "encoder", wanted[0])  # it has no encoder below it
    run.use_annotations()
    assert wanted[-1] == "bundled"


def test_one_of_another_encoder_or_a_missing_one_is_not_used_and_said(
    run, panel, session, tmp_path
):
    annotate(session)
    run.use_trained(trained(tmp_path / "elsewhere", session))
    encoder = replace(session.embeddings.encoder, sha256="1" * 64)
    session.set_embeddings(replace(session.embeddings, encoder=encoder))
    likeness = learn_likeness(request_likeness(session))
    assert likeness.learned_from.startswith("The chosen likeness is of another encoder")
    assert "8 annotated cells" in likeness.learned_from
    run.refresh()
    assert "Not used now" in panel.in_use.text()
    (session.project.likeness / LIKENESS).unlink()
    assert "missing or damaged" in learn_likeness(request_likeness(session)).learned_from
    run.refresh()
    assert "missing or damaged" in panel.in_use.text()
    assert panel.back.isVisible()


def test_a_folder_of_something_else_is_refused(run, session, tmp_path):
    warnings = []
    run.warning_emitted.connect(warnings.append)
    run.use_trained(tmp_path)
    assert "hemacells train siamese" in warnings[0]
    assert session.project.likeness is None
    assert not list(session.project.folder.glob("siamese/*"))


@pytest.fixture
def child(monkeypatch):
    """A child process that is none: it writes what :func:`trained` does, or fails."""

    class Child:
        fails = False

        def __init__(self, _function, job, **_settings):
            self.job = job

        def reports(self):
            yield TrainingReport(1, 2, "Learning", losses={"total": 0.5})
            if self.fails:
                raise TrainingError("It failed.")
            trained(self.job.out, Child.session)
            return outcome_in(self.job.out)

        def cancel(self):
            pass

    monkeypatch.setattr(controller, "SubprocessJob", Child)
    return Child


def cells_of(session, monkeypatch):
    from napari_hemacells.core.train.siamese import dataset

    def load(project, state, *, opened):
        yield from ()
        labels = tuple("ab"[number % 2] for number in range(len(state.labels)))
        crops = np.zeros((len(labels), 8, 8, 3), np.uint8)
        return dataset.SiameseTrainingSet(crops, labels)

    monkeypatch.setattr(dataset, "load_project_cells_steps", load)


def test_a_training_ends_with_a_question_and_its_answer(
    run, panel, session, child, qtbot, monkeypatch
):
    child.session = session
    annotate(session)
    cells_of(session, monkeypatch)
    run.refresh()
    panel.start.click()
    assert panel.curves is not None
    qtbot.waitUntil(panel.use.isVisible, timeout=PATIENCE)
    assert "AUROC 0.900" in panel.outcome.text()
    assert "no &lt;b&gt;blood" in panel.outcome.text()
    assert "A note." in panel.outcome.text()
    assert not panel.start.isVisible()
    folder = run._waiting[1].likeness.parent
    assert not (folder / "training").exists()
    panel.use.click()
    assert session.project.likeness == folder
    assert panel.start.isVisible()
    panel.start.click()
    qtbot.waitUntil(panel.use.isVisible, timeout=PATIENCE)
    second = run._waiting[1].likeness.parent
    panel.drop.click()
    assert not second.exists()
    assert session.project.likeness == folder


def test_a_training_that_fails_leaves_nothing(run, panel, session, child, qtbot, monkeypatch):
    child.session, child.fails = session, True
    annotate(session)
    cells_of(session, monkeypatch)
    warnings = []
    run.warning_emitted.connect(warnings.append)
    run.start(SiameseParams())
    qtbot.waitUntil(lambda: bool(warnings), timeout=PATIENCE)
    assert warnings == ["It failed."]
    assert not list(session.project.folder.glob("siamese/*"))
    assert panel.start.isVisible()


def test_what_did_not_end_is_swept_away(session, tmp_path):
    unfinished = session.project.folder / "siamese" / "20260101-000000-000000"
    (unfinished / "training").mkdir(parents=True)
    session.set_embeddings(make_embeddings(session.image, session.cells))
    finished = trained(session.project.folder / "siamese" / "20260102-000000-000000", session)
    likeness_store.remove_unfinished(session.project)
    assert not unfinished.exists()
    assert finished.exists()


def test_a_project_names_no_likeness_outside_itself(session, tmp_path):
    with pytest.raises(ValueError, match="subpath"):
        session.project.choose_likeness(tmp_path.parent)


def test_another_training_is_waited_for(session, panel):
    session.set_embeddings(make_embeddings(session.image, session.cells))
    annotate(session)
    run = TrainSiameseRunner(session, panel, dict, lambda: "The detector is being trained.")
    run.refresh()
    assert panel.lessons.text() == "The detector is being trained."
    assert not panel.start.isEnabled()
    run.close()
