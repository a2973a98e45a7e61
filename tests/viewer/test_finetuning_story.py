"""Fine-tuning in a real viewer: annotate → train in a child → matrix → take over → back."""

from __future__ import annotations

import numpy as np
import psutil
import pytest
from PIL import Image

from napari_hemacells.core.detect import cells_from_points
from napari_hemacells.core.image import read_image
from napari_hemacells.core.store import Project
from napari_hemacells.session import Session
from napari_hemacells.widgets import HemaCellsWidget

pytestmark = [pytest.mark.viewer, pytest.mark.slow, pytest.mark.timeout(900)]

CELL, GLASS = 11, (235, 232, 228)
COLOURS = {"RBC": (205, 130, 130), "WBC": (110, 60, 150)}
PLACES = [(25 + 48 * row, 28 + 45 * col) for row in range(4) for col in range(5)]
WAIT = 400_000


def kind_of(place: int) -> str:
    return "WBC" if place % 2 else "RBC"


def paint(path, seed):
    """Twenty round cells on a grid, every other one purple."""
    rng = np.random.default_rng(seed)
    pixels = np.full((200, 240, 3), GLASS, float)
    rows, cols = np.mgrid[:200, :240]
    for number, (row, col) in enumerate(PLACES):
        inside = (rows - row) ** 2 + (cols - col) ** 2 < CELL**2
        pixels[inside] = COLOURS[kind_of(number)]
    noisy = np.clip(pixels + rng.normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(path)


@pytest.fixture
def project(tmp_path):
    """Two slides, sixteen cells of each annotated."""
    session = Session("anna")
    session.use_project(Project.create(tmp_path / "project"))
    for seed in (1, 0):
        path = tmp_path / f"slide{seed}.png"
        paint(path, seed)
        image = read_image(path)
        session.show_image(image)
        session.set_cells(cells_from_points(PLACES, image.shape, 2.0 * CELL))
        at = {int(session.cells.labels[place]): n for n, place in enumerate(PLACES)}
        for name in COLOURS:
            chosen = [cell for cell, n in at.items() if n < 16 and kind_of(n) == name]
            session.annotate(chosen, session.palette.by_name(name).id)
    session.close()
    return tmp_path / "project"


def children() -> list[int]:
    """Trainings that run below this process."""
    found = psutil.Process().children(recursive=True)
    return [one.pid for one in found if "child_main" in " ".join(one.cmdline())]


def test_a_classifier_is_fine_tuned_taken_over_and_put_back(
    make_napari_viewer_proxy, qtbot, monkeypatch, tmp_path, project
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    viewer = make_napari_viewer_proxy(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-hemacells", "HemaCells")
    assert isinstance(dock, HemaCellsWidget)
    dock.controller.opening.open_project(project)
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
    assert dock.controller.finetuning.run.jobs.running("train")
    qtbot.waitUntil(lambda: page.take_over.isVisibleTo(page), timeout=WAIT)
    assert children() == []
    assert page.curves.curves.metrics["accuracy"]
    assert "held-out cells" in page.outcome.text()


def looked_at(dock, qtbot):
    """A cell of the matrix opens its crops, and the canvas goes to the first on its slide."""
    run, result = dock.controller.finetuning.run, dock.finetune.result
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
