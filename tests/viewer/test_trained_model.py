"""A model of ``hemacells train`` in the dock: it classifies at once, says unknown, shows heat."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_hemacells.core.crop import extract_crops
from napari_hemacells.core.detect import cells_from_points
from napari_hemacells.core.image import read_image
from napari_hemacells.core.store import Project
from napari_hemacells.core.train.classifier import ClassifierConfig
from napari_hemacells.core.train.classifier.dataset import write_examples, write_spec
from napari_hemacells.core.train.classifier.pipeline import train
from napari_hemacells.core.train.classifier.training import TrainJob
from napari_hemacells.core.types import UNKNOWN, CropSpec
from napari_hemacells.session import Session
from napari_hemacells.widgets import HemaCellsWidget
from painted_slides import CELL, PLACES, kind_of, paint

pytestmark = [pytest.mark.viewer, pytest.mark.slow, pytest.mark.timeout(900)]

WAIT = 300_000
STRANGE = 7  # the cell that is like none of the classes


def class_folders(folder):
    """Crops of the cells of three other slides, in one folder for each kind."""
    spec, crops = CropSpec(32, 1.6), []
    for seed in (11, 12, 13):
        paint(folder.parent / f"taught{seed}.png", seed)
        image = read_image(folder.parent / f"taught{seed}.png")
        cells = cells_from_points(PLACES, image.shape, 2.0 * CELL)
        crops.append(extract_crops(image, cells, spec, [cells.labels[at] for at in PLACES]))
    write_examples(folder, np.concatenate(crops), [kind_of(n) for n in range(len(PLACES))] * 3)
    write_spec(folder, spec)
    return folder


@pytest.fixture
def run_folder(tmp_path):
    """What the command writes: a training on class folders."""
    recipe = ClassifierConfig(
        arch="test_resnet", weights="none", size=32, frozen_epochs=0, epochs=10, rate=3e-3,
        batch=8, device="cpu",
    )  # fmt: skip
    source = class_folders(tmp_path / "crops")
    train(TrainJob(source, tmp_path / "run", recipe, name="run"))
    return tmp_path / "run"


@pytest.fixture
def project(tmp_path):
    """A slide of twenty cells, one of them bright green; nothing is annotated."""
    path = tmp_path / "slide.png"
    paint(path, 0)
    pixels = np.asarray(Image.open(path)).copy()
    row, col = PLACES[STRANGE]
    pixels[row - CELL : row + CELL, col - CELL : col + CELL] = (0, 255, 0)
    Image.fromarray(pixels).save(path)
    session = Session("anna")
    session.use_project(Project.create(tmp_path / "project"))
    image = read_image(path)
    session.show_image(image)
    session.set_cells(cells_from_points(PLACES, image.shape, 2.0 * CELL))
    session.close()
    return tmp_path / "project"


def test_trained_model_classifies_at_once_and_shows_its_heat(
    make_napari_viewer_proxy, qtbot, monkeypatch, tmp_path, project, run_folder
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    viewer = make_napari_viewer_proxy(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-hemacells", "HemaCells")
    assert isinstance(dock, HemaCellsWidget)
    session = dock.session
    dock.controller.project_controller.open_project(project)
    qtbot.waitUntil(lambda: session.cells is not None, timeout=WAIT)
    dock.controller.show_step("classify")
    qtbot.waitUntil(lambda: session.embeddings is not None, timeout=WAIT)
    assert not dock.classify.heat.isEnabled()

    dock.controller.classify_controller.load_bundle(run_folder / "model")
    qtbot.waitUntil(lambda: session.prediction is not None, timeout=WAIT)
    classified(session)
    heat_comes_and_goes(viewer, dock, qtbot)
    dock.controller.close()


def classified(session):
    """All cells have their class without a click, and the green one is unknown."""
    names = {one.id: one.name for one in session.palette}
    prediction, at = session.prediction, session.cells.labels
    best = [prediction.class_ids[place] for place in prediction.predicted_column]
    shown = [UNKNOWN if far else one for one, far in zip(best, prediction.verdict, strict=True)]
    said = dict(zip(prediction.ids.tolist(), shown, strict=True))
    cells = {place: int(at[row_col]) for place, row_col in enumerate(PLACES)}
    right = [
        names.get(said[cell]) == kind_of(place)
        for place, cell in cells.items()
        if place != STRANGE and said[cell] != UNKNOWN
    ]
    assert len(right) > len(PLACES) // 2  # the others are unknown, none is wrong
    assert all(right)
    assert said[cells[STRANGE]] == UNKNOWN


def heat_comes_and_goes(viewer, dock, qtbot):
    """The heat lies on the cell's box, is additive, and the image in use stays."""
    session, canvas = dock.session, dock.controller.canvas
    qtbot.waitUntil(dock.classify.heat.isEnabled, timeout=WAIT)
    cell, key = int(session.cells.ids[3]), session.image.key
    canvas.choose(cell)
    dock.classify.heat.click()
    qtbot.waitUntil(lambda: "Heat map" in viewer.layers, timeout=WAIT)
    layer = viewer.layers["Heat map"]
    assert layer.blending == "additive"
    assert 0 <= layer.data.min() < layer.data.max() <= 1
    top, left, bottom, right = session.cells.boxes[session.cells.position[cell]].tolist()
    centre = np.asarray(layer.extent.world).mean(axis=0)
    assert centre == pytest.approx(((top + bottom) / 2 - 0.5, (left + right) / 2 - 0.5), abs=0.6)
    side = np.ptp(np.asarray(layer.extent.world), axis=0)[0]
    context = session.live.bundle.spec.context
    assert side == pytest.approx(context * max(bottom - top, right - left), rel=0.1)
    assert session.image.key == key
    canvas.heat_requested.emit()  # the key
    assert "Heat map" not in viewer.layers
