"""Splits that the user has made: used, or refused with the reason."""

import csv

import pytest

from made_up_discs import add_discs
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier.dataset import read_examples
from napari_hemacells.core.train.classifier.pipeline import prepare_steps
from napari_hemacells.core.train.classifier.split import PARTS
from napari_hemacells.core.types.progress import run_to_end


def prepared(job):
    return run_to_end(prepare_steps(job))


@pytest.fixture
def parts(tmp_path):
    """Folders train, valid and test with different discs of two classes."""
    for first, part in enumerate(("train", "valid", "test")):
        for name in ("red", "violet"):
            add_discs(tmp_path / "parts" / part, name, 4, first=10 * first)
    return tmp_path / "parts"


def table(folder, rows):
    with (folder / "cells.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows((("path", "label", "split"), *rows))
    return folder / "cells.csv"


def rows(discs, split):
    """Every disc with the part that `split` says for its number."""
    return [
        (str(file.relative_to(discs)), file.parent.name, split(int(file.stem)))
        for file in sorted(discs.glob("*/*.png"))
    ]


def test_folders_train_valid_test_are_the_parts(parts, job):
    split = prepared(job(source=parts)).split
    for part, folder in zip(PARTS, ("train", "valid", "test"), strict=True):
        found = [item.name for item in read_examples(parts).items if item.part == part]
        assert len(found) == 8 == len(split.places(part))
        assert all(name.startswith(folder) for name in found)
    assert "as the column split says" in split.describe()


def test_a_column_split_is_the_split(discs, job):
    source = table(discs, rows(discs, lambda n: ("train", "val", "test")[n % 3]))
    split = prepared(job(source=source)).split
    items = read_examples(source).items
    assert [item.part for item in items] == list(split.parts)


def test_rows_without_a_part_are_split_by_hash_and_told(discs, job):
    source = table(discs, rows(discs, lambda n: ("train", "val", "test", "")[n % 4]))
    prepared_data = prepared(job(source=source))
    for item, part in zip(read_examples(source).items, prepared_data.split.parts, strict=True):
        assert part == item.part or (not item.part and part in {"train", "validation"})
    assert any("have no part in the column split" in note for note in prepared_data.split.notes)


@pytest.mark.parametrize(
    ("split", "changes", "reason"),
    [
        (lambda n: "test" if n % 2 else "val", {}, "no part train"),
        (lambda n: "train" if n % 2 else "eval", {}, "none of train, validation, test"),
        (lambda n: "train" if n % 2 else "test", {"test": 0.2}, "--test cannot choose others"),
    ],
)
def test_a_split_that_cannot_be_used_is_refused(discs, job, split, changes, reason):
    with pytest.raises(TrainingError, match=reason):
        prepared(job(source=table(discs, rows(discs, split)), **changes))


def test_a_class_missing_from_train_is_refused(discs, job):
    split = [
        (path, label, "test" if label == "violet" else "train")
        for path, label, _ in rows(discs, lambda _: "")
    ]
    with pytest.raises(TrainingError, match="part train has no picture of “violet”"):
        prepared(job(source=table(discs, split)))


def test_cross_validation_of_given_parts_is_refused(parts, job):
    from dataclasses import replace

    with pytest.raises(TrainingError, match="leave --folds out"):
        prepared(replace(job(source=parts), folds=3))


def test_parts_beside_classes_and_parts_without_classes_are_refused(parts, tmp_path, job):
    add_discs(parts, "green", 2)
    with pytest.raises(TrainingError, match="beside them green"):
        read_examples(parts)
    for name, part in (("red", "train"), ("violet", "test")):
        add_discs(tmp_path / "flat", name, 2)
        (tmp_path / "flat" / name).rename(tmp_path / "flat" / part)
    with pytest.raises(TrainingError, match="no class folders in them"):
        read_examples(tmp_path / "flat")


def test_shots_learn_from_so_many_and_test_with_the_rest(job):
    found = prepared(job(shots=3))
    labels = [item.label for item in found.loaded.examples.items]
    learned = [labels[place] for place in found.split.places("train")]
    assert sorted(learned) == ["red"] * 3 + ["violet"] * 3
    assert len(found.split.places("test")) + len(found.split.places("validation")) == 26
    assert any("3 pictures of each class" in note for note in found.split.notes)
    again = prepared(job("other", shots=3))
    assert again.split.parts == found.split.parts


def test_shots_of_a_given_split_leave_its_test_part_alone(parts, job):
    split = prepared(job(source=parts, shots=2)).split
    assert [len(split.places(part)) for part in (*PARTS, "unused")] == [4, 8, 8, 4]
    with pytest.raises(TrainingError, match="fewer than --shots 5"):
        prepared(job("more", source=parts, shots=5))


def test_pictures_of_a_group_that_was_learned_from_never_test(discs, job):
    source = discs / "cells.csv"
    lines = [(path, label, f"p{int(path[-6:-4]) // 4}") for path, label, _ in rows(discs, str)]
    with source.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows((("path", "label", "group"), *lines))
    found = prepared(job(source=source, shots=2))
    learned = {found.split.units[place] for place in found.split.places("train")}
    tested = {found.split.units[place] for place in found.split.places("test")}
    assert not learned & tested
    assert len(found.split.places("unused"))


# --- classes from file names ----


def test_the_class_can_come_from_the_file_name(discs):
    for file in sorted(discs.glob("*/*.png")):
        kind = "AB" if int(file.stem) % 2 else "CDE"
        file.rename(file.with_name(f"{kind}_{file.stem}.png"))
    by_group = read_examples(discs, "^([A-Z]+)_")
    assert by_group.counts == {"AB": 16, "CDE": 16}
    assert read_examples(discs, "^[A-Z]{2}").classes == ("AB", "CD")
    flat = discs.parent / "flat"
    flat.mkdir()
    for number, file in enumerate(sorted(discs.glob("*/*.png"))):
        file.rename(flat / f"{file.stem}-{number}.png")
    assert read_examples(flat, "^([A-Z]+)_").counts == {"AB": 16, "CDE": 16}


def test_names_without_a_class_and_bad_patterns_are_refused(discs):
    with pytest.raises(TrainingError, match=r"finds no class in 32 of 32 names"):
        read_examples(discs, "^([A-Z]+)_")
    with pytest.raises(TrainingError, match="is no regular expression"):
        read_examples(discs, "([A-Z")


@pytest.mark.realdata
def test_pbc_has_13_sub_classes_by_file_name(shared_data):
    counts = read_examples(shared_data / "pbc", "^([A-Z]+)_").counts
    assert len(counts) == 13
    assert {counts[name] for name in ("BNE", "SNE", "MMY", "MY", "PMY")} == {
        296,
        294,
        211,
        238,
        127,
    }
