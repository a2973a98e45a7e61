"""The session: clicks are on disk before they are seen, late answers change nothing."""

from __future__ import annotations

import random

import numpy as np
import pytest

from made_up import make_cells, make_embeddings, make_image
from napari_hemacells.core.encode import EmbeddingCache
from napari_hemacells.core.errors import AnnotationError, CellsError, ProjectError, StorageError
from napari_hemacells.core.store import Project
from napari_hemacells.session import Session, run_classification


def listen(session: Session) -> list[str]:
    """Names of the events as they come."""
    heard: list[str] = []
    for name in ("image", "cells", "palette", "annotations", "embeddings", "prediction"):
        getattr(session.events, name).connect(lambda *_, name=name: heard.append(name))
    return heard


def click_each_class(session: Session, shots: int = 2) -> None:
    for column, class_id in enumerate(session.palette.ids):
        of_class = [int(cell) for cell in session.cells.ids if cell % 3 == column]
        session.annotate(of_class[:shots], class_id)


def test_a_click_is_on_disk_when_it_is_told(session):
    lines_when_told = []
    journal = session.project.journal_path
    session.events.annotations.connect(
        lambda _: lines_when_told.append(journal.read_text().count("set_labels"))
    )
    session.annotate([3], session.palette.ids[0])
    session.annotate([4], session.palette.ids[1])
    assert lines_when_told == [1, 2]


def test_only_what_changed_is_told(session):
    told = []
    session.events.annotations.connect(told.append)
    first, second, _ = session.palette.ids
    session.annotate([1, 2], first)
    session.annotate([2, 3], second)
    session.undo()
    assert told == [(1, 2), (2, 3), (2, 3)]
    assert session.annotated == {1: first, 2: first}


def test_a_click_that_cannot_be_written_changes_nothing(session, monkeypatch):
    def full(*_args, **_kwargs):
        raise StorageError("The disk is full.")

    monkeypatch.setattr(session.history.journal, "append", full)
    heard = listen(session)
    with pytest.raises(StorageError):
        session.annotate([1], session.palette.ids[0])
    assert session.annotated == {}
    assert heard == []


def test_200_random_steps_undone_give_back_the_same_state(session):
    rng = random.Random(3)
    palette, before = session.palette, dict(session.annotations)
    for step in range(200):
        ids = session.palette.ids
        choice = rng.random()
        if choice < 0.7 or len(ids) < 2:
            chosen = rng.sample(session.cells.ids.tolist(), rng.randint(1, 5))
            session.annotate(chosen, rng.choice([*ids, None]) if ids else None)
        elif choice < 0.8:
            session.add_class(f"class {step}")
        elif choice < 0.9:
            session.rename_class(rng.choice(ids), f"renamed {step}")
        else:
            session.delete_class(rng.choice(ids))
    after_palette, after = session.palette, dict(session.annotations)
    undone = 0
    while session.undo():
        undone += 1
    assert undone == 200
    assert (session.palette, session.annotations) == (palette, before)
    while session.redo():
        pass
    assert (session.palette, session.annotations) == (after_palette, after)


def test_a_project_reopens_as_it_was(session, new_session, image, cells):
    class_id = session.add_class("Lymphocyte", "#112233")
    session.annotate([5, 6], class_id)
    folder, palette, annotations = session.project.folder, session.palette, session.annotations
    session.close()
    again = new_session(Project.open(folder))
    assert again.palette == palette
    again.show_image(image)
    assert again.annotations == annotations
    np.testing.assert_array_equal(again.cells.labels, cells.labels)


def test_a_project_of_one_annotator_shows_that_ones_word_on_any_account(
    session, new_session, image
):
    session.annotate([5], session.palette.ids[0])
    folder = session.project.folder
    session.close()
    again = new_session(Project.open(folder), annotator="")
    again.show_image(image)
    assert again.annotated == {5: again.palette.ids[0]}
    assert again.history.state.annotator == "anna"


def test_the_autosave_project_of_an_image_is_found_again(tmp_path, monkeypatch, image, cells):
    monkeypatch.setattr(
        "napari_hemacells.core.store.project.projects_root", lambda: tmp_path / "data"
    )
    first = Session("anna")
    first.open_image(image)
    first.set_cells(cells)
    first.annotate([1], first.palette.ids[0])
    first.close()
    second = Session("anna")
    second.open_image(image)
    assert second.annotated == {1: second.palette.ids[0]}
    second.close()


def test_save_as_goes_on_in_the_copy(session, tmp_path):
    session.annotate([1], session.palette.ids[0])
    original = session.project.journal_path
    session.save_as(tmp_path / "elsewhere")
    session.annotate([2], session.palette.ids[0])
    assert session.project.folder == tmp_path / "elsewhere"
    assert set(session.annotated) == {1, 2}
    assert session.embeddings is not None
    assert original.read_text().count("set_labels") == 1


def test_every_cell_is_classified_from_a_few_clicks(session, cells):
    click_each_class(session)
    assert session.accept(run_classification(session.request()))
    truth = [session.palette.ids[cell % 3] for cell in cells.ids]
    predicted = [
        session.prediction.class_ids[place] for place in session.prediction.predicted_column
    ]
    assert predicted == truth
    np.testing.assert_allclose(session.prediction.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert session.counts() == dict.fromkeys(session.palette.ids, (2, 8))


def test_one_click_is_enough_for_a_first_answer(session):
    session.annotate([1], session.palette.ids[1])
    assert session.accept(run_classification(session.request()))
    assert session.counts()[session.palette.ids[1]] == (1, 29)


def test_a_late_answer_is_dropped(session):
    click_each_class(session)
    late = run_classification(session.request())
    session.annotate([30], session.palette.ids[1])
    heard = listen(session)
    assert not session.accept(late)
    assert session.prediction is None
    assert heard == []


def test_late_embeddings_are_dropped(session, image):
    session.set_cells(make_cells(12))
    assert not session.set_embeddings(make_embeddings(image, make_cells(30)))
    assert not session.set_embeddings(make_embeddings(make_image(5), make_cells(12)))
    assert session.embeddings is None
    assert session.request() is None


def test_the_users_word_survives_another_detection(session):
    class_id = session.palette.ids[0]
    session.annotate([29, 30], class_id)
    session.set_cells(make_cells(12))
    assert session.annotated == {29: class_id, 30: class_id}
    assert {29, 30} <= set(session.cells.ids.tolist())


def test_another_annotators_cells_survive_another_detection(session, new_session, image):
    session.annotate([29], session.palette.ids[0])
    folder = session.project.folder
    session.close()
    other = new_session(Project.open(folder), annotator="berta")
    other.show_image(image)
    assert other.annotated == {}
    other.set_cells(make_cells(12))
    assert 29 in other.cells.ids


def test_a_step_done_again_never_lands_on_another_cell(session):
    session.annotate([5], session.palette.ids[0])
    session.undo()
    before = set(session.cells.ids.tolist())
    session.set_cells(make_cells(12))
    assert not before & set(session.cells.ids.tolist())
    session.redo()
    assert set(session.annotated) == {5}


def test_clicks_in_one_image_teach_the_next(session, cells):
    click_each_class(session)
    second = make_image(9, "second")
    session.show_image(second)
    assert session.annotated == {}
    session.set_cells(cells)
    session.set_embeddings(make_embeddings(second, cells, seed=4))
    assert session.accept(run_classification(session.request()))
    assert session.counts() == dict.fromkeys(session.palette.ids, (0, 10))


def test_clicks_in_one_image_teach_the_next_one_after_reopening(session, new_session, cells):
    click_each_class(session)
    first = session.embeddings
    cache = EmbeddingCache(session.project.embeddings_folder)
    cache.save(first.image_key, first.encoder, first.spec, cells.boxes, first.vectors)
    folder = session.project.folder
    session.close()
    again = new_session(Project.open(folder))
    second = make_image(9, "second")
    again.show_image(second)
    again.set_cells(cells)
    again.set_embeddings(make_embeddings(second, cells, seed=4))
    assert len(again.request().support) == 6
    assert again.accept(run_classification(again.request()))
    assert again.counts() == dict.fromkeys(again.palette.ids, (0, 10))


def test_the_queue_leaves_out_what_is_annotated(session):
    click_each_class(session)
    session.accept(run_classification(session.request()))
    queue = session.queue("active")
    assert set(queue) == set(session.cells.ids.tolist()) - set(session.annotated)


def test_by_class_the_users_word_counts(session):
    first, second, third = session.palette.ids
    click_each_class(session)
    session.annotate([3], third)  # looks like the first class
    session.accept(run_classification(session.request()))
    names = [
        session.annotated.get(cell) or predicted(session, cell) for cell in session.queue("class")
    ]
    assert names == sorted(names, key=session.palette.ids.index)
    assert set(names) == {first, second, third}
    backwards = session.queue("class", descending=True)
    assert session.annotated.get(backwards[0], third) == third


def predicted(session: Session, cell: int) -> str:
    row = session.prediction.ids.tolist().index(cell)
    return session.prediction.class_ids[session.prediction.predicted_column[row]]


def test_deleting_the_active_class_makes_another_one_active(session):
    active = session.active_class
    session.annotate([1], active)
    session.delete_class(active)
    assert session.active_class in session.palette.ids
    assert session.annotated == {}
    session.undo()
    assert session.annotated == {1: active}


def test_what_is_missing_is_said_in_a_sentence(new_session, image):
    empty = Session("anna")
    with pytest.raises(ProjectError, match="choose an image"):
        empty.add_class("x")
    session = new_session()
    session.show_image(image)
    with pytest.raises(CellsError, match="press Detect cells"):
        session.annotate([1], session.palette.ids[0])


def test_a_cell_that_is_gone_is_refused(session):
    with pytest.raises(AnnotationError, match="no cell 99"):
        session.annotate([99], session.palette.ids[0])
