"""Corrections of a detection: undoable, on disk, the same after reopening, kept when detecting."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from made_up import make_cells, make_embeddings, make_image
from napari_hemacells.core.annotate import ORIGIN
from napari_hemacells.core.detect.proposal import Proposal, mask_in_window
from napari_hemacells.core.errors import AnnotationError, CellsError
from napari_hemacells.core.store import Project, corrected_cells
from napari_hemacells.session import CellsChange, run_classification

if TYPE_CHECKING:
    from napari_hemacells.core.types import Cells

GLASS = (30, 50)  # a place on which `make_cells` has no cell


def proposal(row: int, col: int, side: int = 5) -> Proposal:
    """A square cell around a point of the 64 × 64 image."""
    low, right = (max(0, row - 2), max(0, col - 2)), min(64, col - 2 + side)
    window = slice(low[0], min(64, row - 2 + side)), slice(low[1], right)
    shape = tuple(part.stop - part.start for part in window)
    mask = mask_in_window(np.ones(shape, bool), window)
    return Proposal("RBC", 0.4, mask.box, mask, "network")


def add(session, row: int = GLASS[0], col: int = GLASS[1], class_id: str | None = None) -> int:
    return session.add_cell(row, col, class_id, proposal(row, col))


def split(session, cell: int) -> tuple[int, ...]:
    """Split a cell across its middle: along a line, so that no network is asked."""
    row, col = session.cells.centres[session.cells.position[cell]] + 0.25
    return session.split_cell(cell, ((row, col - 9), (row, col + 9)))


def same(one: Cells, other: Cells) -> bool:
    """Whether two sets of cells agree in every pixel and in what the table says."""
    columns = [name for name in one.table if name != ORIGIN]
    tables = one.table[columns].equals(other.table[columns].astype(one.table[columns].dtypes))
    return tables and np.array_equal(np.asarray(one.labels), np.asarray(other.labels))


def reopened(session, new_session) -> Cells:
    """The cells that another session on the same folder shows."""
    folder, image = session.project.folder, session.image
    session.close()
    again = new_session(Project.open(folder))
    again.show_image(image)
    return again.cells


def test_an_added_cell_is_shown_told_and_journaled_in_one_line(session):
    told = []
    session.events.corrected.connect(told.append)
    lines = session.project.journal_path.read_text().count("\n")
    cell = add(session)
    assert cell == 31
    assert session.cells.labels[GLASS] == 31
    assert session.cells.table[ORIGIN].tolist() == ["detected"] * 30 + ["added"]
    assert told == [CellsChange((), (31,), ((28, 48, 33, 53),))]
    assert session.project.journal_path.read_text().count("\n") == lines + 1


def test_a_class_is_given_only_where_it_is_asked_for(session):
    first, second = add(session), add(session, 40, 40, session.palette.ids[1])
    assert session.annotated == {second: session.palette.ids[1]}
    session.undo()
    assert first in session.cells.position
    assert second not in session.cells.position
    assert session.annotated == {}


def test_the_saved_cells_are_not_written_again(session):
    file = next(session.project.folder.glob("cells/*.tif"))
    before = file.stat().st_mtime_ns
    add(session)
    session.delete_cells([3])
    split(session, 5)
    session.merge_cells([7, 8])
    assert file.stat().st_mtime_ns == before


def test_deleting_takes_the_annotation_and_undo_brings_both_back(session):
    session.annotate([3, 4], session.palette.ids[0])
    before, said = session.cells, dict(session.annotations)
    session.delete_cells([3, 5])
    assert {3, 5} & set(session.cells.ids.tolist()) == set()
    assert not np.isin(session.cells.labels, [3, 5]).any()
    assert set(session.annotated) == {4}
    session.undo()
    assert same(before, session.cells)
    assert session.annotations == said
    session.redo()
    assert set(session.annotated) == {4}


def test_a_split_gives_two_cells_with_all_pixels_of_the_one(session):
    whole = np.asarray(session.cells.labels) == 5
    ids = session.split_cell(5, ((2.5, 30.0), (2.5, 40.0)))
    assert ids == (31, 32)
    assert np.array_equal(np.isin(session.cells.labels, ids), whole)
    assert session.cells.table.set_index("label").loc[list(ids), "area"].tolist() == [18, 18]
    session.undo()
    assert np.array_equal(np.asarray(session.cells.labels) == 5, whole)


def test_merged_cells_keep_a_class_that_both_had(session):
    rbc, wbc = session.palette.ids[:2]
    session.annotate([1, 2, 3], rbc)
    session.annotate([4], wbc)
    one, other = session.merge_cells([1, 2]), session.merge_cells([3, 4])
    assert session.annotated == {one: rbc}
    session.undo()
    assert other not in session.cells.position
    assert session.annotated == {one: rbc, 3: rbc, 4: wbc}


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (lambda session: session.delete_cells([]), AnnotationError),
        (lambda session: session.delete_cells([99]), AnnotationError),
        (lambda session: session.split_cell(99), AnnotationError),
        (lambda session: session.split_cell(5, ((60.0, 0.0), (60.0, 9.0))), CellsError),
        (lambda session: session.merge_cells([4]), CellsError),
        (lambda session: add(session, 2, 2), CellsError),
    ],
)
def test_what_cannot_be_done_leaves_no_trace(session, step, error):
    lines, cells = session.project.journal_path.read_text(), session.cells
    with pytest.raises(error):
        step(session)
    assert session.project.journal_path.read_text() == lines
    assert session.cells is cells
    assert not session.can_undo


def test_a_cell_on_top_of_another_takes_its_pixels_and_undo_gives_them_back(session):
    before, on_top = session.cells, proposal(2, 2, 2)
    below = session.cells.mask_of(1)
    made = replace(on_top, taken={1: below.without(on_top.mask)})
    cell = session.add_cell(2, 2, None, made)
    assert (session.cells.labels == cell).sum() == 4
    assert session.cells.table.set_index("label").loc[1, "area"] == 32
    session.undo()
    assert same(before, session.cells)


def test_unaffected_cells_keep_their_prediction_at_once(session):
    session.annotate([1, 4], session.palette.ids[0])
    session.annotate([2, 5], session.palette.ids[1])
    session.accept(run_classification(session.request()))
    before = dict(
        zip(session.prediction.ids.tolist(), session.prediction.predicted_column, strict=True)
    )
    new = add(session)
    session.delete_cells([9])
    after = dict(
        zip(session.prediction.ids.tolist(), session.prediction.predicted_column, strict=True)
    )
    assert after == {cell: won for cell, won in before.items() if cell != 9}
    assert new not in session.embeddings.ids
    assert new in session.queue("uncertain")


def test_an_answer_from_before_a_correction_is_late(session):
    session.annotate([1], session.palette.ids[0])
    session.annotate([2], session.palette.ids[1])
    request = session.request()
    session.delete_cells([9])
    assert not session.accept(run_classification(request))


def act_at_random(session, dice: random.Random) -> None:
    """One correction, undo or redo; what cannot be done is passed over."""
    ids = session.cells.ids.tolist()
    steps = (
        lambda: add(session, dice.randrange(64), dice.randrange(64)),
        lambda: session.delete_cells(dice.sample(ids, 2)),
        lambda: split(session, dice.choice(ids)),
        lambda: session.merge_cells(dice.sample(ids, 2)),
        lambda: session.annotate(dice.sample(ids, 3), dice.choice(session.palette.ids)),
        session.undo,
        session.redo,
    )
    try:
        dice.choice(steps)()
    except (CellsError, AnnotationError):
        return


@pytest.mark.parametrize("seed", range(6))
def test_a_reopened_project_has_the_same_cells(session, new_session, seed):
    dice = random.Random(seed)
    for _ in range(25):
        act_at_random(session, dice)
    assert_consistent(session.cells)
    before, project = session.cells, session.project
    assert same(before, corrected_cells(project, session.image.key))
    assert same(before, reopened(session, new_session))


@pytest.mark.parametrize("seed", range(4))
def test_undoing_everything_gives_the_detected_cells(session, seed):
    dice, before = random.Random(seed), session.cells
    for _ in range(15):
        act_at_random(session, dice)
    while session.undo():
        pass
    assert same(before, session.cells)


def assert_consistent(cells: Cells) -> None:
    """Every pixel belongs to a cell of the table, and ids are unique."""
    assert set(np.unique(cells.labels)) - {0} <= set(cells.ids.tolist())
    assert len(set(cells.ids.tolist())) == len(cells)


def test_saving_after_a_correction_changes_nothing(session, new_session):
    """As a crash between the journal and the cells' file would leave them, either way round."""
    add(session)
    session.delete_cells([3])
    session.project.save_cells(session.image.key, session.cells)
    before = session.cells
    assert same(before, reopened(session, new_session))


def test_detecting_again_keeps_what_was_made_by_hand_and_believes_no_deleted_cell(session):
    new = add(session)
    session.delete_cells([3])
    halves = split(session, 5)
    session.set_cells(make_cells(30))
    ids = session.cells.ids.tolist()
    assert {new, *halves} <= set(ids)
    row, col = make_cells().centres[2].astype(int)
    assert session.cells.labels[row, col] == 0
    assert len(ids) == 30 - 2 + 3
    assert min(set(ids) - {new, *halves}) > max(new, *halves)
    assert set(session.cells.table[ORIGIN]) == {"detected", "added", "split"}


def test_cells_that_the_user_brings_are_believed(session):
    session.delete_cells([3])
    session.set_cells(replace(make_cells(30), source="labels"))
    assert len(session.cells) == 30


def test_no_id_is_given_to_another_cell(session):
    gone = add(session)
    session.undo()
    session.set_cells(make_cells(30))
    assert min(session.cells.ids) > gone
    assert add(session, 60, 60) not in {gone, *range(1, 31)}


def test_a_step_is_undone_after_detecting_again(session, new_session):
    new = add(session)
    session.delete_cells([3])
    session.set_cells(make_cells(30))
    session.undo()
    assert 3 in session.cells.position
    session.undo()
    assert new not in session.cells.position
    before = session.cells
    assert same(before, reopened(session, new_session))


def test_old_journals_are_read(session):
    records = [json.loads(line) for line in session.project.journal_path.read_text().splitlines()]
    assert not any("corrections" in json.dumps(one) for one in records)
    assert session.history.state.corrections == {}


def test_a_correction_waits_for_its_image(session, new_session):
    new = add(session)
    first = session.image
    session.show_image(make_image(seed=5, name="other"))
    session.set_cells(make_cells(10))
    session.undo()
    assert len(session.cells) == 10
    session.show_image(first)
    assert new not in session.cells.position


def test_added_cells_are_embedded_with_the_others(session):
    add(session)
    assert session.set_embeddings(make_embeddings(session.image, session.cells))
    assert len(session.embeddings) == 31
