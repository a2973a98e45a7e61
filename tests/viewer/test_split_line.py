"""Splitting along a line with a real mouse in a real viewer."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_hemacells.core.detect import cells_from_labels
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks

pytestmark = pytest.mark.viewer

SHAPE = (200, 240)
TWINS = ((60, 60), (60, 86))  # two cells that were found as one
RADIUS = 15


def discs() -> np.ndarray:
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    labels = np.zeros(SHAPE, np.int32)
    for row, col in TWINS:
        labels[np.hypot(rows - row, cols - col) < RADIUS] = 1
    labels[np.hypot(rows - 140, cols - 60) < RADIUS] = 2
    labels[np.hypot(rows - 140, cols - 160) < RADIUS] = 3
    return labels


@pytest.fixture
def errors(monkeypatch):
    """What would have been shown to the user as an error of the program."""
    seen = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, _trace: seen.append((kind, error)))
    return seen


@pytest.fixture
def viewer(make_napari_viewer, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(tasks.BackgroundTasks, "embed", lambda *_: None)
    viewer = make_napari_viewer(show=True)
    labels = discs()
    pixels = np.full((*SHAPE, 3), 235, np.uint8)
    pixels[labels > 0] = (200, 120, 130)
    viewer.add_image(pixels, name="field")
    return viewer


@pytest.fixture
def dock(viewer, qtbot):
    dock = HemaCellsWidget(viewer)
    viewer.window.add_dock_widget(dock, name="HemaCells", area="right")
    labels = discs()
    dock.session.set_cells(cells_from_labels(labels, SHAPE))
    dock.controller.show_step("annotate")
    qtbot.wait(200)
    yield dock
    dock.controller.close()


def spot(viewer, row: float, col: float) -> QPoint:
    """Where on the canvas a place of the image is."""
    canvas = viewer.window._qt_viewer.canvas.native
    camera = getattr(viewer, "scene", viewer).camera
    middle = canvas.rect().center()
    down, across = (np.array([row, col]) - np.asarray(camera.center)[-2:]) * camera.zoom
    return QPoint(round(middle.x() + across), round(middle.y() + down))


def move_pressed(canvas, where: QPoint) -> None:
    """Move with the left button down, of which ``QTest.mouseMove`` knows nothing."""
    left = Qt.MouseButton.LeftButton
    place = QPointF(where)
    event = QMouseEvent(
        QEvent.Type.MouseMove, place, canvas.mapToGlobal(place), left, left,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    QApplication.sendEvent(canvas, event)


def drag(viewer, qtbot, start, end) -> None:
    """Press, move in steps, release, as a hand does."""
    canvas = viewer.window._qt_viewer.canvas.native
    first = spot(viewer, *start)
    QTest.mouseMove(canvas, first)
    qtbot.wait(30)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=first)
    last = spot(viewer, *end)
    for share in np.linspace(0, 1, 9)[1:]:
        move_pressed(canvas, first + share * (last - first))
        qtbot.wait(20)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=last)
    qtbot.wait(50)


def pans(viewer) -> bool:
    """Whether a drag moves the image, as the canvas has it."""
    return bool(viewer.window._qt_viewer.canvas.view.camera.mouse_pan)


def wander(viewer, qtbot) -> None:
    """Move the mouse over cells and glass."""
    canvas = viewer.window._qt_viewer.canvas.native
    for row, col in ((60, 60), (60, 86), (100, 120), (140, 60), (140, 160), (30, 30)):
        QTest.mouseMove(canvas, spot(viewer, row, col))
        qtbot.wait(30)


BETWEEN = ((35, 73), (85, 73))  # from above the twins to below them


def test_a_line_splits_the_cell_and_nothing_fails(viewer, dock, qtbot, errors):
    bar = dock.annotate.edit_bar
    wander(viewer, qtbot)
    bar.split_button.click()
    assert "draw a line across it" in bar.hint.text()
    drag(viewer, qtbot, *BETWEEN)
    wander(viewer, qtbot)
    assert len(dock.session.cells) == 4
    assert dock.messages.text.startswith("Split.")
    labels = np.asarray(dock.session.cells.labels)
    assert labels[TWINS[0]] != labels[TWINS[1]]
    assert errors == []
    QTest.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_Escape)
    qtbot.wait(50)
    assert "draw a line" not in bar.hint.text()


def test_undo_and_another_line_and_nothing_fails(viewer, dock, qtbot, errors):
    dock.annotate.edit_bar.split_button.click()
    for _ in range(3):
        drag(viewer, qtbot, *BETWEEN)
        assert len(dock.session.cells) == 4
        dock.controller.canvas.undo()
        wander(viewer, qtbot)
        assert len(dock.session.cells) == 3
    drag(viewer, qtbot, (20, 180), (30, 220))
    assert "crosses no cell" in dock.messages.text
    wander(viewer, qtbot)
    assert errors == []


def test_the_line_is_drawn_where_the_image_layer_is_the_active_one(viewer, dock, qtbot, errors):
    """After a project was opened the image is active: a drag must draw and not pan."""
    viewer.layers.selection.active = viewer.layers["field"]
    dock.annotate.edit_bar.split_button.click()
    assert not pans(viewer)
    drag(viewer, qtbot, *BETWEEN)
    assert len(dock.session.cells) == 4
    assert errors == []


def test_when_the_tool_is_put_away_a_drag_pans_again(viewer, dock, qtbot):
    viewer.layers.selection.active = viewer.layers["field"]
    dock.annotate.edit_bar.split_button.click()
    assert not pans(viewer)
    dock.annotate.edit_bar.split_button.click()
    assert pans(viewer)
    drag(viewer, qtbot, *BETWEEN)
    assert len(dock.session.cells) == 3
