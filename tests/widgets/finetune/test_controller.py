"""Session ↔ fine-tuning: what starts it, what comes back, what is kept, what nothing touches."""

from __future__ import annotations

import json
from dataclasses import replace
from unittest.mock import MagicMock

import numpy as np
import pytest

from made_up import INFO, make_cells, make_embeddings, make_image
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.evaluate.classification_metrics import compute_classification_metrics
from napari_hemacells.core.store import save_bundle
from napari_hemacells.core.train import SubprocessJob, TrainingReport
from napari_hemacells.core.train.classifier import ClassifierConfig, model_store
from napari_hemacells.core.train.classifier.artifacts import (
    ClassifierTrainingOutcome,
    write_csv,
    write_json,
)
from napari_hemacells.core.train.classifier.estimate import (
    MeasuredThroughput,
    augmented_views,
    estimated_seconds,
)
from napari_hemacells.core.types import CellRef, CropSpec
from napari_hemacells.session import run_classification
from napari_hemacells.widgets.finetune import controller
from napari_hemacells.widgets.finetune.controller import FineTuneRunner
from napari_hemacells.widgets.finetune.panel import FineTunePanel
from napari_hemacells.widgets.finetune.steps import (
    FineTuneResult,
    NewModelPrediction,
    read_training_steps,
    subsample_cells,
)
from napari_hemacells.widgets.training.steps import throttle_reports

OWN = replace(INFO, name="finetuned.tiny", sha256="f" * 64)


@pytest.fixture
def panel(qtbot):
    panel = FineTunePanel()
    qtbot.addWidget(panel)
    return panel


def embed(_project, image, cells):
    """A stand-in for the network, in whatever thread."""

    def steps():
        yield TrainingReport(0, 1)
        return make_embeddings(image, cells)

    return steps


@pytest.fixture
def run(session, panel):
    run = FineTuneRunner(session, panel, lambda: {session.image.key: session.image}, embed)
    run.preparation.forecast.ask = MagicMock()  # no timing of networks here
    panel.open(opened=True)
    yield run
    run.close()


@pytest.fixture
def annotated(session, classify):
    """Twelve cells of three classes, and a classifier of clicks."""
    for column, class_id in enumerate(session.palette.ids[:3]):
        session.annotate([cell for cell in range(1, 13) if cell % 3 == column], class_id)
    classify()
    return session


def finish(session, *, stem="classifier-20260102-030405"):
    """Write what a training leaves: a bundle, figures, and what it says of four held-out cells."""
    folder = session.project.folder / "models" / stem
    folder.mkdir(parents=True)
    names = {one.id: one.name for one in session.palette}
    bundle = replace(
        session.make_bundle("tiny"), encoder=OWN, encoder_tensors={"w": np.ones(2, np.float32)}
    )
    save_bundle(folder / "model", bundle)
    classes = tuple(sorted(names[one] for one in bundle.head.class_ids))
    rows, split = [], []
    for ref, said in session.class_of_cell().items():
        path, part = f"{names[said]}/{ref.image_key}-{ref.cell}.png", "train"
        if ref.cell > 8:
            part, shares = "validation", [0.8 if one == names[said] else 0.1 for one in classes]
            rows.append((path, path, names[said], names[said], 0.8, 0.2, *shares))
        split.append((path, names[said], "", "", part))
    heading = ("name", "path", "label", "predicted", "confidence", "loss")
    write_csv(folder / "validation.csv", (*heading, *(f"p_{one}" for one in classes)), rows)
    write_csv(folder / "split.csv", ("path", "label", "group", "digest", "part"), split)
    truth = np.array([classes.index(row[2]) for row in rows])
    told = np.array([row[6:] for row in rows], dtype=float)
    write_json(
        folder / "figures.json",
        {"validation": compute_classification_metrics(truth, told, classes)},
    )
    write_json(folder / "run.json", {"counts": {"a": 12}, "notes": ["A note."]})
    model_store.save_job(folder, ClassifierConfig(), "quick", CropSpec(16))
    return folder


def outcome_of(folder) -> ClassifierTrainingOutcome:
    return ClassifierTrainingOutcome(
        folder, folder / "model", {}, (), (), (), 1, 1.0, "bundled", "split"
    )


def end(run, session, qtbot):
    """Let a training end without running one, up to the question what to do with it."""
    folder = finish(session)
    run._project, run._folder, run.preparation.idle = session.project, folder, False
    run._trained = FineTuneResult(outcome_of(folder))
    run.result = next_of(read_training_steps(folder))
    run._panel.result.show_findings(run.result.findings, report=False)
    after = replace(
        session.prediction,
        probabilities=np.roll(session.prediction.probabilities, 1, axis=1),
        is_unknown=None,
    )
    key = session.image.key
    before = {CellRef(key, cell): cell != 9 for cell in (9, 10, 11, 12)}
    run._compared(NewModelPrediction(key, after, before))
    return folder


def next_of(steps):
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


# --- before --------------------------------------------------------------------------------------


def test_start_waits_for_two_classes_with_two_cells(run, panel, session):
    assert "at least two classes" in panel.start.toolTip()
    first, second = session.palette.ids[:2]
    session.annotate([1, 2], first)
    session.annotate([3], second)
    assert "one annotated cell" in panel.start.toolTip()
    session.annotate([4], second)
    assert panel.start.isEnabled()
    assert "4 annotated cells of 1 image" in panel.lessons.text()
    assert "all are of one image" in panel.split.text()
    _, cells, classes = run.preparation.forecast.ask.call_args.args
    assert (cells, classes) == (4, 2)


def test_a_class_of_one_cell_can_be_left_out(run, panel, session):
    first, second, third = session.palette.ids[:3]
    session.annotate([1, 2], first)
    session.annotate([3], third)
    assert panel.leave_out.isHidden()  # nothing to learn would remain
    session.annotate([4, 5], second)
    assert not panel.leave_out.isHidden()
    assert session.palette.by_id(third).name in panel.leave_out.text()
    assert not panel.start.isEnabled()
    panel.leave_out.setChecked(True)
    assert panel.start.isEnabled()
    assert "4 annotated cells" in panel.lessons.text()
    ground = run.preparation.take_snapshot()
    assert {ref.cell for ref in ground.state.labels} == {1, 2, 4, 5}
    assert set(session.annotated) == {1, 2, 3, 4, 5}
    session.annotate([6], third)
    assert panel.leave_out.isHidden()
    assert len(run.preparation.take_snapshot().state.labels) == 6


def test_invalid_form_disables_start_with_the_reason(run, panel, annotated):
    panel.form.rate.setText("fast")
    assert not panel.start.isEnabled()
    assert "not a number" in panel.start.toolTip()
    panel.form.rate.setText("")
    assert panel.start.isEnabled()


def test_page_out_of_sight_asks_for_nothing(run, panel, session):
    panel.open(opened=False)
    session.annotate([1, 2], session.palette.ids[0])
    assert panel.lessons.text() != "2 annotated cells"
    assert not run.preparation.forecast.ask.called


def test_time_follows_from_pace_and_recipe():
    pace = MeasuredThroughput(evaluated_per_s=100.0, learned=10.0, device="cpu")
    recipe = ClassifierConfig(epochs=5, frozen_epochs=0, rate=1e-3, validation=0.2)
    # 400 learned from five times at 10 a second; 100 checked five times, all 500 looked at once
    assert estimated_seconds(recipe, 500, pace, 2) == pytest.approx(6 + 200 + 10)
    longer = estimated_seconds(recipe.model_copy(update={"epochs": 10}), 500, pace, 2)
    assert longer == pytest.approx(6 + 400 + 15)
    few = estimated_seconds(recipe.model_copy(update={"shots": 5}), 500, pace, 2)
    assert few == pytest.approx(6 + 5 + 10)  # five of each of two classes, five times


def test_augmented_views_begin_with_the_crop_and_repeat_with_the_seed():
    crops = np.random.default_rng(0).integers(0, 255, (2, 16, 16, 3), np.uint8)
    views = augmented_views(crops, ClassifierConfig(), 3)
    assert views.shape == (2, 4, 16, 16, 3)
    assert np.array_equal(views[:, 0], crops)
    assert np.array_equal(views, augmented_views(crops, ClassifierConfig(), 3))
    still = ClassifierConfig(flips=False, rotation=0, zoom=1, brightness=0, stain=0)
    assert np.array_equal(augmented_views(crops, still, 1)[:, 1], crops)


# --- during --------------------------------------------------------------------------------------


def test_training_takes_the_annotations_of_the_moment(run, panel, annotated, monkeypatch, qtbot):
    made = {}

    def child(job, params, *, threads):
        made["job"] = params
        fake = MagicMock(spec=SubprocessJob)
        fake.reports.side_effect = refusing
        return fake

    def refusing():
        yield TrainingReport(1, 2, "epoch", phase="train")
        raise TrainingError("Enough of it.")

    monkeypatch.setattr(controller, "SubprocessJob", child)
    with qtbot.waitSignal(run.warning_emitted, timeout=20_000):
        panel.start.click()
        annotated.annotate([20], annotated.palette.ids[0])
    table = (made["job"].source / "examples.csv").read_text()
    assert table.count(annotated.image.key) == 12
    assert made["job"].recipe == panel.form.value()
    assert made["job"].command.startswith("hemacells train ")


def test_cancel_ends_the_child_and_leaves_all_as_it_was(run, panel, annotated, qtbot):
    before = annotated.class_of_cell()
    child = run._run = MagicMock(spec=SubprocessJob)
    panel.show_started()
    panel.cancel.click()
    qtbot.waitUntil(lambda: child.cancel.called)
    assert panel.start.isVisibleTo(panel)
    assert annotated.class_of_cell() == before
    assert annotated.live.model is None


def test_killed_child_is_told_and_can_be_gone_on_with(run, panel, annotated, qtbot):
    before = annotated.class_of_cell()
    folder = model_store.new_training_folder(annotated.project)
    model_store.save_job(folder, ClassifierConfig(), "quick", CropSpec(16))
    (folder / "checkpoint.pt").write_bytes(b"state")
    panel.show_started()
    run.preparation.idle = False
    words = "The training process ended unexpectedly (code 1). Your annotations are untouched."
    with qtbot.waitSignal(run.warning_emitted) as told:
        run._refused("train", TrainingError(words))
    assert told.args == [words]
    assert words in panel.status.text()
    assert panel.resume.isVisibleTo(panel)
    assert annotated.class_of_cell() == before


def test_reports_that_come_too_fast_are_left_out_but_no_held_out_figure():
    def steps():
        for step in range(500):
            metrics = {"accuracy": 0.5} if step % 100 == 99 else {}
            yield TrainingReport(step, 500, "epoch", metrics=metrics)
        yield TrainingReport(500, 500, "Out of memory: 8 crops at once from now on")
        return "done"

    told = list(throttle_reports(steps()))
    assert sum(bool(one.metrics) for one in told) == 5
    assert told[-1].message.startswith("Out of memory")
    assert len(told) < 500


def test_very_many_cells_are_compared_in_part():
    cells = make_cells(30)
    assert subsample_cells(cells) is cells
    many = replace(cells, table=cells.table.loc[cells.table.index.repeat(300)])
    assert len(subsample_cells(many)) == 3000


# --- after ---------------------------------------------------------------------------------------


def test_outcome_says_who_does_better_and_what_changes(run, panel, annotated, qtbot):
    end(run, annotated, qtbot)
    assert "On 4 held-out cells the new model agrees with you on <b>4</b>" in panel.outcome.text()
    assert "<b>3</b>" in panel.outcome.text()
    assert "<b>18</b> of 30 cells" in panel.outcome.text()  # the 12 annotated ones stay
    assert panel.result.notes.text() == "A note."
    with qtbot.waitSignal(run.review_requested) as asked:
        panel.changes.click()
    assert {ref.cell for ref in asked.args[0]} == set(range(13, 31))


def test_taken_over_it_is_the_projects_classifier_and_nothing_annotated_changes(
    run, panel, annotated, qtbot
):
    before = annotated.class_of_cell()
    folder = end(run, annotated, qtbot)
    with qtbot.waitSignal(run.choice.changed):
        panel.take_over.click()
    assert annotated.live.model.bundle.encoder == OWN
    assert annotated.project.classifier == folder
    assert json.loads((annotated.project.folder / "project.json").read_text())["classifier"]
    assert panel.in_use.currentData() == folder.name
    assert annotated.class_of_cell() == before


def test_former_classifier_can_be_chosen_again(run, panel, annotated, qtbot):
    end(run, annotated, qtbot)
    panel.take_over.click()
    panel.in_use.setCurrentIndex(0)
    assert annotated.live.model is None
    assert annotated.project.classifier is None
    annotated.set_embeddings(make_embeddings(annotated.image, annotated.cells))
    assert annotated.accept(run_classification(annotated.request()))
    panel.in_use.setCurrentIndex(1)
    assert annotated.live.model.bundle.encoder == OWN


def test_dropped_model_leaves_nothing(run, panel, annotated, qtbot):
    folder = end(run, annotated, qtbot)
    panel.drop.click()
    assert not folder.exists()
    assert annotated.live.model is None
    assert panel.in_use.count() == 1
    assert not panel.result.isVisibleTo(panel)


def test_reopened_project_classifies_as_it_was_left(run, panel, annotated, qtbot):
    end(run, annotated, qtbot)
    panel.take_over.click()
    annotated.live.model = None  # as in a session that begins
    image = annotated.image
    annotated.show_image(image)
    assert annotated.live.model.bundle.encoder == OWN


def test_damaged_model_is_told_and_the_clicks_classify(run, panel, annotated, qtbot):
    folder = finish(annotated)
    (folder / "model" / "model.safetensors").write_bytes(b"nothing")
    panel.open(opened=True)
    with qtbot.waitSignal(run.warning_emitted) as told:
        run.choice.load(folder)
    assert "damaged" in told.args[0]
    assert annotated.live.model is None
    assert panel.in_use.currentData() == ""


def test_model_whose_project_was_left_waits_there(run, panel, annotated, qtbot, tmp_path):
    from napari_hemacells.core.store import Project

    folder = end(run, annotated, qtbot)
    annotated.use_project(Project.create(tmp_path / "another"))
    panel.take_over.click()
    assert "Another project" in panel.status.text()
    assert annotated.live.model is None
    assert folder.exists()


def test_cells_named_by_the_training_are_found(run, panel, annotated, qtbot):
    end(run, annotated, qtbot)
    with qtbot.waitSignal(run.cell_requested) as asked:
        panel.result.cell_requested.emit(f"{annotated.image.key}-7")
    assert asked.args == [CellRef(annotated.image.key, 7)]
    with qtbot.waitSignal(run.review_requested) as asked:
        panel.result.review_requested.emit((f"{annotated.image.key}-7", "no cell"))
    assert asked.args == [(CellRef(annotated.image.key, 7),)]


def test_other_image_meanwhile_is_not_compared(run, panel, annotated, qtbot):
    folder = finish(annotated)
    run._project, run._folder = annotated.project, folder
    run._trained, run.result = (
        FineTuneResult(outcome_of(folder)),
        next_of(read_training_steps(folder)),
    )
    prediction = annotated.prediction
    annotated.show_image(make_image(seed=4))
    run._compared(NewModelPrediction("other", prediction, {}))
    assert "of this image" not in panel.outcome.text()
    assert not panel.changes.isEnabled()
