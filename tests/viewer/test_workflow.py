"""The whole story in a real viewer: sample → detect → click → classify → export."""

from __future__ import annotations

import numpy as np
import pytest

from made_up import INFO
from napari_hemacells.core.types import Embeddings
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks

pytestmark = pytest.mark.viewer

CELL, GLASS = 11, (235, 232, 228)
KINDS = {"RBC": (205, 130, 130), "WBC": (110, 60, 150)}
WAIT = 60_000


@pytest.fixture
def field():
    """A field of 20 round cells on a grid, every fourth one purple, with soft noise."""
    rng = np.random.default_rng(0)
    pixels = np.full((200, 240, 3), GLASS, float)
    rows, cols = np.mgrid[:200, :240]
    for place in range(20):
        row, col = 25 + 48 * (place // 5), 28 + 45 * (place % 5)
        inside = (rows - row) ** 2 + (cols - col) ** 2 < CELL**2
        pixels[inside] = KINDS["WBC" if place % 4 == 0 else "RBC"]
    return np.clip(pixels + rng.normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def by_colour(monkeypatch):
    """A stand-in for the network: the mean colour of a cell, in as many numbers as it has."""
    from napari_hemacells.core.encode import Device
    from napari_hemacells.core.types import CropSpec, Progress

    def embed(image, cells, *_settings, **_places):
        yield Progress(0, len(cells), "Embedding cells")
        means = [image.pixels[cells.labels == cell].mean(axis=0) / 255 for cell in cells.ids]
        vectors = np.resize(np.asarray(means, np.float32), (len(cells), 3))
        vectors = np.tile(vectors, (1, INFO.dim))[:, : INFO.dim]
        spec = CropSpec()
        return Embeddings(cells.ids, vectors, INFO, spec, image.key), Device("cpu", "A test.")

    monkeypatch.setattr(tasks, "embedding_steps", embed)


def test_from_a_sample_to_its_export(
    make_napari_viewer_proxy, qtbot, monkeypatch, tmp_path, field, by_colour
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    viewer = make_napari_viewer_proxy(show=True)
    viewer.add_image(field, name="field")
    _, dock = viewer.window.add_plugin_dock_widget("napari-hemacells", "HemaCells")
    assert isinstance(dock, HemaCellsWidget)

    detect(dock, qtbot)
    click_two_kinds(dock, qtbot)
    classified(dock)
    exported(dock, qtbot, tmp_path / "out")

    dock.controller.close()


def detect(dock, qtbot):
    dock.detect.form.set_values({"cell_diameter": 2.0 * CELL})
    with qtbot.waitSignal(dock.controller.tasks.device_known, timeout=WAIT):
        dock.detect.button.click()
    assert abs(len(dock.session.cells) - 20) <= 2
    assert dock.gallery is not None
    dock.next_step_button.click()
    assert dock.step == "annotate"


def click_two_kinds(dock, qtbot):
    """Click one cell of each kind, as the mouse would, and wait for the classes."""
    session = dock.session
    for name, place in (("WBC", (25, 28)), ("RBC", (25, 73))):
        session.active_class = session.palette.by_name(name).id
        cell = int(session.cells.labels[place])
        assert cell > 0
        with qtbot.waitCallback(timeout=WAIT) as answered:
            session.events.prediction.connect(answered)
            dock.controller.bridge.pointer.events.clicked.emit(cell)
        session.events.prediction.disconnect(answered)


def classified(dock):
    """Every purple disc is a WBC, every other cell an RBC, and shown so."""
    dock.controller.show_step("classify")
    session, layer = dock.session, dock.controller.bridge.cells_layer
    white, red = (session.palette.by_name(name) for name in ("WBC", "RBC"))
    counts = session.counts()
    assert sum(counts[white.id]) == 5
    assert sum(counts[red.id]) == len(session.cells) - 5
    another_white = int(session.cells.labels[73, 208])  # place 9: not purple
    purple = int(session.cells.labels[25, 208])  # place 4: purple, not clicked
    blue = [int(white.colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    assert np.allclose(layer.get_color(purple)[:3], blue, atol=0.01)
    assert not np.allclose(layer.get_color(another_white)[:3], blue, atol=0.01)


def exported(dock, qtbot, folder):
    import pandas as pd

    dock.controller.show_step("export")
    for box in dock.export.boxes.values():
        box.setChecked(True)
    dock.export.folder.setText(str(folder))
    with qtbot.waitSignal(dock.controller.tasks.exported, timeout=WAIT) as written:
        dock.export.button.click()
    assert all(path.exists() for path in written.args[0][1])
    assert len(written.args[0][1]) == 11  # the triage is a page and a table
    table = pd.read_csv(next(folder.glob("*.cells.csv")))
    assert len(table) == len(dock.session.cells)
    assert (table["predicted"] == "WBC").sum() == 5
