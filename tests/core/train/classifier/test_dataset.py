"""What is learned from: folders, tables, groups, and what is refused."""

import numpy as np
import pytest

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier.dataset import (
    Example,
    Examples,
    check_examples,
    check_groups,
    read_examples,
    write_examples,
)


def test_class_folders_are_classes(discs):
    found = read_examples(discs)
    assert found.counts == {"red": 16, "violet": 16}
    assert not found.grouped
    assert found.items[0].name == "red/000.png"


def test_thermograms_belong_to_the_patient_of_their_names(tmp_path):
    for name in (
        "healthy/T0001.1.1.D.2013-01-16.00.txt",
        "healthy/T0001.1.1.D.2013-01-16.01.txt",
        "sick/T0012.1.1.S.2013-01-16.00.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.savetxt(tmp_path / name, np.full((20, 20), 31.0), fmt="%.2f")
    found = read_examples(tmp_path)
    assert [one.group for one in found.items] == ["patient 1", "patient 1", "patient 12"]
    assert found.grouped


@pytest.mark.parametrize("column", ["group", "Patient", "slide"])
def test_a_table_names_path_label_and_group(discs, column):
    rows = ["red/000.png,red,p1", "violet/001.png,v,p2"]
    (discs / "t.csv").write_text("\n".join([f"path,label,{column}", *rows]))
    found = read_examples(discs / "t.csv")
    assert [(one.label, one.group) for one in found.items] == [("red", "p1"), ("v", "p2")]
    assert found.items[0].path == discs / "red/000.png"
    assert found.grouped


def test_a_table_without_its_columns_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("file,kind\na.png,red\n")
    with pytest.raises(TrainingError, match="path and label"):
        read_examples(tmp_path / "t.csv")


def test_crops_written_are_crops_read(tmp_path):
    crops = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), dtype=np.uint8)
    labels, groups = ["a/b", "c", "c"], ["s1", "s1", "s2"]
    write_examples(tmp_path / "x", crops, labels, groups, ["s1-4", "s1-5", "s2-1"])
    found = read_examples(tmp_path / "x")
    assert [one.label for one in found.items] == labels
    assert [one.group for one in found.items] == groups
    assert [one.path.stem for one in found.items] == ["s1-4", "s1-5", "s2-1"]


def test_no_folder_and_no_pictures_are_refused(tmp_path):
    with pytest.raises(TrainingError, match="no folder"):
        read_examples(tmp_path / "missing")
    with pytest.raises(TrainingError, match="class folders"):
        read_examples(tmp_path)


def make(tmp_path, rows):
    return Examples(tuple(Example(tmp_path / "x", *row) for row in rows), tmp_path)


def test_fewer_than_two_classes_are_refused(tmp_path):
    with pytest.raises(TrainingError, match="Two classes are needed"):
        check_examples(make(tmp_path, [("a",), ("a",)]))


def test_a_class_with_one_picture_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="“b” has only one picture"):
        check_examples(make(tmp_path, [("a",), ("a",), ("b",)]))


def test_a_class_of_one_patient_is_refused(tmp_path):
    rows = [("a", "p1"), ("a", "p2"), ("b", "p3"), ("b", "p3")]
    with pytest.raises(TrainingError, match=r"“b” come from one group \(p3\)"):
        check_groups(make(tmp_path, rows))
    check_groups(make(tmp_path, [*rows, ("b", "p1")]))
