from __future__ import annotations

from dataclasses import replace

import pytest

from made_up import make_cells, make_image
from napari_hemacells.core.train.detector.dataset import field_of_cells
from napari_hemacells.core.train.detector.split import split_fields


def fields(count: int, group=lambda n: f"image/{n}"):
    one = field_of_cells(make_image(), make_cells(40))
    return [replace(one, key=f"{n}", group=group(n), name=f"field {n}") for n in range(count)]


@pytest.mark.parametrize("count", [3, 4, 12])
def test_every_field_is_on_one_side_and_both_sides_have_some(count) -> None:
    split = split_fields(fields(count))
    learn, held = ({part.field for part in side} for side in (split.learn, split.held_out))
    assert learn
    assert held
    assert not learn & held
    assert learn | held == set(range(count))


def test_groups_are_never_cut_and_stay_where_they_are_when_fields_are_added() -> None:
    by_slide = fields(30, lambda n: f"slide//{n // 3}")
    few, many = split_fields(by_slide[:15]), split_fields(by_slide)
    held_few = {by_slide[part.field].group for part in few.held_out}
    held_many = {by_slide[part.field].group for part in many.held_out}
    assert held_few <= held_many
    assert not held_many & {by_slide[part.field].group for part in many.learn}


def test_unknown_groups_are_told() -> None:
    assert "no patient or slide is known" in split_fields(fields(5)).words
    assert "no patient" not in split_fields(fields(6, lambda n: f"slide//{n}")).words


@pytest.mark.parametrize("make", [lambda: fields(2), lambda: fields(4, lambda _: "slide//one")])
def test_few_fields_or_one_slide_hold_out_a_strip_that_is_not_learned_from(make) -> None:
    chosen = make()
    split = split_fields(chosen)
    assert len(split.learn) == len(split.held_out) == len(chosen)
    assert "strip" in split.words
    for learn, held in zip(split.learn, split.held_out, strict=True):
        assert learn.field == held.field
        spans = sorted([(learn.box[1], learn.box[3]), (held.box[1], held.box[3])])
        assert spans[0][0] == 0
        assert spans[0][1] == spans[1][0]  # one begins where the other ends
        assert spans[1][1] == 64
    assert all(field.pixels.shape[1] < 64 for field in split.fields_of(chosen))
