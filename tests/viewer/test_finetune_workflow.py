"""Fine-tuning in a real viewer: annotate → train in a child → matrix → take over → back."""

from __future__ import annotations

import pytest

from napari_hemacells.widgets import HemaCellsWidget
from painted_slides import children, painted_project

pytestmark = [pytest.mark.viewer, pytest.mark.slow, pytest.mark.timeout(900)]

WAIT = 400_000


@pytest.fixture
def project(tmp_path):
    """Two slides, sixteen cells of each annotated."""
    return painted_project(tmp_path, 16)


def test_a_classifier_is_fine_tuned_taken_over_and_put_back(
    make_napari_viewer_proxy, qtbot, monkeypatch, tmp_path, project
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    viewer = make_napari_viewer_proxy(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-hemacells", "HemaCells")
    assert isinstance(dock, HemaCellsWidget)
    dock.controller.project_controller.open_project(project)
    qtbot.waitUntil(lambda: dock.session.prediction is not None, timeout=WAIT)

    trained(dock, qtbot)
    looked_at(dock, qtbot)
    taken_over_and_back(dock, qtbot)

    dock.controller.close()
    assert children() == []


def trained(dock, qtbot):
    """Start, go on annotating, and be asked what to do with the result."""
    page, session = dock.finetune, dock.session
    dock.controller.show_step("classify")
    dock.classify.finetune.click()
    page.form.recipe.setCurrentIndex(page.form.recipe.findData("from nothing"))
    page.form.arch.setCurrentText("test_resnet")
    page.form.training.set_values({"epochs": 3, "batch": 8})
    assert "1 of 2 images" in page.split.text()
    assert page.start.isEnabled()
    page.start.click()
    qtbot.waitUntil(lambda: bool(children()), timeout=WAIT)
    before = len(session.annotated)
    session.annotate([session.queue("active")[0]], session.palette.by_name("RBC").id)
    assert len(session.annotated) == before + 1
    assert dock.controller.finetune_controller.run.jobs.running("train")
    qtbot.waitUntil(lambda: page.take_over.isVisibleTo(page), timeout=WAIT)
    assert children() == []
    assert page.curves.curves.metrics["accuracy"]
    assert "held-out cells" in page.outcome.text()


def looked_at(dock, qtbot):
    """A cell of the matrix opens its crops, and the canvas goes to the first on its slide."""
    run, result = dock.controller.finetune_controller.run, dock.finetune.result
    first = run.result.findings.items[0]
    result.choose(first.label, first.predicted)
    qtbot.waitUntil(lambda: dock.controller.canvas.current > 0, timeout=WAIT)
    assert dock.session.image.key in first.key
    assert dock.gallery.model.proposed
    assert dock.step == "classify"
    assert result.report.isEnabled()


def taken_over_and_back(dock, qtbot):
    page, session = dock.finetune, dock.session
    said = session.class_of_cell()
    page.take_over.click()
    model = session.live.model.bundle.encoder
    qtbot.waitUntil(
        lambda: session.prediction is not None and session.embeddings.encoder == model,
        timeout=WAIT,
    )
    assert model.name == "finetuned.test_resnet"
    page.in_use.setCurrentIndex(0)
    qtbot.waitUntil(
        lambda: session.prediction is not None and session.embeddings.encoder != model,
        timeout=WAIT,
    )
    assert session.class_of_cell() == said
