"""The thermogram part of the dock on a viewer model: found, moved by hand, measured, written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from napari.layers._source import layer_source
from PIL import Image
from qtpy.QtWidgets import QAbstractButton, QLabel

from napari_hemacells.samples.thermogram import synthetic_thermogram
from napari_hemacells.thermal import is_thermal, thermal_layer
from napari_hemacells.widgets import HemaCellsWidget

if TYPE_CHECKING:
    from napari.layers import Shapes


@pytest.fixture(autouse=True)
def own_places(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def frame():
    return synthetic_thermogram(3, hot_spot="left").celsius


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def dock(qtbot, viewer, frame):
    widget = HemaCellsWidget(viewer)
    qtbot.addWidget(widget)
    celsius, about, _ = thermal_layer(frame, "one")
    viewer.add_image(celsius, **about)
    yield widget
    widget.controller.close()


def shapes(viewer, name) -> Shapes:
    return next(layer for layer in viewer.layers if layer.name == name)


def press(dock, qtbot, button):
    with qtbot.waitSignal(dock.controller.thermograms.jobs.returned, timeout=30_000):
        button.click()


@pytest.fixture
def found(dock, qtbot):
    press(dock, qtbot, dock.thermogram.find_button)
    return dock


def exported(dock, tmp_path) -> pd.DataFrame:
    dock.thermogram.export_requested.emit(tmp_path / "regions.csv")
    return pd.read_csv(tmp_path / "regions.csv", encoding="utf-8-sig").set_index("region")


def test_a_thermogram_stays_one_while_it_is_worked_on(dock, viewer):
    layer = viewer.layers[0]
    assert is_thermal(layer.metadata)
    assert dock.session.image is not None
    assert not dock.thermogram.isHidden()
    assert not dock.detect.use_detector.isVisibleTo(dock.detect)


def test_it_is_still_one_after_another_image_was_chosen(dock, viewer):
    viewer.add_image(np.full((50, 60, 3), 200, np.uint8), name="smear")
    smear = str(viewer.layers[-1].unique_id)
    dock.controller.project_controller.choose_image(smear)
    assert dock.session.image.name == "smear"
    assert dock.thermogram.isHidden()
    assert is_thermal(viewer.layers[0].metadata)


def test_the_session_works_on_degrees(dock, frame):
    assert dock.session.image.modality == "temperature"
    np.testing.assert_array_equal(dock.session.image.pixels, frame)
    assert [one.name for one in dock.session.palette] == ["healthy", "sick"]


def test_the_patient_comes_with_the_name(dock, viewer, frame):
    files = [Path(f"T00{n}.1.1.D.2015-07-20.0{n}.txt") for n in (11, 12)]
    celsius, about, _ = thermal_layer(np.stack([frame, frame + 1]), "series", paths=files)
    layer = viewer.add_image(celsius, **about)
    viewer.dims.set_point(0, 1)
    image = dock.controller.bridge.read_image(str(layer.unique_id))
    assert image.groups.patient == "0012"


def test_buttons_say_what_is_missing(dock):
    panel = dock.thermogram
    assert panel.find_button.isEnabled()
    assert "Find regions" in panel.measure_button.toolTip()
    assert panel.export_button.toolTip() == "Press Measure first."


def test_regions_are_drawn_on_the_frame(found, viewer):
    breasts = shapes(viewer, "Breasts")
    assert breasts.features["region"].tolist() == ["right breast", "left breast"]
    assert breasts.data[0][:, 1].mean() < breasts.data[1][:, 1].mean()
    assert len(shapes(viewer, "Hot spots").data) >= 1
    assert found.thermogram.export_button.isEnabled()


def test_the_short_table_has_degrees_and_counts(found):
    table = found.thermogram.table
    heads = [table.horizontalHeaderItem(n).text() for n in range(table.columnCount())]
    body = [table.item(0, n).text() for n in range(table.columnCount())]
    assert heads[0] == "mean\n°C"
    assert len(body[0].partition(".")[2]) == 2
    assert body[heads.index("hot\nspots")] == ""
    assert table.item(1, heads.index("hot\nspots")).text().isdigit()


def test_a_shape_moved_by_hand_is_what_is_measured(found, viewer, frame, qtbot, tmp_path):
    breasts = shapes(viewer, "Breasts")
    box = np.array([[200.0, 100.0], [200.0, 180.0], [260.0, 180.0], [260.0, 100.0]])
    breasts.data = [box, breasts.data[1]]
    press(found, qtbot, found.thermogram.measure_button)
    table = exported(found, tmp_path)
    from skimage.draw import polygon2mask

    inside = frame[polygon2mask(frame.shape, box)].astype(np.float64)
    assert table.loc["right breast", "mean (°C)"] == inside.mean()
    assert table.loc["right breast", "max (°C)"] == inside.max()
    np.testing.assert_array_equal(breasts.data[0], box)


def test_measuring_what_was_found_changes_no_digit(found, qtbot, tmp_path):
    before = exported(found, tmp_path)
    press(found, qtbot, found.thermogram.measure_button)
    pd.testing.assert_frame_equal(exported(found, tmp_path), before, check_exact=True)


def test_shapes_drawn_beside_the_two_are_refused(found, viewer):
    shapes(viewer, "Breasts").add_rectangles(np.array([[5, 5], [5, 30], [30, 30], [30, 5]]))
    found.thermogram.measure_button.click()
    assert "keep one shape for each breast" in found.messages.text


def test_shapes_without_names_are_told_apart_by_where_they_lie(found, viewer):
    breasts = shapes(viewer, "Breasts")
    breasts.features = pd.DataFrame({"region": ["", ""]})
    key = found.detect.chosen_image
    by_side = found.controller.bridge.thermograms.outlines(key)
    assert by_side["right"][:, 1].mean() < by_side["left"][:, 1].mean()


def test_an_ellipse_is_measured_as_one(found, viewer):
    breasts = shapes(viewer, "Breasts")
    left = breasts.data[1]
    breasts.data = []
    breasts.add([[[100, 100], [100, 200], [180, 200], [180, 100]]], shape_type="ellipse")
    breasts.add([left], shape_type="polygon")
    outlines = found.controller.bridge.thermograms.outlines(found.detect.chosen_image)
    corners = next(one for one in outlines.values() if len(one) == 48)
    np.testing.assert_allclose(corners.min(axis=0), [100, 100], atol=0.2)
    np.testing.assert_allclose(np.hypot(*((corners - [140, 150]) / [40, 50]).T), 1, atol=1e-6)


def test_finding_again_replaces_the_outlines(found, viewer, qtbot):
    press(found, qtbot, found.thermogram.find_button)
    assert [layer.name for layer in viewer.layers].count("Breasts") == 1


def test_the_frame_shown_of_a_stack_is_read(dock, viewer, frame):
    stack = np.stack([frame, frame + 1])
    celsius, about, _ = thermal_layer(stack, "series")
    layer = viewer.add_image(celsius, **about)
    viewer.dims.set_point(0, 1)
    read = dock.controller.bridge.thermograms.celsius_maker(str(layer.unique_id))
    np.testing.assert_array_equal(read(), frame + 1)


@pytest.fixture
def series(dock, viewer, frame, qtbot):
    """Two frames in one stack, the breasts of the second one found."""
    celsius, about, _ = thermal_layer(np.stack([frame, np.roll(frame, 40, axis=1)]), "series")
    layer = viewer.add_image(celsius, **about)
    viewer.dims.set_point(0, 1)
    dock.controller.project_controller.choose_image(str(layer.unique_id))
    qtbot.waitUntil(lambda: dock.session.image.name == "series frame 1", timeout=30_000)
    press(dock, qtbot, dock.thermogram.find_button)
    return dock


def test_outlines_and_table_of_a_frame_are_not_those_of_another(series, viewer, qtbot, tmp_path):
    panel, breasts = series.thermogram, shapes(viewer, "Breasts")
    of_second = exported(series, tmp_path)
    assert set(of_second["thermogram"]) == {"series frame 1"}
    assert panel.table_name == "series frame 1.regions.csv"
    viewer.dims.set_point(0, 0)
    assert not breasts.visible
    assert not shapes(viewer, "Hot spots").visible
    assert panel.table.isHidden()
    assert not panel.measure_button.isEnabled()
    press(series, qtbot, panel.find_button)
    first = [layer for layer in viewer.layers if layer.name.startswith("Breasts")][-1]
    moved = np.mean(breasts.data[0], axis=0) - np.mean(first.data[0], axis=0)
    assert 20 < moved[1] < 60
    viewer.dims.set_point(0, 1)
    assert breasts.visible
    assert not first.visible
    assert panel.measure_button.isEnabled()
    pd.testing.assert_frame_equal(exported(series, tmp_path), of_second)


def test_what_is_found_of_a_frame_is_not_laid_on_the_next_one(series, viewer, qtbot):
    with qtbot.waitSignal(series.controller.thermograms.jobs.returned, timeout=30_000):
        series.thermogram.find_button.click()
        viewer.dims.set_point(0, 0)
    assert not any(layer.visible for layer in viewer.layers if layer.name.startswith("Breasts"))
    assert series.thermogram.table.isHidden()


def test_outlines_of_another_thermogram_are_hidden(found, viewer, frame):
    celsius, about, _ = thermal_layer(frame + 1, "two")
    other = viewer.add_image(celsius, **about)
    found.controller.project_controller.choose_image(str(other.unique_id))
    breasts = shapes(viewer, "Breasts")
    assert not breasts.visible
    one = str(shapes(viewer, "one").unique_id)
    found.controller.project_controller.choose_image(one)
    assert breasts.visible
    breasts.visible = False  # by the user, who has seen enough of them
    found.controller.project_controller.choose_image(str(other.unique_id))
    found.controller.project_controller.choose_image(one)
    assert not breasts.visible


def test_a_thermogram_is_not_offered_what_is_for_cells(dock):
    assert dock.messages.text == "Press Find regions, or draw shapes on the thermogram."
    assert dock.train.isHidden()
    assert dock.detect.folder_button.text() == "Open a folder of cell pictures…"
    assert "find them" in dock.next_step_button.toolTip()


@pytest.mark.realdata
def test_a_camera_picture_in_colours_says_where_its_degrees_are(qtbot, viewer, shared_data):
    widget = HemaCellsWidget(viewer)
    qtbot.addWidget(widget)
    file = shared_data / "flir" / "thermstats_e40_8565.jpg"
    with Image.open(file) as picture, layer_source(path=str(file)):
        viewer.add_image(np.asarray(picture), name="camera", rgb=True)
    qtbot.waitUntil(lambda: widget.session.image is not None, timeout=30_000)
    assert "For °C, drag the folder" in widget.messages.text
    assert any("temperatures" in note for note in widget.session.image.notes)
    widget.controller.close()


@pytest.fixture
def regions(found, qtbot, monkeypatch):
    """Both breasts as regions, with the first frame's."""
    with qtbot.waitSignal(found.session.events.embeddings, timeout=60_000):
        found.detect.button.click()
    return found


def export(dock, qtbot, folder):
    dock.controller.show_step("export")
    dock.export.folder.setText(str(folder))
    with qtbot.waitSignal(dock.controller.tasks.idle, timeout=60_000):
        dock.export.button.click()


def test_all_files_of_a_thermogram_are_written(regions, qtbot, tmp_path):
    for box in regions.export.boxes.values():
        box.setChecked(True)
    export(regions, qtbot, tmp_path / "out")
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert {"one.report.html", "one.overlay.png", "one.cells.csv"} <= set(written)
    assert "Written into" in regions.messages.text
    assert regions.export.result.text().startswith("Written: one.cells.csv")
    with Image.open(tmp_path / "out" / "one.overlay.png") as overlay:
        assert overlay.mode == "RGB"
        assert overlay.width == 640


def test_what_was_written_before_is_not_said_of_a_failed_export(
    regions, qtbot, tmp_path, monkeypatch
):
    export(regions, qtbot, tmp_path / "out")
    assert "Written" in regions.export.result.text()
    (tmp_path / "file").write_text("in the way of a folder")
    export(regions, qtbot, tmp_path / "file")
    assert regions.messages.level == "warning"
    assert "Nothing was exported" in regions.messages.text
    assert regions.export.result.text() == ""


def test_one_click_says_nothing_of_the_other_breast(regions, qtbot):
    session = regions.session
    first, second = session.cells.ids.tolist()
    regions.controller.show_step("annotate")
    with qtbot.waitSignal(session.events.prediction, timeout=30_000):
        session.annotate([first], "healthy")
    assert session.counts()["healthy"] == (1, 0)
    regions.controller.canvas.choose(second)
    assert regions.pointed_at.text() == f"Region {second}: not classified yet"


def test_outlines_of_regions_are_thin(regions, viewer):
    (layer,) = [layer for layer in viewer.layers if layer.name == "Regions"]
    assert layer.contour == 2
    regions.controller.canvas.choose(int(regions.session.cells.ids[0]))
    (ring,) = [layer for layer in viewer.layers if layer.name == "Current cell"]
    assert (ring.border_width * ring.size <= 3.2).all()  # pixels


def test_the_dock_speaks_of_regions_and_of_cells_again(regions, viewer, qtbot):
    regions.show()
    regions.controller.show_step("annotate")
    qtbot.waitUntil(lambda: regions.annotate.next_button.text().endswith("(2)"))

    def spoken():
        texts = [label.text() for label in regions.pages.findChildren(QLabel)]
        buttons = regions.pages.findChildren(QAbstractButton)
        texts += [part.text() for part in buttons] + [part.toolTip() for part in buttons]
        return [
            text for text in texts if re.search(r"\b[Cc]ells?\b(?!\.(csv|xlsx)| pictures…)", text)
        ]

    assert spoken() == []
    assert regions.gallery.bar.count.text().endswith("2 regions")
    assert regions.annotate.next_button.text() == "&Next region to annotate (2)"
    viewer.add_image(np.full((50, 60, 3), 200, np.uint8), name="smear")
    regions.controller.project_controller.choose_image(str(viewer.layers["smear"].unique_id))
    assert regions.detect.edit_title.text() == "Correct the cells"
    assert regions.annotate.undo_button.text() == "&Undo"
    assert len(spoken()) > 10


def test_breasts_become_cells_with_their_own_crops(found, viewer, qtbot, monkeypatch):
    from napari_hemacells.widgets.background import tasks

    monkeypatch.setattr(tasks.BackgroundTasks, "embed", lambda *_: None)
    assert found.detect.button.text() == "Use &these regions"
    with qtbot.waitSignal(found.controller.tasks.detected, timeout=30_000):
        found.detect.button.click()
    assert len(found.session.cells) == 2
    assert found.session.cells.source == "shapes"
