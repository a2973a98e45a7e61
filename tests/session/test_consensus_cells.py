"""Taking over what several annotators agree on: new cells, classes, undo."""

from __future__ import annotations

import numpy as np
import pytest

from made_up import make_cells, make_image
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.store import Project
from napari_hemacells.session import Session


@pytest.fixture
def session(tmp_path):
    session = Session("anna")
    session.use_project(Project.create(tmp_path / "project"))
    session.show_image(make_image())
    yield session
    session.close()


def test_points_become_cells_in_one_step(session, tmp_path):
    places = np.array([[10.0, 10.0], [10.0, 40.0], [40.0, 20.0], [500.0, 5.0]])
    taken = session.take_consensus(places, ["alive", "dead", "", "alive"], 12)
    assert taken.added == 3  # one lies outside the image
    assert taken.cells[3] == 0
    assert len(session.cells) == 3
    assert session.cells.centres.tolist() == places[:3].tolist()
    names = {c.id: c.name for c in session.palette}
    assert sorted(names[c] for c in session.annotated.values()) == ["alive", "dead"]
    session.undo()
    assert not len(session.cells)
    assert not session.annotated
    session.redo()
    assert len(session.cells) == 3
    session.close()
    again = Session("anna")
    again.use_project(Project.open(tmp_path / "project"))
    again.show_image(make_image())
    assert len(again.cells) == 3  # from the journal
    assert len(again.annotated) == 2
    again.close()


def test_points_in_cells_mark_them_and_own_classes_stay(session):
    session.set_cells(make_cells(10))
    own = session.palette.ids[0]
    session.annotate([1], own)
    first, second = session.cells.centres[0], session.cells.centres[1]
    free = np.array([55.0, 55.0])
    places = np.stack([first + 1, second - 1, free])
    taken = session.take_consensus(places, ["WBC", "WBC", "WBC"], 6)
    assert taken.cells[:2].tolist() == [1, 2]
    assert (taken.added, taken.annotated) == (1, 2)
    assert len(session.cells) == 11
    assert session.annotated[1] == own  # said by hand
    assert session.annotated[2] == session.palette.by_name("WBC").id
    before = session.cells.labels
    session.undo()
    assert session.annotated == {1: own}
    assert len(session.cells) == 10
    session.redo()
    np.testing.assert_array_equal(session.cells.labels, before)


def test_classes_alone_are_one_step_too(session):
    session.set_cells(make_cells(4))
    taken = session.take_consensus(session.cells.centres, ["RBC"] * 4)
    assert (taken.added, taken.annotated) == (0, 4)
    session.undo()
    assert not session.annotated
    assert session.take_consensus(session.cells.centres, [""] * 4).annotated == 0


def test_new_cells_take_no_pixel_of_others(session):
    session.set_cells(make_cells(10))
    before = session.cells.labels.copy()
    session.take_consensus(np.array([[7.0, 30.0], [14.0, 7.0]]), ["", ""])
    kept = before > 0
    np.testing.assert_array_equal(session.cells.labels[kept], before[kept])


def test_the_cell_near_a_point(session):
    session.set_cells(make_cells(10))
    row, col = session.cells.centres[4]
    assert session.cell_near(row + 1, col) == 5
    assert session.cell_near(60, 60) == 0


def test_a_folder_of_pictures_takes_none(session, monkeypatch):
    monkeypatch.setattr(type(session), "can_edit_cells", False)
    with pytest.raises(CellsError, match="one cell"):
        session.take_consensus(np.zeros((1, 2)), [""], 5)
