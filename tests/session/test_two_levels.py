"""Classes within kinds in a session: classified kind first, undone, saved, and loaded again."""

from __future__ import annotations

import pytest

from made_up import make_cells, make_embeddings, make_image
from napari_hemacells.core.annotate.class_table import read_class_table, write_class_table
from napari_hemacells.core.classify import HierarchicalHead
from napari_hemacells.core.store import Project, load_bundle, save_bundle
from napari_hemacells.core.types.progress import run_to_end
from napari_hemacells.session import run_classification
from napari_hemacells.session.project_table import project_table_steps, request_project_table


def answer(session):
    request = session.request()
    assert session.accept(run_classification(request))
    return request


@pytest.fixture
def family(session):
    """Two of the three kinds of cell are classes within one; three clicks for each."""
    session.set_class_parent("platelets", "wbc")
    inner = session.add_class("Leuko", parent="wbc")
    for column, class_id in enumerate(("rbc", inner, "platelets")):
        session.annotate([c for c in range(1, 10) if c % 3 == column], class_id)
    return inner


def test_the_kind_is_answered_first(session, family):
    answer(session)
    assert isinstance(session.live.latest.head, HierarchicalHead)
    prediction = session.prediction
    assert prediction.class_ids == ("rbc", "platelets", family)
    assert prediction.kinds == ("rbc", "wbc", "wbc")
    session.show_nearest(nearest=True)
    counts = session.counts()
    assert counts["wbc"] == (0, 0)
    assert sum(annotated + predicted for annotated, predicted in counts.values()) == 30


def test_taking_a_class_out_of_its_kind_asks_for_a_new_answer(session, family):
    answer(session)
    before = session.request().generation
    told = []
    session.events.annotations.connect(told.append)
    session.set_class_parent("platelets", None)
    assert told == [()]
    assert session.request().generation != before
    answer(session)
    assert session.prediction.kinds == ("rbc", "wbc", "platelets")
    session.undo()
    answer(session)
    assert session.prediction.kinds == ("rbc", "wbc", "wbc")


def test_classes_of_one_level_are_fitted_as_before(session):
    for column, class_id in enumerate(session.palette.ids):
        session.annotate([c for c in range(1, 10) if c % 3 == column], class_id)
    assert answer(session).parents == {}
    assert type(session.live.latest.head).__name__ == "Head"
    assert session.prediction.kinds == ()


def test_a_model_of_two_levels_classifies_another_project(session, family, new_session, tmp_path):
    answer(session)
    path = save_bundle(tmp_path / "model", session.make_bundle("two"))
    other = new_session(Project.create(tmp_path / "other"))
    other.show_image(make_image(8))
    other.set_cells(make_cells())
    other.load_model(load_bundle(path))
    palette = other.palette
    assert {palette.by_id(c).name: palette.by_id(p).name for c, p in palette.parents.items()} == {
        "Leuko": "WBC", "Platelets": "WBC",
    }  # fmt: skip
    other.set_embeddings(make_embeddings(other.image, other.cells, seed=5))
    request = answer(other)
    assert request.support is None  # the head as it was saved
    assert set(other.prediction.kinds) == {"rbc", "wbc"}
    other.set_class_parent("platelets", None)
    assert other.request().support is not None  # another grouping is fitted anew
    answer(other)
    assert other.prediction.kinds == ("rbc", "wbc", "platelets")


def test_the_projects_table_has_the_kinds(session, family):
    answer(session)
    table = run_to_end(project_table_steps(request_project_table(session)))
    assert set(table.frame["kind"]) <= {"RBC", "WBC", "(unknown)"}
    assert [entry.name for entry in table.total.kinds] == ["RBC", "WBC"]


def test_classes_are_taken_over_from_a_table_and_undone(session, tmp_path):
    file = tmp_path / "classes.csv"
    file.write_text("class,parent\nPlatelets,WBC\nBlast,WBC\n")
    before = session.palette
    session.read_classes(read_class_table(file))
    assert [c.name for c in session.palette] == ["RBC", "WBC", "Platelets", "Blast"]
    assert session.palette.parents["platelets"] == "wbc"
    session.undo()
    assert session.palette == before
    write_class_table(file, session.palette)
    session.read_classes(read_class_table(file))
    assert session.palette == before
