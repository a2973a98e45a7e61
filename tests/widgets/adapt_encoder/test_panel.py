"""*Adapt to my slides*: when it may start, what it says, what is kept, what nothing touches."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import psutil
import pytest

from made_up import make_cells, make_image
from napari_hemacells.core.encode import registry
from napari_hemacells.core.encode.catalog import portable_name
from napari_hemacells.core.errors import StorageError, TrainingError
from napari_hemacells.core.store import Project
from napari_hemacells.core.train import TrainingReport
from napari_hemacells.core.train.selfsupervised import dataset, encoder_store, estimate
from napari_hemacells.core.train.selfsupervised.config import AdaptOutcome
from napari_hemacells.core.train.selfsupervised.estimate import AvailableCells
from napari_hemacells.widgets.adapt_encoder import controller
from napari_hemacells.widgets.adapt_encoder.controller import (
    AdaptEncoderRunner,
)
from napari_hemacells.widgets.adapt_encoder.panel import (
    AdaptationSummary,
    AdaptEncoderPanel,
    format_adaptation_result,
)
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.training.runner import other_training_reason
from training_jobs import adapt_and_wait, adapt_for_the_worse, adapt_on_a_full_disk

BASE = "untrained:test_vit?size=32"
OTHER = make_image(1, "another")
OUTCOME = AdaptOutcome(
    Path("encoder.safetensors"), "a" * 64, "bundled", 0.75, 0.875, 400, 16, 40, 60.0
)


@pytest.fixture(autouse=True)
def no_shelf(tmp_path, monkeypatch):
    """Nothing of the user's is read or written."""
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name: str(tmp_path / "data"))
    registry._load_cached.cache_clear()


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """As if the extra were there, wherever the tests run."""
    monkeypatch.setattr(estimate, "check_installed", lambda: None)


@pytest.fixture
def box(qtbot):
    box = AdaptEncoderPanel()
    qtbot.addWidget(box)
    box.show()
    return box


@pytest.fixture
def others():
    """What another training says; empty while none runs."""
    return []


@pytest.fixture
def run(session, box, others):
    session.project.update(encoder_name=BASE)
    session.live.encoder = BASE
    opened = {image.key: image for image in (session.image, OTHER)}
    run = AdaptEncoderRunner(session, box, lambda: opened, lambda: "".join(others))
    run.refresh()
    yield run
    run.close()


def enough(session):
    """A second image, whose cells make it enough."""
    first = session.image
    session.show_image(OTHER)
    session.set_cells(make_cells(30))
    session.show_image(first)


def trace(session) -> tuple[bytes, str, dict]:
    """What must be the same whatever happens: journal, project file, classes."""
    folder = session.project.folder
    return (
        session.project.journal_path.read_bytes(),
        (folder / "project.json").read_text(),
        session.class_of_cell(),
    )


# --- before --------------------------------------------------------------------------------------


def test_button_says_that_there_are_too_few_cells_and_then_what_it_learns_from(run, box, session):
    assert not box.title.isEnabled()
    assert "At least 32 cells" in box.title.toolTip()
    assert "There are 30 so far" in box.title.toolTip()
    enough(session)
    run.refresh()
    assert box.title.isEnabled()
    assert box.start.isEnabled()
    box.title.setChecked(True)
    assert "60 cells of 2 images" in box.lessons.text()
    assert "too few annotations to evaluate" in box.lessons.text()
    assert "without their classes" in box.title.toolTip()
    session.annotate([1, 2], session.palette.ids[0])
    session.annotate([3, 4, 5], session.palette.ids[1])
    run.refresh()
    assert "5 of your annotations evaluate" in box.lessons.text()
    assert "you can go on working" in box.start.toolTip()


def test_button_says_that_the_extra_is_missing(run, box, session, monkeypatch):
    def refuse():
        raise TrainingError('pip install "napari-hemacells[adapt]"')

    monkeypatch.setattr(estimate, "check_installed", refuse)
    enough(session)
    run.refresh()
    assert not box.title.isEnabled()
    assert "napari-hemacells[adapt]" in box.title.toolTip()


def test_button_waits_for_another_training(run, box, session, others):
    enough(session)
    others.append("The detector is being trained.")
    run.refresh()
    assert "The detector is being trained." in box.title.toolTip()
    run.start()
    assert not run.running
    others.clear()
    run.refresh()
    assert box.title.isEnabled()


def test_network_of_a_loaded_model_is_not_adapted(run, box, session, classify):
    enough(session)
    session.annotate([1, 4], session.palette.ids[0])
    session.annotate([2, 5], session.palette.ids[1])
    classify()
    session.load_model(session.make_bundle("yesterday's"))
    run.refresh()
    assert not box.title.isEnabled()
    assert "brings its own encoder" in box.title.toolTip()
    session.drop_model()
    run.refresh()
    assert box.title.isEnabled()


def test_clicks_do_not_wait_for_the_count(run, box, session, qtbot):
    enough(session)
    session.annotate([1, 2], session.palette.ids[0])
    assert not box.title.isEnabled()  # as it was
    qtbot.waitUntil(box.title.isEnabled, timeout=3000)


def test_without_a_project_nothing_can_be_adapted(empty_session, box):
    run = AdaptEncoderRunner(empty_session, box, dict, str)
    run.refresh()
    assert "Open an image" in box.title.toolTip()
    run.close()


def test_whichever_training_runs_is_named():
    detector, classifier = (MagicMock(jobs=MagicMock(spec=JobRunner)) for _ in range(2))
    detector.jobs.running.return_value = classifier.jobs.running.return_value = False
    trainings = {"detector": detector, "classifier": classifier}
    assert other_training_reason(trainings) == ""
    classifier.jobs.running.return_value = True
    assert "The classifier is being trained" in other_training_reason(trainings)
    detector.jobs.running.return_value = True
    assert "The detector is being trained" in other_training_reason(trainings)


# --- words ---------------------------------------------------------------------------------------


def test_of_very_many_cells_it_says_how_many_teach():
    said = AdaptationSummary(AvailableCells(12_000, 3), clicks=40, seconds=300.0, cores=1)
    assert said.words().startswith("Trains on 4,000 of 12,000 cells of 3 images. 40 of your")
    assert said.format_duration() == "Takes about 5 min on 1 core; you can go on working"


def test_figures_with_their_clicks_and_the_verdict():
    said = format_adaptation_result(OUTCOME)
    for part in (
        "16 annotations",
        "75.0%",
        "87.5%",
        "One annotation is 6 points",
        "<b>Kept</b>",
        "better",
    ):
        assert part in said
    assert "by leave-one-out on 16 annotations, it is no worse" in format_adaptation_result(
        replace(OUTCOME, after=0.75)
    )
    worse = format_adaptation_result(
        replace(OUTCOME, file=None, after=0.6, notes=("<image> is gone.",))
    )
    assert "Not kept" in worse
    assert "&lt;image&gt;" in worse
    assert "One click" not in format_adaptation_result(replace(OUTCOME, clicks=200))


def test_too_few_clicks_to_say():
    said = format_adaptation_result(replace(OUTCOME, before=None, after=None, clicks=0))
    assert "too few annotations to say" in said
    assert "%" not in said


def test_only_what_was_kept_can_be_used(box):
    box.title.setChecked(True)
    box.show_adapted(OUTCOME)
    assert box.use.isVisible()
    assert "Discard" in box.drop.text().replace("&", "")
    box.show_adapted(replace(OUTCOME, file=None))
    assert not box.use.isVisible()
    assert "Close" in box.drop.text().replace("&", "")


def test_time_left_is_told_before_the_first_step_too(run, box):
    run._remaining = controller.RemainingTime(200.0, clock=iter([0.0, 20.0]).__next__)
    run._progressed("train", TrainingReport(0, 40, "Looking at your clicks", phase="validate"))
    assert "3 min to go" in box.status.text()
    run._progressed("train", TrainingReport(30, 40, "Learning", phase="train", eta_s=12.0))
    assert box.status.text() == "Learning · 12 s to go"
    assert (box.bar.value(), box.bar.maximum()) == (30, 40)


# --- an adaptation -------------------------------------------------------------------------------


@pytest.fixture
def ready_run(run, session, box):
    """60 cells, 12 of them clicked, and an adaptation that would be short."""
    enough(session)
    for column, class_id in enumerate(session.palette.ids[:2]):
        session.annotate([cell for cell in range(1, 13) if cell % 2 == column], class_id)
    changes = {"steps": 2, "batch_size": 8, "rate": 1e-12, "device": "cpu"}
    run.params = run.params.model_copy(update=changes)  # so slow that nothing gets worse
    run.refresh()
    box.title.setChecked(True)
    return run


def files(session) -> set[str]:
    """What adaptations have left in the project."""
    place = session.project.folder / "adapted"
    return {name for _, _, names in os.walk(place) for name in names}  # may vanish meanwhile


def trainings() -> list[int]:
    """Trainings that run below this process."""
    found = psutil.Process().children(recursive=True)
    return [one.pid for one in found if "subprocess_main" in " ".join(one.cmdline())]


@pytest.mark.slow
def test_an_encoder_is_adapted_in_a_child_used_and_put_back(ready_run, box, session, qtbot):
    pytest.importorskip("lightly", reason="the extra adapt is not installed")
    before = trace(session)
    wanted, warned = [], []
    ready_run.encoder_requested.connect(wanted.append)
    ready_run.warning_emitted.connect(warned.append)
    box.start.click()
    assert box.cancel.isVisible()
    assert not box.start.isVisible()
    qtbot.waitUntil(lambda: not ready_run.running, timeout=200_000)
    assert warned == []
    assert trainings() == []
    assert trace(session) == before
    assert "on your 12 annotations" in box.outcome.text()
    assert files(session) == {encoder_store.ENCODER, encoder_store.OUTCOME}

    box.use.click()
    session.set_encoder(portable_name(wanted.pop()))  # as the dock does when it is loaded
    assert files(session) == {encoder_store.ENCODER}
    assert not box.use.isVisible()
    assert box.back.isVisible()
    assert "test_vit" in box.back.toolTip()
    assert Project.open(session.project.folder).content.encoder_name == session.live.encoder

    box.back.click()
    assert wanted == [BASE]
    session.set_encoder(BASE)
    assert not box.back.isVisible()
    assert trace(session) == before


def adapted(run, session, **changes) -> AdaptOutcome:
    """Let an adaptation come to its end without learning."""
    job = encoder_store.new_job(session.project, BASE)
    job.out.write_bytes(b"weights")
    outcome = replace(OUTCOME, file=job.out, **changes)
    encoder_store.save_outcome(job, outcome)
    run._project = session.project
    run.handle_result(outcome)
    return outcome


def test_dropped_encoder_leaves_nothing(ready_run, box, session):
    adapted(ready_run, session)
    assert box.use.isVisible()
    box.drop.click()
    assert files(session) == set()
    assert session.live.encoder == BASE
    assert box.start.isVisible()


def test_answer_can_be_given_another_day(ready_run, session, qtbot):
    adapted(ready_run, session)
    ready_run.close()
    again = AdaptEncoderPanel()
    qtbot.addWidget(again)
    later = AdaptEncoderRunner(session, again, dict, str)
    session.events.project.emit()
    assert again.use.isVisibleTo(again)
    assert "16 annotations" in again.outcome.text()
    later.close()


def test_of_another_project_it_is_not_used(ready_run, box, session, tmp_path):
    outcome = adapted(ready_run, session)
    wanted = []
    ready_run.encoder_requested.connect(wanted.append)
    ready_run._project = Project.create(tmp_path / "other")
    box.use.click()
    assert wanted == []
    assert "Another project" in box.status.text()
    assert outcome.file.is_file()


def test_encoder_that_was_not_loaded_still_waits_for_an_answer(ready_run, box, session):
    adapted(ready_run, session)
    box.use.click()
    session.set_encoder("imagenet")  # chosen instead, while it was loaded
    assert box.use.isVisible()


# --- what goes wrong -----------------------------------------------------------------------------


def started(box, qtbot, monkeypatch, job) -> psutil.Process:
    """Start with another job for the child; return the child when it is at work."""
    monkeypatch.setattr(controller, "adapt_encoder", job)
    box.start.click()
    qtbot.waitUntil(lambda: box.status.text().startswith("child "), timeout=60_000)
    return psutil.Process(int(box.status.text().split()[1]))


def untouched(run, box, session, before, qtbot):
    """Nothing is left, nothing has changed, and it can be started again."""
    qtbot.waitUntil(lambda: files(session) == set(), timeout=20_000)
    assert trace(session) == before
    assert session.live.encoder == BASE
    assert box.start.isEnabled()
    assert box.start.isVisible()
    assert not run.running


def test_cancelled_it_leaves_nothing(ready_run, box, session, qtbot, monkeypatch):
    before = trace(session)
    child = started(box, qtbot, monkeypatch, adapt_and_wait)
    assert "crops.npz" in files(session)
    box.cancel.click()
    assert box.start.isVisible()  # at once
    assert "Stopped" in box.status.text()
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running()
    untouched(ready_run, box, session, before, qtbot)


def test_killed_child_is_told_and_leaves_nothing(ready_run, box, session, qtbot, monkeypatch):
    before = trace(session)
    child = started(box, qtbot, monkeypatch, adapt_and_wait)
    with qtbot.waitSignal(ready_run.warning_emitted, timeout=20_000) as told:
        child.kill()
    assert "ended by the system" in told.args[0]
    untouched(ready_run, box, session, before, qtbot)


def test_full_disk_is_told_and_leaves_nothing(ready_run, box, session, qtbot, monkeypatch):
    before = trace(session)
    monkeypatch.setattr(controller, "adapt_encoder", adapt_on_a_full_disk)
    with qtbot.waitSignal(ready_run.warning_emitted, timeout=60_000) as told:
        box.start.click()
    assert "The disk is full" in told.args[0]
    untouched(ready_run, box, session, before, qtbot)


def test_disk_that_is_full_before_the_child_starts(ready_run, box, session, qtbot, monkeypatch):
    before = trace(session)

    def full(*_):
        raise StorageError("“crops.npz” was not saved: the disk is full.")

    monkeypatch.setattr(dataset, "write_training_set", full)
    with qtbot.waitSignal(ready_run.warning_emitted, timeout=60_000) as told:
        box.start.click()
    assert "disk is full" in told.args[0]
    untouched(ready_run, box, session, before, qtbot)


def test_closed_while_it_runs_the_child_is_gone(ready_run, box, session, qtbot, monkeypatch):
    before = trace(session)
    child = started(box, qtbot, monkeypatch, adapt_and_wait)
    ready_run.close()
    assert not child.is_running()
    qtbot.waitUntil(lambda: files(session) == set(), timeout=20_000)
    assert trace(session) == before


def test_what_a_killed_napari_left_is_cleared_when_the_project_is_opened(run, session):
    job = encoder_store.new_job(session.project, BASE)
    job.folder.mkdir(parents=True)
    (job.folder / "crops.npz").write_bytes(b"crops")
    before = trace(session)
    session.events.project.emit()
    assert files(session) == set()
    assert trace(session) == before


def test_worse_is_not_kept_and_said(ready_run, box, session, qtbot, monkeypatch):
    before = trace(session)
    monkeypatch.setattr(controller, "adapt_encoder", adapt_for_the_worse)
    with qtbot.waitSignal(ready_run.said, timeout=60_000) as told:
        box.start.click()
    assert "worse" in told.args[0]
    assert "Not kept" in box.outcome.text()
    assert not box.use.isVisible()
    box.drop.click()
    untouched(ready_run, box, session, before, qtbot)
