"""Every documented gesture of the canvas (docs/reference/keys.md), by real events."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from made_up import make_embeddings
from napari_hemacells.core.detect import cells_from_labels
from napari_hemacells.core.detect.proposal import Proposal, mask_in_window
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks
from napari_hemacells.widgets.detect import edit_tools

pytestmark = pytest.mark.viewer

PLACES = {1: (30, 30), 2: (30, 80), 3: (30, 130), 4: (90, 30), 5: (90, 54)}
GLASS = (90, 130)
SHIFT, ALT, CTRL = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.ControlModifier,
)
NONE = Qt.KeyboardModifier.NoModifier


class Hands(NamedTuple):
    """A mouse and a keyboard on the canvas of a viewer."""

    viewer: object

    @property
    def native(self):
        return self.viewer.window._qt_viewer.canvas.native

    def on_canvas(self, row, col):
        camera = getattr(self.viewer, "scene", self.viewer).camera
        down, right = (np.array([row, col]) - np.asarray(camera.center[-2:])) * camera.zoom
        return QPoint(
            round(self.native.width() / 2 + right), round(self.native.height() / 2 + down)
        )

    def point(self, place, buttons=Qt.MouseButton.NoButton, keys=NONE):
        where = QPointF(self.on_canvas(*place))
        moved = QMouseEvent(
            QEvent.Type.MouseMove, where, self.native.mapToGlobal(where),
            Qt.MouseButton.NoButton, buttons, keys,
        )  # fmt: skip
        QApplication.sendEvent(self.native, moved)
        QTest.qWait(20)  # napari takes moves that come faster than 5 ms together

    def click(self, place, keys=NONE, button=Qt.MouseButton.LeftButton):
        self.native.setFocus()
        self.point(place)
        QTest.mouseClick(self.native, button, keys, self.on_canvas(*place))

    def drag(self, start, end):
        left = Qt.MouseButton.LeftButton
        QTest.mousePress(self.native, left, NONE, self.on_canvas(*start))
        for share in (0.25, 0.5, 0.75, 1.0):
            middle = np.asarray(start) + share * (np.asarray(end) - start)
            self.point(middle, left)
        QTest.mouseRelease(self.native, left, NONE, self.on_canvas(*end))

    def press(self, key, keys=NONE):
        QTest.keyClick(self.native, key, keys)


@pytest.fixture(autouse=True)
def without_networks(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    def embed(image, cells, *_settings, **_places):
        from napari_hemacells.core.encode import Device

        yield Progress(0, len(cells), "Embedding cells")
        return make_embeddings(image, cells), Device("cpu", "A test.")

    def square(image, cells, point, weights):
        yield Progress(0, 0)
        row, col = (int(at) for at in point)
        mask = mask_in_window(
            np.ones((5, 5), bool), (slice(row - 2, row + 3), slice(col - 2, col + 3))
        )
        return Proposal("RBC", 0.5, mask.box, mask, "network")

    monkeypatch.setattr(tasks, "embedding_steps", embed)
    monkeypatch.setattr(edit_tools, "proposal_steps", square)


@pytest.fixture
def dock(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    rows, cols = np.mgrid[:120, :160]
    labels = np.zeros((120, 160), int)
    for cell, (row, col) in PLACES.items():
        labels[(rows - row) ** 2 + (cols - col) ** 2 <= 144] = cell
    pixels = np.where(labels[..., None] > 0, 120, 230).astype(np.uint8).repeat(3, axis=-1)
    viewer.add_image(pixels, name="smear", rgb=True)
    widget = HemaCellsWidget(viewer)
    viewer.window.add_dock_widget(widget, name="HemaCells", area="right")
    with qtbot.waitSignal(widget.controller.tasks.device_known):
        widget.session.set_cells(cells_from_labels(labels, labels.shape))
    widget.controller.show_step("annotate")
    yield widget
    widget.controller.close()


def test_every_gesture_does_what_the_table_of_keys_says(dock, qtbot):
    """One viewer for all of them, as opening one is what takes the time."""
    session, editor, canvas = dock.session, dock.controller.cell_editor, dock.controller.canvas
    hands = Hands(dock.controller.bridge.viewer)
    first, second = session.palette.ids[:2]

    # a click, the right button, the digits
    hands.click(PLACES[1])
    assert session.annotated == {1: first}
    hands.click(PLACES[1], button=Qt.MouseButton.RightButton)
    assert session.annotated == {}
    hands.point(PLACES[2])
    hands.press(Qt.Key.Key_2)
    assert session.annotated == {2: second}
    hands.press(Qt.Key.Key_0)
    assert session.annotated == {}

    # not a cell: the class comes with its first use, and goes with it
    hands.press(Qt.Key.Key_X)
    assert session.annotated == {2: "not_a_cell"}
    hands.press(Qt.Key.Key_U)
    hands.press(Qt.Key.Key_U)
    assert "not_a_cell" not in session.palette

    # undo and redo, each by its keys
    for undo in ((Qt.Key.Key_U, NONE), (Qt.Key.Key_Z, CTRL)):
        for redo in ((Qt.Key.Key_Z, CTRL | SHIFT), (Qt.Key.Key_Y, CTRL)):
            hands.press(*undo)
            assert session.annotated == {2: second}
            hands.press(*redo)
            assert session.annotated == {}

    # next, previous
    hands.press(Qt.Key.Key_N)
    gone_to = canvas.current
    hands.press(Qt.Key.Key_N)
    assert canvas.current != gone_to
    hands.press(Qt.Key.Key_B)
    assert canvas.current == gone_to
    hands.press(Qt.Key.Key_N)
    hands.press(Qt.Key.Key_N, SHIFT)
    assert canvas.current == gone_to

    # Shift-click chooses and gives no class; Esc lets go; V shows otherwise
    hands.click(PLACES[4], SHIFT)
    hands.click(PLACES[5], SHIFT)
    assert editor.chosen == [4, 5]
    assert session.annotated == {}
    hands.press(Qt.Key.Key_Escape)
    assert editor.chosen == []
    modes = []
    for _ in range(4):
        hands.press(Qt.Key.Key_V)
        modes.append(canvas.mode)
    assert set(modes) == {"image", "class", "confidence", "odd"}
    assert hands.viewer.layers["Cells"].visible

    # merging the chosen cells
    hands.click(PLACES[4], SHIFT)
    hands.click(PLACES[5], SHIFT)
    hands.press(Qt.Key.Key_M)
    assert not {4, 5} & set(session.cells.ids.tolist())
    assert session.cells.labels[PLACES[4]] == session.cells.labels[PLACES[5]] > 0

    # splitting: by key, then along a drawn line
    whole = session.cells.labels[PLACES[4]]
    hands.point(PLACES[4])
    hands.press(Qt.Key.Key_S)
    assert whole not in session.cells.ids
    assert session.cells.labels[PLACES[4]] != session.cells.labels[PLACES[5]]
    hands.press(Qt.Key.Key_U)
    assert whole in session.cells.ids
    editor.take("split")
    hands.drag((70, 42), (110, 42))
    assert whole not in session.cells.ids
    assert session.cells.labels[PLACES[4]] != session.cells.labels[PLACES[5]]
    hands.press(Qt.Key.Key_Escape)

    # deleting by both keys
    for cell, key in ((1, Qt.Key.Key_Delete), (2, Qt.Key.Key_Backspace)):
        hands.point(PLACES[cell])
        hands.press(key)
        assert cell not in session.cells.ids

    # adding: Alt-click, then the key
    for place, add in (
        (GLASS, lambda: hands.click(GLASS, ALT)),
        ((60, 100), lambda: (hands.point((60, 100)), hands.press(Qt.Key.Key_A))),
    ):
        count = len(session.cells)
        add()
        qtbot.waitUntil(lambda count=count: len(session.cells) == count + 1)
        assert session.cells.labels[place] > 0
    assert session.annotated == {}


def test_gestures_on_another_layer_are_naparis(dock):
    session, viewer = dock.session, dock.controller.bridge.viewer
    hands = Hands(viewer)
    viewer.add_points(np.zeros((0, 2)), name="mine")
    for keys in (NONE, SHIFT, ALT):
        hands.click(PLACES[1], keys)
    hands.press(Qt.Key.Key_1)
    assert session.annotated == {}
    assert dock.controller.cell_editor.chosen == []
    assert len(session.cells) == len(PLACES)

    # the table of keys, by both keys and wherever the keyboard has the question mark
    for key, keys in ((Qt.Key.Key_F1, NONE), (Qt.Key.Key_Question, SHIFT)):
        hands.press(key, keys)
        assert dock.keys.isVisible()
        dock.keys.close()
