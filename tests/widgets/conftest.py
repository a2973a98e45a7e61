"""A session on a small made-up smear, for the widgets that show it."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import pytest
from napari.components import ViewerModel

from gallery_hands import shown
from made_up import make_cells, make_embeddings, make_image
from napari_hemacells.core.store import Project
from napari_hemacells.core.types import Progress
from napari_hemacells.session import Session, run_classification
from napari_hemacells.widgets.canvas.cell_layer_controller import CellLayerController
from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
from napari_hemacells.widgets.gallery import review_queue as what_is_next
from napari_hemacells.widgets.gallery.review_queue import ReviewQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from napari_hemacells.session.review_queue import QueueRequest
    from napari_hemacells.widgets.gallery.widget import GalleryWidget


@pytest.fixture
def empty_session() -> Iterator[Session]:
    """A session without a project."""
    session = Session("anna")
    yield session
    session.close()


@pytest.fixture
def session(empty_session: Session, tmp_path: Path) -> Session:
    """A session with an image and 30 cells, none of them annotated."""
    empty_session.use_project(Project.create(tmp_path / "project"))
    empty_session.show_image(make_image())
    empty_session.set_cells(make_cells(30))
    return empty_session


@pytest.fixture
def upcoming(qtbot: QtBot, session: Session) -> Iterator[ReviewQueue]:
    """What to look at next in that session."""
    upcoming = ReviewQueue(session)
    yield upcoming
    upcoming.close()


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Rankings in a thread end only when this is set."""
    go_on, rank = Event(), what_is_next._rank_steps

    def wait(requests: list[QueueRequest]) -> Generator[Progress, None, object]:
        yield Progress(0, 0)
        go_on.wait(10)
        return (yield from rank(requests))

    monkeypatch.setattr(what_is_next, "_rank_steps", wait)
    yield go_on
    go_on.set()


@pytest.fixture
def classify(session: Session) -> Callable[[], None]:
    """Predict every cell from the annotated ones: cells 3, 6, 9 … look alike, and so on."""

    def run() -> None:
        if session.embeddings is None:
            session.set_embeddings(make_embeddings(session.image, session.cells))
        session.accept(run_classification(session.request()))

    return run


@pytest.fixture
def viewer() -> ViewerModel:
    """A viewer without a window."""
    return ViewerModel()


@pytest.fixture
def canvas(
    session: Session, upcoming: ReviewQueue, viewer: ViewerModel
) -> Iterator[CellLayerController]:
    """That session on the canvas of a viewer."""
    bridge = ViewerBridge(viewer)
    layer = viewer.add_image(session.image.pixels, name="smear")
    bridge.claim_image(str(layer.unique_id), session.image.key)
    canvas = CellLayerController(session, bridge, upcoming, lambda: False)
    bridge.show_cells(session.cells, session.image.key)
    canvas.recolour()
    yield canvas
    canvas.close()
    bridge.close()


@pytest.fixture
def gallery(qtbot: QtBot, session: Session, upcoming: ReviewQueue) -> GalleryWidget:
    """The gallery of that session, seen and in order."""
    return shown(qtbot, session, upcoming)
