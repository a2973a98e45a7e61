"""Random actions: undo gives back the same state, replaying the journal the present one."""

from __future__ import annotations

import copy
import random

import pytest

from napari_hemacells.core.annotate import (
    AddClass,
    AnnotationState,
    DeleteClass,
    History,
    RecolourClass,
    RenameClass,
    SetClassKey,
    SetLabels,
    default_palette,
    open_history,
    replay,
)
from napari_hemacells.core.errors import ProjectError
from napari_hemacells.core.types import CellRef


def random_action(state, rng):
    ids = state.palette.ids
    kind = rng.choices(["label", "clear", "add", "rename", "colour", "key", "delete"],
                       [60, 10, 6, 6, 6, 6, 6])[0]  # fmt: skip
    if not ids or (kind == "add" and len(ids) < 8):
        return AddClass(state.palette.new_class(f"class {rng.getrandbits(40)}"))
    chosen = rng.choice(ids)
    if kind in {"label", "clear", "add"}:
        refs = [CellRef(f"img{rng.randrange(2)}", rng.randrange(1, 40)) for _ in range(5)]
        cells = tuple((ref, rng.random(), rng.random()) for ref in refs[: rng.randrange(1, 6)])
        return SetLabels(cells, None if kind == "clear" else chosen, rng.choice(["ann", "bob"]))
    return {
        "rename": lambda: RenameClass(chosen, f"name {rng.getrandbits(40)}"),
        "colour": lambda: RecolourClass(chosen, f"#{rng.getrandbits(24):06x}"),
        "key": lambda: SetClassKey(chosen, rng.choice([None, *range(1, 10)])),
        "delete": lambda: DeleteClass(chosen),
    }[kind]()


@pytest.mark.parametrize("seed", range(5))
def test_two_hundred_random_actions_undone_and_redone(seed):
    rng = random.Random(seed)
    history = History(AnnotationState(default_palette(), annotator="ann"))
    states = [copy.deepcopy(history.state)]
    for _ in range(200):
        history.do(random_action(history.state, rng))
        states.append(copy.deepcopy(history.state))
    for expected in reversed(states[:-1]):
        history.undo()
        assert history.state == expected
    assert not history.can_undo
    for expected in states[1:]:
        history.redo()
        assert history.state == expected
    assert not history.can_redo


def test_replaying_the_journal_gives_the_state_at_any_moment(tmp_path):
    rng = random.Random(42)
    history = open_history(tmp_path / "journal.jsonl", "ann")
    for step in range(120):
        move = rng.choice([history.undo, history.redo, None, None])
        if move is None:
            history.do(random_action(history.state, rng))
        else:
            move()
        if step % 7 == 0:
            assert replay(history.journal.read()) == history.state
    present = copy.deepcopy(history.state)
    history.close()
    again = open_history(tmp_path / "journal.jsonl", "ann")
    assert again.state == present
    assert again.state.labels == present.labels
    again.close()


def test_an_existing_journal_keeps_its_palette(tmp_path):
    first = open_history(tmp_path / "journal.jsonl", "ann")
    first.do(DeleteClass("rbc"))
    first.close()
    again = open_history(tmp_path / "journal.jsonl", "ann")
    assert again.state.palette.ids == ("wbc", "platelets")
    again.close()


def test_records_that_do_not_follow_are_refused():
    with pytest.raises(ProjectError, match="Record 1 "):
        replay([{"kind": "delete_class", "class_id": "wbc"}])
