"""What is known before a training: asked of a child, kept, told again without asking."""

from __future__ import annotations

from unittest.mock import MagicMock

import numpy as np
import pytest

from made_up import make_cells, make_image
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train import SubprocessJob, TrainingReport
from napari_hemacells.core.train.classifier import ClassifierConfig, model_store
from napari_hemacells.core.train.classifier.artifacts import LRCurve
from napari_hemacells.core.train.classifier.estimate import MeasuredThroughput
from napari_hemacells.widgets.finetune import estimate
from napari_hemacells.widgets.finetune.estimate import TrainingEstimator, make_train_job
from napari_hemacells.widgets.training.steps import ProjectSnapshot, freeze_state

RECIPE = ClassifierConfig(epochs=5, frozen_epochs=0, rate=1e-3)


@pytest.fixture
def children(monkeypatch):
    """Children that answer at once: a result, or an error."""
    made = []

    def child(job, params, *, threads):
        def reports():
            yield TrainingReport(0, 0, "Timing a few steps")
            answer = child.answers[job.__name__]
            if isinstance(answer, Exception):
                raise answer
            return answer

        fake = MagicMock(spec=SubprocessJob)
        fake.reports.side_effect = reports
        made.append(fake)
        return fake

    child.answers, child.made = (
        {"measure_throughput_steps": MeasuredThroughput(100.0, 10.0, "cpu")},
        made,
    )
    monkeypatch.setattr(estimate, "SubprocessJob", child)
    monkeypatch.setattr(estimate, "available_cores", lambda: 1)
    return child


@pytest.fixture
def forecast(qapp, children):
    forecast = TrainingEstimator()
    yield forecast
    forecast.close()


def test_time_is_measured_once_for_a_network(forecast, children, qtbot):
    told = []
    forecast.estimate_ready.connect(told.append)
    forecast.ask(RECIPE, 500, 3)
    assert told[-1].startswith("Timing")
    qtbot.waitUntil(lambda: "Takes about" in told[-1], timeout=10_000)
    assert "4 min on 1 core (10 images/s, just measured)" in told[-1]
    forecast.ask(RECIPE.model_copy(update={"epochs": 10}), 500, 3)
    assert "7 min on 1 core" in told[-1]
    assert len(children.made) == 1


def test_nothing_is_begun_after_the_end(forecast, children, qtbot):
    told = []
    forecast.estimate_ready.connect(told.append)
    forecast.ask(RECIPE, 500, 3)
    forecast.close()
    del told[:]
    with qtbot.waitSignal(forecast.destroyed):
        forecast.deleteLater()
    forecast.ask(RECIPE, 500, 3)
    forecast.stop()
    forecast._measure()
    forecast.close()
    qtbot.wait(estimate.PAUSE_MS + 50)
    assert (told, children.made, forecast.jobs.busy) == ([], [], ())


def test_qt_may_end_before_the_dock_does(forecast, children, qtbot):
    forecast.ask(RECIPE, 500, 3)
    with qtbot.waitSignal(forecast.destroyed):
        forecast.deleteLater()
    forecast.stop()
    forecast.close()
    assert children.made == []


def test_network_that_cannot_be_had_is_told(forecast, children, qtbot):
    children.answers["measure_throughput_steps"] = TrainingError(
        "There is no architecture “resnet17”."
    )
    told = []
    forecast.estimate_ready.connect(told.append)
    forecast.ask(RECIPE.model_copy(update={"arch": "resnet17"}), 500, 3)
    qtbot.waitUntil(lambda: "resnet17" in told[-1], timeout=10_000)
    assert forecast.seconds() is None


def test_rate_is_taken_over_and_nothing_is_left(forecast, children, session, qtbot):
    children.answers["suggest_lr_steps"] = LRCurve((1e-4, 1e-3), (1.0, 0.5), 3e-4)
    session.annotate([1, 2], session.palette.ids[0])
    session.annotate([3, 4], session.palette.ids[1])
    image = session.image
    ground = ProjectSnapshot(
        session.project, freeze_state(session.history.state), {image.key: image}
    )
    job = make_train_job(ground, RECIPE, "quick")
    with qtbot.waitSignal(forecast.rate_found, timeout=10_000) as found:
        forecast.find_rate(ground, job, grouped=False)
    assert found.args == [3e-4]
    assert not job.folder.exists()
    assert model_store.list_models(session.project) == ()


def test_augmentation_is_shown_on_the_users_own_cells(forecast, qtbot):
    with qtbot.waitSignal(forecast.augmented, timeout=60_000) as shown:
        forecast.augment(make_image(), make_cells(), [1, 2, 3, 4, 5, 6], RECIPE)
    views = shown.args[0]
    assert views.shape == (4, 6, 96, 96, 3)
    assert not np.array_equal(views[:, 0], views[:, 1])


def test_training_stops_what_only_prepares_it(forecast, children, qtbot):
    forecast._runs["pace"] = run = MagicMock(spec=SubprocessJob)
    forecast.stop()
    qtbot.waitUntil(lambda: run.cancel.called)
    assert forecast._runs == {}
