"""Known groups stay whole beside pictures without one; copies are known; a split is honoured."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_hemacells.core.errors import ImageError, TrainingError
from napari_hemacells.core.evaluate import list_class_folders
from napari_hemacells.core.temperature import parse_dmr_ir_name
from napari_hemacells.core.temperature.dmr_ir import original_name
from napari_hemacells.core.train.classifier.crop_store import (
    CropGeometry,
    CropStore,
    LoadedExamples,
)
from napari_hemacells.core.train.classifier.dataset import (
    Example,
    Examples,
    check_groups,
    read_examples,
)
from napari_hemacells.core.train.classifier.split import SplitRule, split_examples
from napari_hemacells.core.train.classifier.units import split_units
from napari_hemacells.core.types import CropSpec

FRAME = "T{:04d}.1.1.S.2013-01-16.{:02d}{}.txt"
COPIES = [
    "{} (1)", "{} (12)", "{}(2)", "{} - Kopie", "{} - Kopie (2)", "{} - Copy", "{} - Copy (3)",
    "{} copy", "{} copy 2", "{}_copy", "Copy of {}", "Kopie von {}", "Copy of {} (1)",
    "{} - cópia",
]  # fmt: skip


@pytest.mark.parametrize("form", COPIES)
def test_a_copy_is_known_by_its_name(form):
    stem = "T0012.1.1.S.2013-01-16.00"
    assert original_name(f"{form.format(stem)}.txt") == f"{stem}.txt"
    assert parse_dmr_ir_name(f"{form.format(stem)}.txt") == parse_dmr_ir_name(f"{stem}.txt")


@pytest.mark.parametrize(
    "name", ["a.png", "cell 3.png", "slide (left).png", "(1).png", "copy.png"]
)
def test_other_names_are_their_own(name):
    assert original_name(name) == name


def loaded(rows, digests=None):
    items = tuple(Example(name, label, group, name, part) for name, label, group, part in rows)
    store = CropStore([], np.empty((0, 8, 8, 3), np.uint8), CropGeometry(CropSpec(8), 1.0))
    return LoadedExamples(Examples(items, ""), store, tuple(digests or [r[0] for r in rows]), ())


def patients(n, blank=()):
    return [(f"{k}.png", "ab"[k % 2], "" if k in blank else f"p{k // 4}", "") for k in range(n)]


def parts_of_groups(split, found):
    parts = {}
    for item, part in zip(found.examples.items, split.parts, strict=True):
        if item.group:
            parts.setdefault(item.group, set()).add(part)
    return parts


@given(blank=st.sets(st.integers(0, 99), max_size=99), seed=st.integers(0, 99))
def test_pictures_without_a_group_do_not_split_the_others(blank, seed):
    found = loaded(patients(100, blank))
    split = split_examples(found, SplitRule(seed=seed))
    assert split.grouped
    assert all(len(parts) == 1 for parts in parts_of_groups(split, found).values())
    said = f"{len(blank)} of 100 pictures have no patient or slide: each is a group of its own."
    assert (said in split.notes) == bool(blank)


def test_copies_are_with_what_they_are_copies_of():
    rows = [
        ("a/1.png", "a", "p1", ""), ("a/1 (1).png", "a", "", ""), ("b/x.png", "b", "", ""),
        ("a/y.png", "a", "", ""), ("a/Copy of y.png", "a", "", ""), ("b/z (2).png", "b", "", ""),
    ]  # fmt: skip
    items = loaded(rows).examples.items
    digests = ["d1", "d2", "d1", "d4", "d5", "d6"]
    assert split_units(items, digests) == (
        "group/p1", "group/p1", "group/p1", "crop/d4", "crop/d4", "crop/d6",
    )  # fmt: skip
    assert split_units(items, digests, ungrouped=True)[:2] == ("crop/d1", "crop/d1")


def test_one_copy_among_thermograms_leaves_every_patient_whole(tmp_path):
    for patient in range(8):
        folder = tmp_path / ("healthy" if patient % 2 else "sick")
        folder.mkdir(exist_ok=True)
        for frame in range(3):
            name = folder / FRAME.format(patient, frame, "")
            np.savetxt(name, np.full((20, 20), 30 + patient / 10 + frame / 100), fmt="%.2f")
    shutil.copy(
        tmp_path / "sick" / FRAME.format(0, 0, ""), tmp_path / "sick" / FRAME.format(0, 0, " (1)")
    )
    found = read_examples(tmp_path)
    assert [one.group for one in found.items].count("patient 0") == 4
    assert found.grouped


def test_a_blank_patient_is_no_group_of_the_class():
    rows = [("1", "a", "p1", ""), ("2", "a", "p2", ""), ("3", "b", "", ""), ("4", "b", "", "")]
    check_groups(loaded(rows).examples)


def test_a_column_split_is_honoured(tmp_path):
    rows = ["path;label;split"] + [
        f"{n}.png;{'ab'[n % 2]};{('train', 'Val', 'testing')[n % 3]}" for n in range(12)
    ]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    examples = read_examples(tmp_path / "t.csv")
    found = loaded([(one.name, one.label, "", one.part) for one in examples.items])
    split = split_examples(found, SplitRule(seed=5))
    assert split.parts == ("train", "validation", "test") * 4
    assert "as the column split says" in split.describe()


def test_without_validation_in_the_column_some_of_train_checks_and_test_is_kept():
    rows = [(f"{n}", "ab"[n % 2], "", "test" if n >= 60 else "train") for n in range(90)]
    split = split_examples(loaded(rows), SplitRule())
    assert set(split.parts[60:]) == {"test"}
    assert set(split.parts[:60]) == {"train", "validation"}
    assert any("no validation" in note for note in split.notes)


def test_a_group_in_two_parts_is_refused(tmp_path):
    rows = [("1", "a", "p1", "train"), ("2", "b", "p1", "test")]
    rows += [("3", "b", "", "train"), ("4", "a", "", "test")]
    with pytest.raises(TrainingError, match=r"one group \(p1: “2”\) into train and test"):
        split_examples(loaded(rows), SplitRule())
    (tmp_path / "t.csv").write_text("path,label,split\na.png,a,later\n")
    with pytest.raises(TrainingError, match="line 2: split is “later”"):
        read_examples(tmp_path / "t.csv")


@pytest.mark.parametrize(("row", "said"), [("a.png,", "label is missing"), (",a", "path is")])
def test_a_row_that_is_not_complete_is_named(tmp_path, row, said):
    (tmp_path / "t.csv").write_text(f"path,label\nb.png,b\n{row}\n")
    with pytest.raises(TrainingError, match=f"line 3: the {said}"):
        read_examples(tmp_path / "t.csv")


def picture(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 9)).save(file, "JPEG")


def test_pictures_one_folder_deeper_and_jfif_are_read(tmp_path):
    for name in ("a/1.jpg", "b/p1/2.jpg", "b/p2/3.jpg", "c/4.jfif", "c/._4.jfif", "b/.x/5.jpg"):
        picture(tmp_path / name)
    found = list_class_folders(tmp_path)
    assert {name: [file.name for file in files] for name, files in found.items()} == {
        "a": ["1.jpg"], "b": ["2.jpg", "3.jpg"], "c": ["4.jfif"],
    }  # fmt: skip
    assert [one.name for one in read_examples(tmp_path).items] == [
        "a/1.jpg", "b/p1/2.jpg", "b/p2/3.jpg", "c/4.jfif",
    ]  # fmt: skip


def test_a_class_folder_without_a_readable_picture_is_said(tmp_path):
    picture(tmp_path / "a" / "1.jpg")
    (tmp_path / "b").mkdir()
    assert list(list_class_folders(tmp_path)) == ["a"]
    (tmp_path / "b" / "notes.xcf").write_text("x")
    with pytest.raises(ImageError, match=r"b holds 1 files and no picture that is read \(\.xcf\)"):
        list_class_folders(tmp_path)


def test_folders_named_as_parts_are_a_split_and_no_classes(tmp_path):
    for part in ("train", "val", "test"):
        for name in "ab":
            for number in range(2):
                picture(tmp_path / part / name / f"{part}{number}.jpg")
    found = read_examples(tmp_path)
    assert found.classes == ("a", "b")
    assert {(one.name.split("/")[0], one.part) for one in found.items} == {
        ("train", "train"), ("val", "validation"), ("test", "test"),
    }  # fmt: skip
    with pytest.raises(ImageError, match="holds the parts test, train, val and no classes"):
        list_class_folders(tmp_path)
