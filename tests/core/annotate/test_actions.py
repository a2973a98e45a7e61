from __future__ import annotations

import json

import numpy as np
import pytest

from napari_hemacells.core.annotate import (
    AddClass,
    AnnotationState,
    DeleteClass,
    History,
    Palette,
    RecolourClass,
    RenameClass,
    SetClassKey,
    SetLabels,
    SetPalette,
    default_palette,
    from_record,
    to_record,
)
from napari_hemacells.core.errors import AnnotationError, ProjectError
from napari_hemacells.core.types import CellRef

WHEN = "2026-01-02T03:04:05+00:00"


def cells(*numbers, image="img"):
    return tuple((CellRef(image, n), float(n), float(2 * n)) for n in numbers)


def label(class_id, *numbers, annotator="ann", image="img"):
    return SetLabels(cells(*numbers, image=image), class_id, annotator, WHEN)


@pytest.fixture
def history():
    return History(AnnotationState(default_palette(), annotator="ann"))


def test_a_click_is_the_current_annotators_word(history):
    history.do(label("wbc", 3))
    said = history.state.labels[CellRef("img", 3)]
    assert (said.class_id, said.row, said.col, said.annotator, said.when) == (
        "wbc", 3.0, 6.0, "ann", WHEN,
    )  # fmt: skip


def test_bulk_labels_are_one_step_and_undo_restores_a_mixture(history):
    history.do(label("wbc", 1))
    history.do(label("rbc", 2))
    before = dict(history.state.labels)
    history.do(label("platelets", 1, 2, 3, 4))
    assert history.state.counts() == {"rbc": 0, "wbc": 0, "platelets": 4}
    history.undo()
    assert history.state.labels == before


def test_a_label_is_removed_and_comes_back(history):
    history.do(label("wbc", 1, 2))
    history.do(label(None, 1))
    assert history.state.annotations_of_image("img").keys() == {2}
    history.undo()
    assert history.state.annotations_of_image("img").keys() == {1, 2}


def test_deleting_a_class_takes_its_annotations_and_undo_brings_both_back(history):
    history.do(label("wbc", 1, 2))
    history.do(label("wbc", 2, 3, annotator="other"))
    history.do(label("rbc", 4))
    palette, everything = history.state.palette, {
        who: dict(labels) for who, labels in history.state.by_annotator.items()
    }  # fmt: skip
    history.do(DeleteClass("wbc"))
    assert history.state.palette.ids == ("rbc", "platelets")
    assert history.state.by_annotator == {
        "ann": {CellRef("img", 4): everything["ann"][("img", 4)]}
    }
    history.undo()
    assert history.state.palette == palette
    assert history.state.by_annotator == everything


def test_annotators_are_kept_apart(history):
    history.do(label("wbc", 1))
    history.do(label("rbc", 1, annotator="other"))
    assert history.state.labels[CellRef("img", 1)].class_id == "wbc"
    history.state.annotator = "other"
    assert history.state.labels[CellRef("img", 1)].class_id == "rbc"
    history.state.annotator = "nobody"
    assert history.state.labels == {}


def test_counts_of_one_image_and_of_all(history):
    history.do(label("wbc", 1))
    history.do(label("wbc", 1, image="second"))
    assert history.state.counts("img")["wbc"] == 1
    assert history.state.counts()["wbc"] == 2


def test_undoing_a_key_that_changed_hands_gives_it_back(history):
    history.do(SetClassKey("platelets", 1))
    history.undo()
    assert history.state.palette == default_palette()


def test_a_new_action_forgets_what_was_undone(history):
    history.do(label("wbc", 1))
    history.undo()
    assert history.can_redo
    history.do(label("rbc", 1))
    assert not history.can_redo
    assert history.redo() is None


def test_undo_of_nothing_is_nothing(history):
    assert not history.can_undo
    assert history.undo() is None


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (label("gone", 1), "no class"),
        (label("wbc"), "No cell is selected"),
        (label("wbc", 0), "no cell at this place"),
        (DeleteClass("gone"), "no class"),
        (RenameClass("wbc", "RBC"), "already a class"),
        (RecolourClass("wbc", "#12"), "not a colour"),
        (SetPalette(Palette()), "has annotations"),
    ],
)
def test_a_refused_action_leaves_no_trace(history, action, words):
    history.do(label("platelets", 7))
    with pytest.raises(AnnotationError, match=words):
        history.do(action)
    assert history.state.palette == default_palette()
    assert history.state.annotations_of_image("img").keys() == {7}
    history.undo()
    assert not history.can_undo


def test_records_are_json_and_come_back_equal(history):
    history.do(label("wbc", 1))
    actions = [
        label("wbc", 1, 2),
        label(None, 1),
        label("rbc", 1).inverse(history.state),
        DeleteClass("wbc"),
        DeleteClass("wbc").inverse(history.state),
        AddClass(history.state.palette.new_class("Smudge")),
        RenameClass("wbc", "x"),
        RecolourClass("wbc", "#010203"),
        SetClassKey("wbc", None),
        SetPalette(default_palette()),
    ]
    for action in actions:
        assert from_record(json.loads(json.dumps(to_record(action)))) == action


def test_numpy_ids_become_plain_numbers():
    action = SetLabels(
        ((CellRef("img", np.int32(5)), np.float32(1.5), np.float64(2)),), "wbc", "ann", WHEN
    )
    assert json.loads(json.dumps(to_record(action)))["cells"] == [[["img", 5], 1.5, 2.0]]


def test_a_record_of_the_future_is_refused():
    with pytest.raises(ProjectError, match="newer version"):
        from_record({"kind": "set_gate", "gate": 1})
