"""Classes within a kind: palette, reversible actions, journal and joined journals."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from napari_hemacells.core.annotate import (
    AddClass,
    AnnotationState,
    CellClass,
    DeleteClass,
    History,
    Palette,
    RenameClass,
    SetClassParent,
    SetLabels,
    SetPalette,
    default_palette,
    from_record,
    open_history,
    to_record,
)
from napari_hemacells.core.annotate.merge import merge_journals
from napari_hemacells.core.annotate.palette import palette_with
from napari_hemacells.core.errors import AnnotationError
from napari_hemacells.core.types import CellRef


def blood():
    palette = Palette()
    for kind in ("lymphocyte", "monocyte"):
        palette = palette.insert(palette.new_class(kind, class_id=kind[0]))
    for kind, name in (("l", "healthy"), ("l", "abnormal"), ("m", "abnormal")):
        new = palette.new_class(name, class_id=f"{kind}-{name}", parent=kind)
        palette = palette.insert(new)
    return palette


def test_classes_stand_below_their_kind_and_names_tell_them_apart():
    assert [c.name for c in blood()] == [
        "lymphocyte", "healthy", "lymphocyte ▸ abnormal", "monocyte", "monocyte ▸ abnormal",
    ]  # fmt: skip
    assert [c.own_name for c in blood().within("l")] == ["healthy", "abnormal"]
    assert blood().parents == {"l-healthy": "l", "l-abnormal": "l", "m-abnormal": "m"}
    assert blood().kind_names["healthy"] == "lymphocyte"
    assert blood().kind_names["monocyte"] == "monocyte"


def test_a_name_is_short_again_where_it_is_the_only_one():
    assert [c.name for c in blood().remove("m-abnormal").within("l")] == ["healthy", "abnormal"]


def test_the_kinds_new_name_shows_in_the_names_within():
    renamed = blood().rename("l", "lymphoid")
    assert renamed.by_id("l-abnormal").name == "lymphoid ▸ abnormal"
    assert renamed.by_id("l-healthy").name == "healthy"


def test_a_class_is_found_by_its_short_and_by_its_full_name():
    palette = blood()
    assert palette.by_name("Lymphocyte ▸ healthy") == palette.by_name("healthy")
    assert palette.by_name("abnormal") is None
    assert palette.by_name("monocyte ▸ abnormal") == palette.by_id("m-abnormal")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p.set_parent("l", "m"), "two levels"),
        (lambda p: p.set_parent("m", "l-healthy"), "two levels"),
        (lambda p: p.set_parent("m-abnormal", "l"), "already a class"),
        (lambda p: p.set_parent("l", "l"), "within itself"),
        (lambda p: p.set_parent("l-healthy", "gone"), "no class"),
        (lambda p: p.add("Abnormal", parent="l"), "already a class"),
        (lambda p: p.remove("l").add("abnormal").remove("m"), "already a class"),
    ],
)
def test_what_cannot_be_says_so(change, words):
    with pytest.raises(AnnotationError, match=words):
        change(blood())


def test_taking_a_class_out_of_its_kind_leaves_it_after_that_family():
    palette = blood().set_parent("l-healthy", None)
    assert palette.ids == ("l", "l-abnormal", "l-healthy", "m", "m-abnormal")
    assert "l-healthy" not in palette.parents


def test_flat_palettes_are_stored_without_a_parent():
    record = to_record(SetPalette(default_palette()))
    assert "parent" not in json.dumps(record)
    assert "within" not in to_record(
        DeleteClass("wbc").inverse(AnnotationState(default_palette()))
    )


@pytest.fixture
def history():
    return History(AnnotationState(blood(), annotator="ann"))


def test_putting_a_class_within_another_is_undone_and_redone(history):
    history.do(DeleteClass("m-abnormal"))
    before = history.state.palette
    history.do(SetClassParent("m", "l"))
    assert history.state.palette.by_id("m").parent == "l"
    history.undo()
    assert history.state.palette == before
    history.redo()
    assert history.state.palette.by_id("m").parent == "l"


def test_deleting_a_kind_keeps_what_is_within_and_undo_restores_the_family(history):
    cell = CellRef("img", 1)
    history.do(SetLabels(((cell, 1.0, 2.0),), "l-healthy", "ann"))
    before = history.state.palette
    history.do(DeleteClass("l"))
    assert history.state.palette.by_id("l-healthy").parent is None
    assert history.state.labels[cell].class_id == "l-healthy"
    history.undo()
    assert history.state.palette == before


@pytest.mark.parametrize(
    "action",
    [
        SetClassParent("l-healthy", None),
        SetClassParent("l-healthy", "m"),
        AddClass(CellClass("x", "reactive", "#123456", parent="l")),
        RenameClass("l-healthy", "resting"),
    ],
)
def test_actions_survive_the_journal(action, history):
    again = from_record(json.loads(json.dumps(to_record(action))))
    assert again == action
    inverse = action.inverse(history.state)
    before = history.state.palette
    again.apply(history.state)
    from_record(json.loads(json.dumps(to_record(inverse)))).apply(history.state)
    assert history.state.palette == before


def test_a_project_opens_with_its_two_levels(tmp_path):
    path = tmp_path / "journal.jsonl"
    history = open_history(path, "ann", blood())
    history.do(SetClassParent("l-healthy", "m"))
    history.close()
    assert "parent" in path.read_text()
    again = open_history(path, "ann")
    assert again.state.palette == history.state.palette
    again.close()


def test_joined_journals_keep_two_levels_under_their_ids():
    start = to_record(SetPalette(default_palette()))
    theirs = [start, to_record(AddClass(CellClass("t", "Lymphocyte", "#111111")))]
    ours = [
        start,
        to_record(AddClass(CellClass("o", "lymphocyte", "#222222"))),
        to_record(AddClass(CellClass("oh", "healthy", "#333333", parent="o"))),
        to_record(AddClass(CellClass("oa", "abnormal", "#444444"))),
        to_record(SetClassParent("oa", "o")),
    ]
    merged = merge_journals(theirs, ours)
    assert merged.left_out == 0
    assert merged.state.palette.parents == {"oh": "t", "oa": "t"}


def test_known_classes_and_their_kinds_stay_when_names_are_taken_over():
    palette = palette_with(blood(), ["healthy", "platelet"], used=())
    assert [c.name for c in palette] == ["lymphocyte", "healthy", "platelet"]


def test_a_class_without_a_name_of_its_own_is_refused():
    with pytest.raises(AnnotationError, match="needs a name"):
        replace(blood().by_id("l-healthy"), name="lymphocyte ▸ ")
