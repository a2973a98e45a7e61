"""Keys of the canvas in a real viewer: next cell, other classes, help."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel

from napari_hemacells.core.detect import cells_from_labels
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks

pytestmark = pytest.mark.viewer


@pytest.fixture
def viewer(make_napari_viewer, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(tasks.BackgroundTasks, "embed", lambda *_: None)
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.full((400, 400, 3), 235, np.uint8), name="field")
    return viewer


@pytest.fixture
def dock(viewer, qtbot):
    dock = HemaCellsWidget(viewer)
    viewer.window.add_dock_widget(dock, name="HemaCells", area="right")
    labels = np.zeros((400, 400), np.int32)
    for cell in range(16):
        row, col = 50 + 100 * (cell // 4), 50 + 100 * (cell % 4)
        labels[row - 15 : row + 15, col - 15 : col + 15] = cell + 1
    dock.session.set_cells(cells_from_labels(labels, labels.shape))
    dock.controller.show_step("annotate")
    qtbot.wait(300)
    yield dock
    dock.controller.close()


def key(viewer, qtbot, pressed, modifier=Qt.KeyboardModifier.NoModifier) -> None:
    QTest.keyClick(viewer.window._qt_viewer.canvas.native, pressed, modifier)
    qtbot.wait(50)


def camera(viewer):
    return getattr(viewer, "scene", viewer).camera


def test_next_leaves_the_image_where_it_is_while_the_cell_is_in_sight(viewer, dock, qtbot):
    viewer.reset_view()
    qtbot.wait(300)
    middle, zoom = tuple(camera(viewer).center), camera(viewer).zoom
    gone_to = set()
    for _ in range(4):
        key(viewer, qtbot, Qt.Key.Key_N)
        gone_to.add(dock.controller.canvas.current)
    assert len(gone_to) > 1
    assert tuple(camera(viewer).center) == middle
    assert camera(viewer).zoom == zoom


def test_next_brings_a_cell_into_sight(viewer, dock, qtbot):
    camera(viewer).center = (0, 40, 40)
    camera(viewer).zoom = 8
    qtbot.wait(300)
    dock.controller.canvas.go_to(16)
    assert camera(viewer).center[-2:] == pytest.approx((349.5, 349.5), abs=1)


def test_a_class_beyond_the_ninth_is_reached_by_key(viewer, dock, qtbot):
    session = dock.session
    for number in range(12 - len(session.palette)):
        session.add_class(f"More {number}")
    ids = session.palette.ids
    session.active_class = ids[8]
    for _ in range(3):
        key(viewer, qtbot, Qt.Key.Key_BracketRight)
    assert session.active_class == ids[11]
    assert session.palette.by_id(ids[11]).key is None
    key(viewer, qtbot, Qt.Key.Key_BracketRight)
    assert session.active_class == ids[0]
    key(viewer, qtbot, Qt.Key.Key_BracketLeft)
    assert session.active_class == ids[11]


def test_f1_shows_all_keys_from_the_canvas_and_from_the_dock(viewer, dock, qtbot):
    key(viewer, qtbot, Qt.Key.Key_F1)
    assert dock.keys is not None
    assert dock.keys.isVisible()
    QTest.keyClick(dock.keys, Qt.Key.Key_F1)
    assert not dock.keys.isVisible()
    QTest.keyClick(dock, Qt.Key.Key_Question, Qt.KeyboardModifier.ShiftModifier)
    assert dock.keys.isVisible()
    dock.keys.close()
    QTest.keyClick(dock.annotate.next_button, Qt.Key.Key_F1)
    assert dock.keys.isVisible()
    shown = [label.text() for label in dock.keys.findChildren(QLabel)]
    assert {"N", "Shift+click", "1 to 9", "F1", "]"} <= set(shown)
