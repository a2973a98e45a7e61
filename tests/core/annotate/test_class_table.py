"""The classes as a table: what is written comes back, what others write is understood."""

from __future__ import annotations

import pytest

from napari_hemacells.core.annotate import Palette, default_palette
from napari_hemacells.core.annotate.class_table import (
    palette_of_names,
    read_class_table,
    with_class_table,
    write_class_table,
)
from napari_hemacells.core.errors import AnnotationError


def blood():
    palette = palette_of_names(
        ["lymphocyte ▸ healthy", "lymphocyte ▸ abnormal", "monocyte", "monocyte ▸ abnormal"]
    )
    return palette.recolour(palette.by_name("healthy").id, "#123456")


def described(palette):
    return [(c.name, c.colour, c.key, c.parent and palette.by_id(c.parent).name) for c in palette]


def test_written_classes_come_back(tmp_path):
    write_class_table(tmp_path / "classes.csv", blood())
    again = with_class_table(Palette(), read_class_table(tmp_path / "classes.csv"))
    assert described(again) == described(blood())


def test_classes_that_are_there_keep_their_ids_and_none_goes(tmp_path):
    file = tmp_path / "classes.csv"
    file.write_text("Name;Within;Color\nreticulocyte;rbc;\nRBC;;#abcdef\nBlast;WBC;\n")
    palette = with_class_table(default_palette(), read_class_table(file))
    assert [c.name for c in palette] == ["RBC", "reticulocyte", "WBC", "Blast", "Platelets"]
    assert palette.by_id("rbc").colour == "#abcdef"
    assert palette.by_name("reticulocyte").parent == "rbc"


def test_a_class_that_is_there_goes_within_its_kind(tmp_path):
    file = tmp_path / "classes.csv"
    file.write_text("class,parent,key\nPlatelets,WBC,7\n")
    palette = with_class_table(default_palette(), read_class_table(file))
    assert (palette.by_id("platelets").parent, palette.by_id("platelets").key) == ("wbc", 7)


def test_one_name_within_two_kinds_is_two_classes(tmp_path):
    file = tmp_path / "classes.csv"
    file.write_text("class,parent\nabnormal,lymphocyte\nabnormal,monocyte\n")
    palette = with_class_table(Palette(), read_class_table(file))
    assert [c.name for c in palette] == [
        "lymphocyte", "lymphocyte ▸ abnormal", "monocyte", "monocyte ▸ abnormal",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name of it,parent\nx,y\n", "needs the column class"),
        ("class,key\nx,12\n", "none of 1 to 9"),
        ("class,parent\n,\n", "names no class|cannot be read"),
        ("", "cannot be read"),
        ("class,parent\na,b\nc,a\n", "two levels"),
        ("class,colour\na,red\n", "not a colour"),
    ],
)
def test_what_cannot_be_used_says_so(tmp_path, text, words):
    file = tmp_path / "classes.csv"
    file.write_text(text)
    with pytest.raises(AnnotationError, match=words):
        with_class_table(Palette(), read_class_table(file))


def test_two_folders_of_one_name_are_refused():
    with pytest.raises(AnnotationError, match="already a class"):
        palette_of_names(["RBC", "rbc"])
