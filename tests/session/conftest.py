"""A session on a small made-up smear whose classes are easy to tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from made_up import make_cells, make_embeddings, make_image
from napari_hemacells.core.store import Project
from napari_hemacells.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_hemacells.core.types import Cells, SmearImage


@pytest.fixture
def image() -> SmearImage:
    return make_image()


@pytest.fixture
def cells() -> Cells:
    return make_cells()


@pytest.fixture
def new_session(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """Make sessions that are closed in the end."""
    made: list[Session] = []

    def make(project: Project | None = None, annotator: str = "anna") -> Session:
        session = Session(annotator)
        session.use_project(project or Project.create(tmp_path / "project"))
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()


@pytest.fixture
def session(new_session, image, cells) -> Session:
    """A session with an image, its cells and their embeddings."""
    session = new_session()
    session.show_image(image)
    session.set_cells(cells)
    assert session.set_embeddings(make_embeddings(image, cells))
    return session
