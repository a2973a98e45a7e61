"""Moving the sensitivity detects again where that takes no run of the network."""

import numpy as np
import pytest
from napari.components import ViewerModel

from made_up import make_cells, make_embeddings, make_image
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks
from napari_hemacells.widgets.detect import controller


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """The parameters of each detection; each finds three cells in ten of the sensitivity."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    asked = []

    def detect(image, params, *_rest, **_places):
        yield Progress(0, 1, "Finding cells")
        asked.append(params)
        return make_cells(round(30 * params.sensitivity))

    def embed(image, cells, *_settings, **_places):
        from napari_hemacells.core.encode import Device

        yield Progress(0, len(cells), "Embedding cells")
        return make_embeddings(image, cells), Device("cpu", "A test.")

    monkeypatch.setattr(tasks, "detection_steps", detect)
    monkeypatch.setattr(tasks, "embedding_steps", embed)
    return asked


@pytest.fixture
def dock(qtbot, asked):
    viewer = ViewerModel()
    widget = HemaCellsWidget(viewer)
    qtbot.addWidget(widget)
    viewer.add_image(make_image().pixels, name="smear")
    yield widget
    widget.controller.close()


def detected(dock, qtbot):
    with qtbot.waitSignal(dock.controller.tasks.detected):
        dock.detect.button.click()


def test_the_sensitivity_is_live_after_a_detection(dock, qtbot, asked):
    detected(dock, qtbot)
    assert len(dock.session.cells) == 15
    with qtbot.waitSignal(dock.controller.tasks.detected):
        dock.detect.form.set_values({"sensitivity": 0.8})
    assert [params.sensitivity for params in asked] == [0.5, 0.8]
    assert len(dock.session.cells) == 24


@pytest.mark.parametrize(
    "changed", [{"cell_diameter": 30.0}, {"method": "classical", "sensitivity": 0.8}]
)
def test_other_parameters_wait_for_the_button(dock, qtbot, asked, changed):
    detected(dock, qtbot)
    with qtbot.waitSignal(dock.detect.params_changed):
        dock.detect.form.set_values(changed)
    assert not dock.controller.tasks.jobs.running("detect")
    assert asked == [DetectParams()]


def test_a_large_image_waits_for_the_button(dock, qtbot, asked, monkeypatch):
    monkeypatch.setattr(controller, "LIVE_PIXELS", 10)
    detected(dock, qtbot)
    with qtbot.waitSignal(dock.detect.params_changed):
        dock.detect.form.set_values({"sensitivity": 0.8})
    assert not dock.controller.tasks.jobs.running("detect")


def test_before_the_first_detection_and_on_other_cells_nothing_starts(dock, qtbot, asked):
    with qtbot.waitSignal(dock.detect.params_changed):
        dock.detect.form.set_values({"sensitivity": 0.8})
    dock.session.set_cells(make_cells(5))
    with qtbot.waitSignal(dock.detect.params_changed):
        dock.detect.form.set_values({"sensitivity": 0.7})
    assert not asked
    assert len(dock.session.cells) == 5


def test_annotated_cells_stay_at_another_sensitivity(dock, qtbot, asked):
    detected(dock, qtbot)
    rbc = dock.session.palette.ids[0]
    dock.session.active_class = rbc
    dock.controller.show_step("annotate")
    dock.controller.canvas.click(15)
    dock.controller.show_step("detect")
    centre = dock.session.cells.centres[14]
    with qtbot.waitSignal(dock.controller.tasks.detected):
        dock.detect.form.set_values({"sensitivity": 0.1})
    assert dock.session.annotated == {15: rbc}
    kept = dock.session.cells.centres[dock.session.cells.position[15]]
    np.testing.assert_allclose(kept, centre)


def test_found_cells_that_cannot_be_saved_are_told(dock, qtbot, asked, monkeypatch):
    """A full disk, for example: the earlier cells stay."""
    detected(dock, qtbot)
    before = dock.session.cells

    def full(*_):
        raise StorageError("“cells” was not saved: the disk is full. Free some space.")

    monkeypatch.setattr(dock.session.project, "save_cells", full)
    with qtbot.waitSignal(dock.controller.tasks.refused):
        dock.detect.button.click()
    assert dock.messages.level == "warning"
    assert "the disk is full" in dock.messages.text
    assert dock.session.cells is before
    qtbot.waitUntil(dock.detect.button.isEnabled, timeout=30_000)


def test_the_whole_picture_becomes_the_cell(dock, qtbot, asked):
    dock.detect.use_whole.setChecked(True)
    detected(dock, qtbot)
    cells = dock.session.cells
    assert asked == []
    assert cells.source == "whole"
    assert cells.boxes.tolist() == [[0, 0, *dock.session.image.shape]]
    assert "whole picture" in dock.detect.result.text()


def test_an_annotated_whole_picture_and_its_cells_are_kept_apart(dock, qtbot, asked):
    dock.detect.use_whole.setChecked(True)
    detected(dock, qtbot)
    session = dock.session
    session.annotate([1], session.palette.ids[0])
    dock.detect.use_detector.setChecked(True)
    detected(dock, qtbot)
    assert len(session.cells) == 16  # the picture, and its 15 cells
    assert session.annotated == {1: session.palette.ids[0]}
    row, col = np.rint(session.cells.centres[5]).astype(int)
    assert int(session.cells.labels[row, col]) == session.cells.ids[5]  # is not covered


def test_a_whole_picture_is_framed_and_not_covered(dock, qtbot, asked):
    dock.detect.use_whole.setChecked(True)
    detected(dock, qtbot)
    dock.session.annotate([1], dock.session.palette.ids[0])
    assert dock.controller.bridge.cells_layer.contour >= 2
