"""Parts by a stable hash: nothing moves, groups stay whole, no class is missing."""

import numpy as np
import pytest

from napari_hemacells.core.train.classifier.crop_store import (
    CropGeometry,
    CropStore,
    LoadedExamples,
)
from napari_hemacells.core.train.classifier.dataset import Example, Examples
from napari_hemacells.core.train.classifier.split import (
    SplitRule,
    load_split,
    save_split,
    split_examples,
)
from napari_hemacells.core.types import CropSpec


def loaded(tmp_path, rows):
    items = tuple(Example(tmp_path / name, label, group, name) for name, label, group in rows)
    store = CropStore([], np.empty((0, 8, 8, 3), np.uint8), CropGeometry(CropSpec(8), 1.0))
    return LoadedExamples(Examples(items, tmp_path), store, tuple(one.name for one in items), ())


def many(tmp_path, n, grouped=False):
    rows = [
        (f"{place}", "ab"[place % 2], f"p{place % 20}" if grouped else "") for place in range(n)
    ]
    return loaded(tmp_path, rows)


def test_parts_have_their_shares_in_every_class(tmp_path):
    split = split_examples(many(tmp_path, 2000), SplitRule(validation=0.2, test=0.1))
    for own in (split.parts[::2], split.parts[1::2]):
        assert own.count("validation") / len(own) == pytest.approx(0.2, abs=0.03)
        assert own.count("test") / len(own) == pytest.approx(0.1, abs=0.03)


def test_nothing_moves_when_more_is_added(tmp_path):
    rule = SplitRule(validation=0.3, test=0.1)
    before = split_examples(many(tmp_path, 200), rule)
    after = split_examples(many(tmp_path, 1000), rule)
    assert after.parts[:200] == before.parts


def test_groups_stay_whole(tmp_path):
    split = split_examples(many(tmp_path, 400, grouped=True), SplitRule())
    parts = {}
    for unit, part in zip(split.units, split.parts, strict=True):
        parts.setdefault(unit, set()).add(part)
    assert split.grouped
    assert all(len(one) == 1 for one in parts.values())
    assert {"train", "validation"} == set.union(*parts.values())


def test_an_ungrouped_split_says_so(tmp_path):
    split = split_examples(many(tmp_path, 400, grouped=True), SplitRule(ungrouped=True))
    assert not split.grouped
    assert "as asked for" in split.notes[0]
    assert "ungrouped" in split.describe()


def test_copies_of_a_picture_stay_together(tmp_path):
    rows = [(f"{place // 2}", "ab"[place % 2], "") for place in range(200)]
    split = split_examples(loaded(tmp_path, rows), SplitRule())
    assert split.parts[::2] == split.parts[1::2]


@pytest.mark.parametrize("seed", range(8))
def test_two_pictures_of_a_class_are_in_two_parts(tmp_path, seed):
    rows = [("1", "a", ""), ("2", "a", ""), *((f"b{n}", "b", "") for n in range(20))]
    split = split_examples(loaded(tmp_path, rows), SplitRule(seed=seed))
    assert set(split.parts[:2]) == {"train", "validation"}


def test_folds_judge_each_picture_once(tmp_path):
    found = [
        split_examples(many(tmp_path, 300), SplitRule(folds=5, fold=fold)).parts
        for fold in range(5)
    ]
    assert all(column.count("validation") == 1 for column in zip(*found, strict=True))


def test_a_kept_split_outweighs_the_hash_under_the_same_rule(tmp_path):
    rule = SplitRule()
    split = split_examples(many(tmp_path, 50), rule)
    save_split(tmp_path / "split.json", split)
    known = load_split(tmp_path / "split.json", rule)
    assert known == dict(zip(split.units, split.parts, strict=True))
    assert load_split(tmp_path / "split.json", SplitRule(seed=1)) == {}
    moved = {split.units[0]: "test"}
    assert split_examples(many(tmp_path, 50), rule, moved).parts[0] == "test"
