"""Adapting in a real viewer: button → child → verdict → use → back; the annotations stay."""

from __future__ import annotations

import pytest

from napari_hemacells.core.store import Project
from napari_hemacells.session import Session
from napari_hemacells.widgets import HemaCellsWidget
from painted_slides import children, painted_project

pytestmark = [pytest.mark.viewer, pytest.mark.slow, pytest.mark.timeout(600)]
pytest.importorskip("lightly", reason="the extra adapt is not installed")

BASE = "untrained:test_vit?size=32"
WAIT = 300_000


@pytest.fixture
def project(tmp_path):
    """Two slides of twenty cells, eight of each annotated, looked at with a tiny network."""
    return painted_project(tmp_path, 8, BASE)


@pytest.fixture
def dock(make_napari_viewer_proxy, qtbot, monkeypatch, tmp_path, project):
    """The dock of a real viewer, at the step Classify, with the project open."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    viewer = make_napari_viewer_proxy(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-hemacells", "HemaCells")
    assert isinstance(dock, HemaCellsWidget)
    dock.controller.project_controller.open_project(project)
    qtbot.waitUntil(lambda: dock.session.prediction is not None, timeout=WAIT)
    dock.controller.show_step("classify")
    run = dock.controller.adapt_controller.run
    changes = {"steps": 2, "batch_size": 8, "rate": 1e-12, "device": "cpu"}
    run.params = run.params.model_copy(update=changes)  # so slow that nothing gets worse
    return dock


def test_an_encoder_is_adapted_used_and_put_back(dock, qtbot):
    adapted(dock, qtbot)
    used_and_put_back(dock, qtbot)
    dock.controller.close()
    assert children() == []


def adapted(dock, qtbot):
    """Start, go on annotating, and be asked what to do with the result."""
    box, session = dock.classify.adapt, dock.session
    box.title.click()
    assert "40 cells of 2 images" in box.lessons.text()
    assert "16 of your annotations evaluate" in box.lessons.text()
    box.start.click()
    qtbot.waitUntil(lambda: bool(children()), timeout=WAIT)
    before = len(session.annotated)
    session.annotate([session.queue("active")[0]], session.palette.by_name("RBC").id)
    assert len(session.annotated) == before + 1
    dock.controller.show_step("annotate")  # the box goes out of sight, the adaptation goes on
    dock.controller.show_step("classify")
    assert dock.controller.adapt_controller.run.running
    qtbot.waitUntil(box.use.isVisible, timeout=WAIT)
    assert children() == []
    assert "on your 16 annotations" in box.outcome.text()
    assert "Kept" in box.outcome.text()


def used_and_put_back(dock, qtbot):
    """The cells are embedded anew, and once more; what was annotated is as it was."""
    box, session = dock.classify.adapt, dock.session
    said, former = session.class_of_cell(), session.embeddings.encoder
    box.use.click()
    qtbot.waitUntil(lambda: looks_with(session, "adapted:"), timeout=WAIT)
    assert session.embeddings.encoder.sha256 != former.sha256
    assert dock.classify.encoder.combo.currentText().startswith("Adapted to 40 cells")
    kept = Project.open(session.project.folder).content.encoder_name
    assert kept == session.live.encoder
    assert kept.startswith("adapted:")
    assert session.class_of_cell() == said
    box.back.click()
    qtbot.waitUntil(lambda: looks_with(session, former.name), timeout=WAIT)
    assert session.embeddings.encoder == former
    assert session.class_of_cell() == said
    assert not box.back.isVisible()
    qtbot.waitUntil(lambda: not dock.controller.tasks.jobs.busy, timeout=WAIT)


def looks_with(session, name: str) -> bool:
    """Whether cells are classified with an encoder of such a name."""
    known = session.embeddings
    return (
        known is not None
        and session.prediction is not None
        and known.encoder.name.startswith(name)
    )


def test_viewer_closed_while_it_learns(dock, qtbot):
    box, session = dock.classify.adapt, dock.session
    folder, said = session.project.folder, session.class_of_cell()
    box.title.click()
    box.start.click()
    qtbot.waitUntil(lambda: bool(children()), timeout=WAIT)
    dock.controller.close()
    assert children() == []
    qtbot.waitUntil(lambda: not (folder / "adapted").exists(), timeout=WAIT)
    again = Session("anna")
    again.use_project(Project.open(folder))
    assert again.class_of_cell() == said
    assert again.live.encoder == BASE
    again.close()
