from __future__ import annotations

from unittest.mock import MagicMock

import numpy as np
import pytest

from made_up import make_cells
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train import TrainingReport
from napari_hemacells.core.train.detector.metrics import DetectionCounts
from napari_hemacells.core.train.detector.report import DetectorOutcome
from napari_hemacells.core.train.learning_curves import Curves
from napari_hemacells.widgets.train_detector import controller
from napari_hemacells.widgets.train_detector.controller import (
    DetectionChanges,
    DetectorTrainingResult,
    TrainDetectorController,
    compare_detections,
)
from napari_hemacells.widgets.train_detector.panel import (
    DetectorTrainingSummary,
    TrainDetectorPanel,
)
from napari_hemacells.widgets.training.steps import chosen_weights, freeze_state


@pytest.fixture
def panel(qtbot):
    panel = TrainDetectorPanel()
    qtbot.addWidget(panel)
    panel.title.setChecked(True)
    return panel


@pytest.fixture
def run(session, panel):
    run = TrainDetectorController(session, panel)
    yield run
    run.close()


def outcome_of(folder, *, hits: int) -> DetectorOutcome:
    folder.mkdir(exist_ok=True)
    weights = folder / "new.safetensors"
    weights.write_bytes(b"weights")
    weights.with_suffix(".html").write_text("report")
    before, after = (
        DetectionCounts(np.array([[[right, 10, 10], [0, 0, 0], [0, 0, 0]]], np.int64))
        for right in (5, hits)
    )
    return DetectorOutcome(
        weights, weights.with_suffix(".html"), before, before, after, 3, 4, 1.0, "strip", Curves()
    )


def wait_for(run, session, *, hits: int):
    """Let a training end without running one."""
    run._project = session.project
    ended = DetectorTrainingResult(
        outcome_of(session.project.folder / "models", hits=hits), DetectionChanges(4, 1, 0)
    )
    run.handle_result(ended)
    return ended


def test_section_says_what_is_missing_until_a_cell_was_worked_on(run, panel, session) -> None:
    assert not panel.start.isEnabled()
    assert "Correct a whole image first" in panel.lessons.text()
    session.annotate([1, 2], session.palette.ids[0])
    assert panel.start.isEnabled()
    assert "1 image in which you corrected or classified 2 cells" in panel.lessons.text()
    assert "unmarked cells are learned as background" in panel.lessons.text()


def test_thorough_takes_longer(panel) -> None:
    panel.show_training_summary(
        DetectorTrainingSummary(images=2, corrected=9, seconds=100.0, cores=1)
    )
    assert "2 min" in panel.start.toolTip()
    panel.effort.setCurrentIndex(1)
    assert "7 min" in panel.start.toolTip()
    asked = []
    panel.train_requested.connect(asked.append)
    panel.start.click()
    assert asked == [4]


def test_reports_move_the_bar_and_fill_the_curves(panel) -> None:
    panel.show_started()
    panel.show_report(
        TrainingReport(
            3,
            12,
            "Learning",
            phase="train",
            losses={"total": 1.0},
            metrics={"F1 all": 0.8},
            images_per_second=11.0,
            eta_s=70.0,
        )
    )
    assert (panel.bar.value(), panel.bar.maximum()) == (3, 12)
    assert panel.status.text() == "Learning · 11.0 images/s · 70 s to go"
    assert panel.curves.curves.metrics == {"F1 all": [(3, 0.8)]}
    panel.curves.redraw()
    assert len(panel.curves.canvas.figure.axes) == 2


def test_new_detector_is_used_when_the_user_says_so_and_the_project_keeps_it(
    run, panel, session
) -> None:
    ended = wait_for(run, session, hits=9)
    assert "0.900" in panel.outcome.text()
    assert "4 more, 1 fewer" in panel.outcome.text()
    assert "discard it" not in panel.outcome.text()
    assert chosen_weights(session.project) is None
    panel.use.click()
    assert chosen_weights(session.project) == ended.outcome.weights
    assert not session.project.content.detect.weights.is_absolute()
    assert run.with_weights(session.project.content.detect).weights == ended.outcome.weights
    assert "new" in panel.in_use.text()
    panel.bundled.click()
    assert chosen_weights(session.project) is None
    assert ended.outcome.weights.exists()


def test_dropped_detector_leaves_nothing(run, panel, session) -> None:
    ended = wait_for(run, session, hits=5)
    assert "is no better than before" in panel.outcome.text()
    panel.drop.click()
    assert not ended.outcome.weights.exists()
    assert not ended.outcome.report.exists()
    assert chosen_weights(session.project) is None


def test_cancel_ends_the_child_and_offers_start_again(run, panel, qtbot) -> None:
    run._run = MagicMock(spec=controller.SubprocessJob)
    child = run._run
    panel.show_started()
    panel.cancel.click()
    qtbot.waitUntil(lambda: child.cancel.called)
    child.cancel.assert_called_once_with()
    assert panel.start.isVisibleTo(panel)
    assert not panel.bar.isVisibleTo(panel)


def test_refusal_is_told_where_messages_are(run, panel, qtbot) -> None:
    panel.show_started()
    with qtbot.waitSignal(run.warning_emitted) as told:
        run._refused("train", TrainingError("The disk is full."))
    assert told.args == ["The disk is full."]
    assert panel.start.isVisibleTo(panel)


def test_differences_count_new_gone_and_renamed_cells() -> None:
    shown, found = make_cells(10), make_cells(12)
    kinds = ["WBC", *["RBC"] * 11]
    found.table["class"] = kinds
    assert compare_detections(shown, found) == DetectionChanges(more=2, fewer=0, reclassified=1)
    assert compare_detections(found, shown) == DetectionChanges(more=0, fewer=2, reclassified=1)


def test_state_at_the_start_does_not_follow_later_clicks(session) -> None:
    session.annotate([1], session.palette.ids[0])
    before = freeze_state(session.history.state)
    session.annotate([2], session.palette.ids[0])
    assert len(before.annotations_of_image(session.image.key)) == 1
