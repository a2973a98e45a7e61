"""A likeness trained in a real viewer by the mouse: button → child → use → compare → back."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_hemacells.core.store import Project
from napari_hemacells.widgets import HemaCellsWidget
from painted_slides import children, painted_project

pytestmark = [pytest.mark.viewer, pytest.mark.slow, pytest.mark.timeout(600)]

BASE = "untrained:test_vit?size=32"
WAIT = 300_000


@pytest.fixture
def dock(make_napari_viewer_proxy, qtbot, monkeypatch, tmp_path):
    """The dock of a real viewer, at the step Classify, eight cells of each slide annotated."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    viewer = make_napari_viewer_proxy(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-hemacells", "HemaCells")
    assert isinstance(dock, HemaCellsWidget)
    dock.controller.project_controller.open_project(painted_project(tmp_path, 8, BASE))
    qtbot.waitUntil(lambda: dock.session.prediction is not None, timeout=WAIT)
    dock.controller.show_step("classify")
    yield dock
    dock.controller.close()


def click(dock, button) -> None:
    """Click a button of the section with the mouse, where the page shows it."""
    dock.classify_pages.currentWidget().ensureWidgetVisible(button)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.mark.parametrize("network", ["distance", "head"])
def test_a_likeness_is_trained_used_and_left_again(dock, qtbot, network):
    box, session = dock.classify.alike, dock.session
    click(dock, box.title)
    assert "16 annotated cells of 2 kinds" in box.lessons.text()
    box.form.set_values({"network": network})
    click(dock, box.start)
    qtbot.waitUntil(lambda: bool(children()), timeout=WAIT)
    qtbot.waitUntil(box.use.isVisible, timeout=WAIT)
    assert children() == []
    assert "16 annotated cells of 2 kinds" in box.outcome.text()
    before = session.embeddings
    click(dock, box.use)
    assert Project.open(session.project.folder).likeness == session.project.likeness
    assert "In use: a trained one" in box.in_use.text()
    dock.controller.show_step("annotate")
    cells = session.cells.ids.tolist()
    for cell in (cells[0], cells[2]):
        dock.controller.canvas.choose(cell)
        dock.controller.canvas.act("compare")
    qtbot.waitUntil(lambda: "16 annotated" in dock.compare.basis.text(), timeout=WAIT)
    assert session.embeddings is before  # the cells were not embedded anew
    dock.controller.show_step("classify")
    qtbot.waitUntil(box.back.isVisible, timeout=WAIT)
    click(dock, box.back)
    assert Project.open(session.project.folder).likeness is None
    qtbot.waitUntil(lambda: "16 annotated" in dock.compare.basis.text(), timeout=WAIT)
    assert not box.back.isVisible()
