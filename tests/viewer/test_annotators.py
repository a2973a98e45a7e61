"""Several annotators in a real viewer: points of a file, slider, taken over, by the mouse."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks

pytestmark = pytest.mark.viewer

WAIT = 60_000
PLACES = ((40, 40), (40, 120), (120, 40), (120, 120))


def write_points(file):
    rows = ["image,annotator,row,column,class"]
    for number, who in enumerate(("Ana", "Ben", "Eva")):
        for row, col in PLACES[: 4 - (who == "Eva")]:
            rows.append(f"field,{who},{row + 2 * number},{col - 3 * number},alive")
    file.write_text("\n".join(rows))


def test_points_are_seen_and_taken_over(make_napari_viewer, qtbot, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(tasks.BackgroundTasks, "embed", lambda _self: None)
    file = tmp_path / "points.csv"
    write_points(file)
    monkeypatch.setattr(
        "qtpy.QtWidgets.QFileDialog.getOpenFileNames", lambda *_: ([str(file)], "")
    )
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.full((160, 160, 3), 230, np.uint8), name="field")
    dock = HemaCellsWidget(viewer)
    viewer.window.add_dock_widget(dock, name="HemaCells", area="right")
    qtbot.waitUntil(lambda: dock.session.image is not None, timeout=WAIT)
    panel, controller = dock.annotators, dock.controller.annotators

    qtbot.waitUntil(panel.title.isVisible, timeout=WAIT)
    press(panel.title)
    assert panel.title.isChecked()
    assert panel.body.isVisible()
    press(panel.files_button)
    qtbot.waitUntil(lambda: controller.consensus is not None, timeout=WAIT)
    assert [len(controller.layers._catalog.find(role).data) for role in
            ("annotators", "consensus", "disagreements")] == [11, 4, 1]  # fmt: skip

    before = controller.consensus
    panel.slider.setFocus()
    QTest.keyClick(panel.slider, Qt.Key.Key_Home)  # 2 px: nobody is near enough
    qtbot.waitUntil(lambda: controller.consensus is not before, timeout=WAIT)
    assert len(controller.layers._catalog.find("consensus").data) == 0
    assert not panel.take_button.isEnabled()

    before = controller.consensus
    press(panel.learnt)
    qtbot.waitUntil(lambda: controller.consensus is not before, timeout=WAIT)
    press(panel.take_button)
    assert len(dock.session.cells) == 4
    assert len(dock.session.annotated) == 4
    press(panel.next_button)
    assert "2 of 3 marked it" in dock.messages.text
    QTest.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: not len(dock.session.cells), timeout=WAIT)
    dock.controller.close()


CTRL = Qt.KeyboardModifier.ControlModifier


def press(button):
    """Press a button or a tick box where its text begins."""
    where = QPoint(8, button.height() // 2)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton, pos=where)
