"""A session on a small made-up smear, for the widgets that show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from made_up import make_cells, make_embeddings, make_image
from napari_hemacells.core.store import Project
from napari_hemacells.session import Session, answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


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
def classify(session: Session) -> Callable[[], None]:
    """Predict every cell from the annotated ones: cells 3, 6, 9 … look alike, and so on."""

    def run() -> None:
        if session.embeddings is None:
            session.set_embeddings(make_embeddings(session.image, session.cells))
        session.accept(answer(session.request()))

    return run
