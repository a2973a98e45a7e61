"""A click is answered while cells are still being embedded."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from napari.components import ViewerModel

from made_up import make_cells, make_embeddings, make_image
from napari_hemacells.core.encode import Device
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets import HemaCellsWidget
from napari_hemacells.widgets.background import tasks
from napari_hemacells.widgets.background.embedding_pace import EmbeddingPace

PATIENCE_MS = 30_000


class Embedding:
    """An embedding that stands still, and goes on when it is let."""

    def __init__(self) -> None:
        self.add, self.end = Event(), Event()
        self.growing = None

    def steps(self, image, cells, *_settings, growing, **_places):
        whole = make_embeddings(image, cells)
        growing.first = replace(whole, vectors=whole.vectors[:, :8].copy())
        self.growing = growing
        growing.begin(
            replace(whole, vectors=np.zeros_like(whole.vectors)), np.zeros(len(cells), bool)
        )
        yield Progress(0, len(cells), "Embedding cells")
        while not self.add.wait(0.01):
            yield Progress(0, len(cells), "Embedding cells")
        growing.add(np.arange(len(cells)), whole.vectors)
        while not self.end.wait(0.01):
            yield Progress(len(cells), len(cells), "Embedding cells")
        return whole, Device("cpu", "A test.")


@pytest.fixture
def embedding(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    embedding = Embedding()
    monkeypatch.setattr(tasks, "embedding_steps", embedding.steps)
    yield embedding
    embedding.add.set()
    embedding.end.set()


@pytest.fixture
def dock(qtbot, embedding):
    viewer = ViewerModel()
    widget = HemaCellsWidget(viewer)
    qtbot.addWidget(widget)
    viewer.add_image(make_image().pixels, name="smear")
    widget.session.set_cells(make_cells(30))
    widget.controller.show_step("annotate")
    qtbot.waitUntil(lambda: embedding.growing is not None, timeout=PATIENCE_MS)
    yield widget
    widget.controller.close()


def test_clicks_are_answered_meanwhile_and_by_the_encoder_in_the_end(dock, qtbot, embedding):
    session = dock.session
    for cell, class_id in zip((3, 4), session.palette.ids, strict=False):
        session.annotate([cell], class_id)
    qtbot.waitUntil(lambda: session.prediction is not None, timeout=PATIENCE_MS)
    assert session.embeddings is None
    assert len(session.live.latest.head.centre) == 8
    embedding.add.set()
    qtbot.waitUntil(lambda: len(session.live.latest.head.centre) == 16, timeout=PATIENCE_MS)
    assert session.embeddings is None
    assert not dock.export.boxes["bundle"].isEnabled()
    embedding.end.set()
    qtbot.waitUntil(lambda: session.embeddings is not None, timeout=PATIENCE_MS)
    assert session.live.growing is None
    qtbot.waitUntil(dock.export.boxes["bundle"].isEnabled, timeout=PATIENCE_MS)


def test_the_cells_in_sight_are_wanted_next(dock, embedding):
    class Sight:
        def window_in_sight(self):
            return 0.0, 0.0, 10.0, 20.0

    pace = EmbeddingPace(dock.session, Sight(), dock.controller.tasks)
    pace.look()
    rows = next(embedding.growing.batches(np.arange(30), 3))
    inside = (dock.session.cells.centres[rows] <= (10, 20)).all(axis=1)
    assert len(rows)
    assert inside.all()
    pace.close()
