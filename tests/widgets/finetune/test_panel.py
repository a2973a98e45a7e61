"""The page of fine-tuning: the form, what it shows, the matrix and the lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.evaluate.classification_metrics import MetricWithInterval
from napari_hemacells.core.train import TrainingReport
from napari_hemacells.core.train.classifier import CLASSIFIER_PRESETS
from napari_hemacells.core.train.classifier.report.text import describe_intervals
from napari_hemacells.core.train.classifier.results import (
    ClassificationMetrics,
    CropPrediction,
    EvaluationResults,
    Suspect,
)
from napari_hemacells.core.train.classifier.results import confusion_of as confusion
from napari_hemacells.session.model_comparison import ClassChange
from napari_hemacells.widgets.finetune.augmentation_preview import GAP, contact_sheet
from napari_hemacells.widgets.finetune.form import (
    ARCHITECTURES,
    IN_USE,
    RECIPE_TITLES,
    FineTuneForm,
)
from napari_hemacells.widgets.finetune.panel import FineTunePanel
from napari_hemacells.widgets.finetune.steps import Comparison, FineTuneSummary, outcome_html
from napari_hemacells.widgets.training.steps import RemainingTime

CLASSES = ("normal", "ovalocyte", "target")
ROWS = (  # given, predicted, confidence
    ("normal", "normal", 0.99),
    ("normal", "ovalocyte", 0.9),
    ("normal", "ovalocyte", 0.6),
    ("ovalocyte", "ovalocyte", 0.8),
    ("target", "target", 0.55),
)


def item(place: int, given: str, said: str, sure: float) -> CropPrediction:
    rest = (1 - sure) / 2
    told = tuple(sure if name == said else rest for name in CLASSES)
    loss = -float(np.log(told[CLASSES.index(given)]))
    return CropPrediction(
        f"{given}/f00-{place}.png", Path("none.png"), given, said, sure, loss, told
    )


@pytest.fixture
def findings(tmp_path) -> EvaluationResults:
    items = tuple(item(place, *row) for place, row in enumerate(ROWS, start=1))
    one = MetricWithInterval(0.8, 0.6, 1.0)
    figures = ClassificationMetrics(5, one, one, one, one, 0.4, 0.05, "cells", (), (), None)
    doubted = Suspect("normal/f00-2.png", Path("none.png"), "normal", "ovalocyte", 0.1, 0.9, True)
    next_one = Suspect("x/f00-9.png", Path("none.png"), "normal", "target", 0.6, 0.5, False)
    return EvaluationResults(
        tmp_path, "validation", CLASSES, items, figures, confusion(items, CLASSES),
        (doubted, next_one), {}, {},
    )  # fmt: skip


@pytest.fixture
def form(qtbot):
    form = FineTuneForm()
    qtbot.addWidget(form)
    return form


@pytest.fixture
def panel(qtbot):
    panel = FineTunePanel()
    qtbot.addWidget(panel)
    return panel


# --- the form ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLASSIFIER_PRESETS)
def test_untouched_form_is_the_recipe_itself(form, name):
    form.recipe.setCurrentIndex(form.recipe.findData(name))
    assert form.value() == CLASSIFIER_PRESETS[name].recipe
    assert form.about.text() == CLASSIFIER_PRESETS[name].about


def test_changes_are_taken_and_another_recipe_starts_over(form):
    form.training.set_values({"epochs": 7})
    form.augmentation.set_values({"zoom": 1.5})
    form.arch.setCurrentText("resnet18")
    form.set_rate(0.004)
    recipe = form.value()
    assert (recipe.epochs, recipe.zoom, recipe.arch, recipe.rate) == (7, 1.5, "resnet18", 0.004)
    form.recipe.setCurrentIndex(1)
    assert form.value() == CLASSIFIER_PRESETS["thorough"].recipe


def test_empty_rate_is_searched_for_and_words_are_refused(form):
    form.rate.setText("")
    assert form.value().rate is None
    form.rate.setText("fast")
    with pytest.raises(TrainingError, match="not a number"):
        form.value()
    form.rate.setText("0,002")
    assert form.value().rate == 0.002
    form.rate.setText("99")
    with pytest.raises(TrainingError, match="rate"):
        form.value()


def test_one_change_tells_once_even_of_a_whole_recipe(form, qtbot):
    told = []
    form.changed.connect(lambda: told.append(1))
    form.recipe.setCurrentIndex(1)
    assert len(told) == 1


def test_all_presets_are_offered_with_what_they_are(form):
    assert [form.recipe.itemData(row) for row in range(form.recipe.count())] == list(
        CLASSIFIER_PRESETS
    )
    assert set(RECIPE_TITLES) == set(CLASSIFIER_PRESETS)
    row = form.recipe.findData("vit")
    tip = form.recipe.itemData(row, Qt.ItemDataRole.ToolTipRole)
    assert "Vision Transformer" in tip
    assert "Otherwise than the thesis" in tip


def test_all_architectures_are_offered(form):
    assert len(ARCHITECTURES) == 12
    assert {preset.recipe.arch for preset in CLASSIFIER_PRESETS.values()} <= set(ARCHITECTURES)


def test_size_smoothing_schedule_and_copies_are_taken(form):
    form.training.set_values({"size": 128, "smoothing": 0.1, "schedule": "restarts", "tta": 5})
    recipe = form.value()
    assert (recipe.size, recipe.smoothing, recipe.schedule, recipe.tta) == (
        128, 0.1, "restarts", 5,
    )  # fmt: skip


def test_from_scratch_is_a_tick(form):
    assert form.value().weights == "auto"
    form.scratch.setChecked(True)
    assert form.value().weights == "none"
    assert not form.start_from.isEnabled()
    form.recipe.setCurrentIndex(form.recipe.findData("thorough"))
    assert form.value().weights == "auto"


def test_own_weights_file_and_own_model(form, tmp_path):
    form.arch.setCurrentText("resnet18")
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"")
    form.use_own_weights(file)
    assert (form.value().weights, form.value().arch) == (str(file), "resnet18")
    model = tmp_path / "model"
    model.mkdir()
    (model / "bundle.json").write_text("{}")
    form.use_own_weights(model)
    assert (form.value().weights, form.value().arch) == (str(model), "bundled")
    assert not form.arch.isEnabled()


def test_model_in_use_is_offered_only_where_there_is_one(form):
    place = form.start_from.findData(IN_USE)
    form.offer_model_in_use(there=False, why_not="Fine-tune one first")
    assert not form.start_from.model().item(place).isEnabled()
    form.offer_model_in_use(there=True, why_not="")
    form.start_from.setCurrentIndex(place)
    assert form.value().weights == IN_USE
    form.offer_model_in_use(there=False, why_not="Fine-tune one first")
    assert form.value().weights == "auto"


# --- the page ------------------------------------------------------------------------------------


def test_start_is_disabled_with_the_reason(panel):
    panel.show_training_summary(
        FineTuneSummary(reason="Give cells of at least two classes under Annotate.")
    )
    assert not panel.start.isEnabled()
    assert panel.start.toolTip() == "Give cells of at least two classes under Annotate."
    panel.show_training_summary(
        FineTuneSummary(2, (("a", 3), ("b", 1)), "Held out: 1 of 2 images.")
    )
    assert panel.start.isEnabled()
    assert panel.lessons.text() == "4 annotated cells of 2 images: 3 a, 1 b."
    assert panel.split.isVisibleTo(panel)


def test_refused_weights_disable_start_with_the_reason(panel):
    panel.show_training_summary(FineTuneSummary(2, (("a", 3), ("b", 2)), "Held out: 1."))
    panel.show_beginning("Starts from ImageNet weights.", refused=False)
    assert panel.start.isEnabled()
    panel.show_beginning("The weights of resnet18 are not on this computer.", refused=True)
    assert not panel.start.isEnabled()
    assert "not on this computer" in panel.start.toolTip()
    assert panel.form.scratch.isVisibleTo(panel)  # the way out


def test_reports_fill_bar_words_and_curves(panel):
    panel.show_started()
    panel.show_report(
        TrainingReport(
            3, 12, "head, epoch 1 of 2", phase="validate", losses={"loss": 0.9},
            metrics={"validation loss": 0.7, "accuracy": 0.8}, images_per_second=44.4,
        ),
        70.0,
    )  # fmt: skip
    assert (panel.bar.value(), panel.bar.maximum()) == (3, 12)
    assert panel.status.text() == "Head, epoch 1 of 2 · 44 images/s · about 70 s to go"
    curves = panel.curves.curves
    assert curves.losses == {"training": [(3, 0.9)], "held out": [(3, 0.7)]}
    assert curves.metrics == {"accuracy": [(3, 0.8)]}


def test_too_little_memory_is_told_as_long_as_the_training_runs(panel):
    panel.show_started()
    assert not panel.note.isVisibleTo(panel)
    halved = "Out of memory: 16 crops at once from now on"
    panel.show_report(TrainingReport(3, 9, halved, phase="train", losses={"loss": 1.0}), None)
    panel.show_report(TrainingReport(4, 9, "all groups", losses={"loss": 1.0}), None)
    assert panel.note.text() == halved
    assert panel.note.isVisibleTo(panel)
    panel.show_started()
    assert not panel.note.isVisibleTo(panel)


def test_preparations_do_not_move_the_curves(panel):
    panel.show_started()
    panel.show_report(TrainingReport(60, 90, "Looking at the crops once", phase="start"), None)
    assert panel.curves.curves.losses == {}
    assert panel.bar.maximum() == 90


def test_each_state_shows_its_own_buttons(panel):
    panel.show_started()
    assert panel.cancel.isVisibleTo(panel)
    assert not panel.start.isVisibleTo(panel)
    panel.show_outcome("<p>Done.</p>", changed=0)
    assert panel.take_over.isVisibleTo(panel)
    assert not panel.changes.isEnabled()
    panel.show_idle("Dropped.")
    assert panel.start.isVisibleTo(panel)
    assert not panel.take_over.isVisibleTo(panel)


def test_interrupted_training_is_offered(panel):
    panel.show_resumable(resumable=True)
    assert panel.resume.isVisibleTo(panel)
    panel.show_resumable(resumable=False)
    assert not panel.resume.isVisibleTo(panel)


def test_choosing_a_model_is_told_but_showing_it_is_not(panel, qtbot):
    told = []
    panel.classifier_chosen.connect(told.append)
    panel.show_models([("classifier-1", "Fine-tuned")], "classifier-1")
    assert panel.in_use.currentData() == "classifier-1"
    assert told == []
    panel.in_use.setCurrentIndex(0)
    assert told == [""]


# --- the result ----------------------------------------------------------------------------------


@pytest.fixture
def result(panel, findings):
    panel.result.show_findings(findings, report=False)
    return panel.result


def shown(result) -> list[str]:
    role = Qt.ItemDataRole.UserRole
    return [result.crops.item(row).data(role) for row in range(result.crops.count())]


def test_matrix_shows_counts_or_shares(result):
    texts = [[result.matrix.item(r, c).text() for c in range(3)] for r in range(3)]
    assert texts == [["1", "2", ""], ["", "1", ""], ["", "", "1"]]
    result.normalised.setChecked(True)
    assert result.matrix.item(0, 1).text() == "67%"
    assert "κ 0.800 (0.60–1.00)" in result.figures.text()


def from_groups(findings, groups):
    return replace(findings, figures=replace(findings.figures, resampled="groups", groups=groups))


@pytest.mark.parametrize(
    ("groups", "kappa", "where"),
    [(1, "κ 0.800.", ":"), (2, "κ 0.800.", " (left out here):"), (30, "(0.60–1.00)", ":")],
)
def test_intervals_are_spoken_of_as_in_the_report(panel, findings, groups, kappa, where):
    found = from_groups(findings, groups)
    panel.result.show_findings(found, report=False)
    assert kappa in panel.result.figures.text()
    assert panel.result.intervals.text() == f"Intervals{where} {describe_intervals(found.figures)}"


def test_few_groups_are_said_to_make_poor_intervals(panel, findings):
    panel.result.show_findings(from_groups(findings, 2), report=False)
    assert "So few groups make rough intervals" in panel.result.intervals.text()
    panel.result.show_findings(from_groups(findings, 1), report=False)
    assert "says nothing about others" in panel.result.intervals.text()


def test_click_on_the_matrix_shows_its_cells_to_be_reviewed(result, qtbot):
    reviewed = []
    result.review_requested.connect(reviewed.append)
    result.matrix.cellClicked.emit(0, 1)
    assert shown(result) == ["f00-2", "f00-3"]  # the surest first
    assert reviewed == [("f00-2", "f00-3")]
    result.matrix.cellClicked.emit(1, 0)  # nobody there
    assert len(reviewed) == 1


def test_lists(result):
    result.show_list("losses")
    assert shown(result)[0] == "f00-2"
    result.show_list("wrong")
    assert shown(result) == ["f00-2", "f00-3"]
    result.show_list("uncertain")
    assert shown(result)[0] == "f00-5"
    result.show_list("suspects")
    assert shown(result) == ["f00-2"]


def test_click_on_a_crop_goes_to_its_cell(result, qtbot):
    result.show_list("losses")
    with qtbot.waitSignal(result.cell_requested) as asked:
        result.crops.setCurrentRow(1)
    assert asked.args == ["f00-3"]


def test_one_click_reviews_a_list(result, qtbot):
    result.show_list("suspects")
    with qtbot.waitSignal(result.review_requested) as asked:
        result.review.click()
    assert asked.args == [("f00-2",)]


def test_report_is_offered_where_there_is_one(result, findings):
    assert not result.report.isEnabled()
    result.show_findings(findings, report=True)
    assert result.report.isEnabled()


def test_crops_come_from_their_files(result, findings, tmp_path, qtbot):
    file = tmp_path / "crop.png"
    Image.new("RGB", (20, 20), "red").save(file)
    result.crops.show_crops([("f00-1", file, "normal", "tip")])
    picture = result.crops.item(0).icon().pixmap(20, 20).toImage()
    assert picture.pixelColor(10, 10).name() == "#ff0000"


def test_class_keys_go_past_the_crops_to_the_dock(result, qtbot):
    from qtpy.QtGui import QKeyEvent

    event = QKeyEvent(QKeyEvent.Type.KeyPress, Qt.Key.Key_3, Qt.KeyboardModifier.NoModifier, "3")
    event.accept()
    result.crops.keyPressEvent(event)
    assert not event.isAccepted()


# --- words ---------------------------------------------------------------------------------------


def test_outcome_names_what_changes_and_who_does_better():
    changes = (
        ClassChange(4, "a", "b", 0.9),
        ClassChange(7, "a", "b", 0.8),
        ClassChange(9, "b", "(unknown)", 0.7),
    )
    words = outcome_html(
        Comparison("f00", 30, changes, (10, 7, 9)),
        {"a": "normal", "b": "<b>"},
        left_out=("A note.",),
    )
    assert "<b>3</b> of 30 cells" in words
    assert "2 normal → &lt;b&gt;, 1 &lt;b&gt; → unknown" in words
    assert "On 10 held-out cells the new model agrees with you on <b>9</b>" in words
    assert "A note." in words
    assert "discard it" not in words


def test_worse_model_is_called_so():
    assert "discard it" in outcome_html(Comparison(agreement=(10, 9, 7)), {})
    assert "None of 5 cells" in outcome_html(Comparison("f00", 5), {})


def test_time_left_is_the_trainings_own_or_what_is_left_of_the_forecast():
    now = [0.0]
    remaining = RemainingTime(100.0, clock=lambda: now[0])
    now[0] = 30.0
    assert remaining.after(TrainingReport(1, 2, phase="train", eta_s=12.0)) == 12.0
    assert remaining.after(TrainingReport(1, 2, phase="train")) == 70.0
    assert remaining.after(TrainingReport(1, 2, phase="end", eta_s=1.0)) is None
    now[0] = 130.0
    assert remaining.after(TrainingReport(1, 2, phase="train")) is None


def test_contact_sheet_sets_the_cell_apart_from_its_views():
    views = np.full((2, 3, 4, 4, 3), 9, np.uint8)
    sheet = contact_sheet(views)
    assert sheet.shape == (2 * (4 + GAP) - GAP, 3 * (4 + GAP), 4)
    assert (sheet[:4, :4, :3] == 9).all()
    assert (sheet[:, 4 : 4 + 2 * GAP, 3] == 0).all()
