from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from made_up import make_cells
from napari_hemacells.core.detect import empty_cells
from napari_hemacells.core.params import ClassifyParams, DetectParams
from napari_hemacells.core.types import SmearImage
from napari_hemacells.widgets.canvas.layer_catalog import LayerChoice
from napari_hemacells.widgets.classify.panel import ClassifyPanel, CountsTable
from napari_hemacells.widgets.detect.panel import DetectPanel, DetectRequest, detection_summary
from napari_hemacells.widgets.export.panel import ExportPanel
from napari_hemacells.widgets.message_bar import MessageBar
from napari_hemacells.widgets.project_bar import ProjectBar
from napari_hemacells.widgets.step_header import StepHeader

IMAGES = [LayerChoice("i1", "smear", "image"), LayerChoice("i2", "other", "image")]
SOURCES = [LayerChoice("l1", "mine", "labels")]


@pytest.fixture
def detect(qtbot):
    panel = DetectPanel()
    qtbot.addWidget(panel)
    return panel


def test_detect_without_an_image_says_what_to_do(detect):
    assert not detect.button.isEnabled()
    assert "Open a smear" in detect.button.toolTip()


def test_detect_asks_with_the_parameters_of_the_form(detect, qtbot):
    detect.set_choices(IMAGES, SOURCES)
    detect.choose_image("i1")
    detect.form.set_values({"method": "classical", "cell_diameter": 40.0})
    with qtbot.waitSignal(detect.detect_requested) as asked:
        detect.button.click()
    assert asked.args == [DetectRequest(None, DetectParams(method="classical", cell_diameter=40))]


def test_the_cells_of_a_layer_can_be_asked_for(detect, qtbot):
    detect.set_choices(IMAGES, SOURCES)
    detect.choose_image("i1")
    detect.use_layer.setChecked(True)
    assert not detect.button.isEnabled()
    detect.source.setCurrentIndex(0)
    with qtbot.waitSignal(detect.detect_requested) as asked:
        detect.button.click()
    assert asked.args[0].source == "l1"


def test_the_whole_picture_can_be_the_cell(detect, qtbot):
    detect.set_choices(IMAGES, SOURCES)
    detect.choose_image("i1")
    detect.use_whole.setChecked(True)
    assert not detect.form.native.isVisibleTo(detect)
    assert not detect.within.isVisibleTo(detect)
    with qtbot.waitSignal(detect.detect_requested) as asked:
        detect.button.click()
    assert asked.args == [DetectRequest(None, DetectParams(), whole=True)]


def test_of_a_whole_picture_nothing_is_detected_again(detect, qtbot):
    detect.set_choices(IMAGES, SOURCES)
    detect.choose_image("i1")
    detect.use_whole.setChecked(True)
    with qtbot.assertNotEmitted(detect.params_changed, wait=400):
        detect.form.set_values({"sensitivity": 0.8})


def test_a_choice_survives_other_layers_coming_and_going(detect):
    detect.set_choices(IMAGES, SOURCES)
    detect.choose_image("i2")
    detect.set_choices(IMAGES[::-1], [])
    assert detect.chosen_image == "i2"
    detect.set_choices(IMAGES[:1], [])
    assert detect.chosen_image is None


def test_a_reason_blocks_the_button(detect):
    detect.set_choices(IMAGES, [])
    detect.choose_image("i1")
    detect.block("Wait.")
    assert not detect.button.isEnabled()
    assert detect.button.toolTip() == "Wait."


def test_summary_counts_by_kind():
    assert detection_summary(make_cells(30)) == "30 cells: RBC 30; cell diameter 6 px"
    named = replace(make_cells(30), detector="learned")
    assert detection_summary(named).endswith("cell diameter 6 px; learned detector")
    assert detection_summary(empty_cells((4, 4), 5.0)).startswith(
        "No cells found. Raise the sensitivity"
    )


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((1, 1, 3), np.uint8), "1 × 1 pixels is too small"),
        (np.zeros((200, 200, 3), np.uint8), "one colour everywhere"),
        (np.full((200, 200, 3), 255, np.uint8), "one colour everywhere"),
        (np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8), "Raise the sens"),
    ],
)
def test_no_cells_are_explained_by_the_picture(pixels, reason):
    image = SmearImage(pixels, "a" * 16, "picture")
    assert reason in detection_summary(empty_cells(image.shape, 5.0), image)


def test_with_images_there_to_choose_from_nobody_is_told_to_open_one(detect):
    detect.set_choices(IMAGES, [])
    assert detect.chosen_image is None
    assert detect.button.toolTip() == "Choose an image above."


def cell_texts(table: CountsTable) -> list[list[str]]:
    return [
        [table.item(row, column).text() for column in range(table.columnCount())]
        for row in range(table.rowCount())
    ]


@pytest.fixture
def panel(session, qtbot):
    panel = ClassifyPanel(session)
    qtbot.addWidget(panel)
    panel.show()
    return panel


def test_counts_have_a_row_for_the_rest_and_a_total(panel, session):
    session.annotate([1, 2], session.palette.ids[0])
    assert cell_texts(panel.table) == [
        ["RBC", "2", "0", "2"],
        ["WBC", "0", "0", "0"],
        ["Platelets", "0", "0", "0"],
        ["no class yet", "0", "0", "28"],
        ["Total", "2", "0", "30"],
    ]


def test_counts_follow_the_prediction(panel, session, classify):
    for cell, class_id in zip((1, 2, 3), session.palette.ids, strict=True):
        session.annotate([cell], class_id)
    classify()
    assert cell_texts(panel.table)[-1] == ["Total", "3", "27", "30"]
    assert "once every class has 3 annotations" in panel.confidence.text()
    assert panel.save.isEnabled()


def test_percentages_come_with_three_annotations_of_every_class(panel, session, classify):
    for cell in range(1, 9):
        session.annotate([cell], session.palette.ids[cell % 3])
    classify()
    assert "%" not in panel.confidence.text()
    assert [label.text() for label in panel.legend.labels] == ["less sure", "", "surer, or yours"]
    session.annotate([9], session.palette.ids[0])
    classify()
    assert panel.confidence.text().startswith("Median confidence ")
    assert panel.legend.labels[1].text() == "50 %"


def test_before_any_click_there_is_no_model_to_save(panel):
    assert not panel.save.isEnabled()
    assert "give at least one cell a class" in panel.save.toolTip()
    assert "Nothing is predicted yet" in panel.confidence.text()


def test_head_and_display_are_asked_for(panel, qtbot):
    with qtbot.waitSignal(panel.params_changed) as asked:
        panel.form.set_values({"head": "prototype"})
    assert asked.args == [ClassifyParams(head="prototype")]
    with qtbot.waitSignal(panel.display_requested) as asked:
        panel.modes["confidence"].click()
    assert asked.args == ["confidence"]


def test_showing_a_mode_does_not_ask_for_it(panel, qtbot):
    with qtbot.assertNotEmitted(panel.display_requested):
        panel.show_mode("image")
    assert panel.modes["image"].isChecked()


@pytest.fixture
def export(qtbot):
    panel = ExportPanel()
    qtbot.addWidget(panel)
    return panel


def test_export_needs_a_folder_and_something_to_write(export, tmp_path):
    assert export.button.toolTip() == "Choose a folder to write into."
    export.suggest_folder(tmp_path)
    assert export.button.isEnabled()
    for box in export.boxes.values():
        box.setChecked(False)
    assert export.button.toolTip() == "Tick at least one file to write."


def test_export_asks_for_what_is_ticked(export, tmp_path, qtbot):
    export.suggest_folder(tmp_path)
    export.boxes["coco"].setChecked(True)
    with qtbot.waitSignal(export.export_requested) as asked:
        export.button.click()
    assert asked.args[0].what == ("csv", "joint", "report", "overlay", "coco")
    assert asked.args[0].folder == tmp_path


def test_a_model_that_is_not_there_cannot_be_ticked(export, tmp_path):
    export.suggest_folder(tmp_path)
    export.boxes["bundle"].setChecked(True)
    export.block("", "no model")
    assert "bundle" not in export.request().what
    assert export.boxes["bundle"].toolTip() == "no model"


def test_export_says_what_it_wrote(export, tmp_path):
    export.show_result(tmp_path, [tmp_path / "a.csv", tmp_path / "b.png"])
    assert "a.csv, b.png" in export.result.text()
    assert tmp_path.as_uri() in export.result.text()


def test_steps_show_done_and_missing(qtbot):
    header = StepHeader()
    qtbot.addWidget(header)
    header.set_state("detect", done=True)
    header.set_state("annotate", done=False, missing="No cells.")
    assert header.button("detect").text() == "✓ &Detect"
    assert not header.button("annotate").isEnabled()
    assert header.button("annotate").toolTip() == "No cells."
    with qtbot.waitSignal(header.step_requested) as asked:
        header.button("export").click()
    assert asked.args == ["export"]
    assert header.step == "export"


def test_messages_tell_their_level_by_more_than_colour(qtbot):
    bar = MessageBar()
    qtbot.addWidget(bar)
    bar.say("All is well.")
    assert bar.text == "All is well."
    bar.say("Something is wrong.", "error")
    assert bar.text == "Something is wrong."
    assert bar.level == "error"
    assert bar.findChild(type(bar._text)).text().startswith("■")


def test_progress_can_be_cancelled_and_goes(qtbot):
    bar = MessageBar()
    qtbot.addWidget(bar)
    bar.show()
    bar.progress(320, 1500, "Embedding 320/1,500 cells")
    assert bar._running.isVisible()
    with qtbot.waitSignal(bar.cancel_requested):
        bar._cancel.click()
    bar.finish()
    assert not bar._running.isVisible()


def test_place_says_where_clicks_go(qtbot):
    bar = ProjectBar()
    qtbot.addWidget(bar)
    assert bar.text == "Nothing to save yet"
    bar.show_project_folder(Path("/data/projects/x"))
    assert bar.text == "Saved in /data/projects/x"
