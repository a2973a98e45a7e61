"""Counts, differential count and workbook of a joint table, on numbers made by hand."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import openpyxl
import pandas as pd
import pytest

from napari_hemacells.core.annotate import Palette
from napari_hemacells.core.store.class_counts import (
    count_classes,
    counts_sentence,
    differential_sentence,
    wilson,
)
from napari_hemacells.core.store.joint_table import (
    FIRST_COLUMNS,
    ImageRows,
    image_labels,
    join_tables,
    read_rows,
)
from napari_hemacells.core.store.report import ReportInput, class_shares, render
from napari_hemacells.core.store.tables import cells_table, counts_table
from napari_hemacells.core.store.white_cells import is_white_cell
from napari_hemacells.core.store.workbook import workbook_bytes, write_joint_table
from napari_hemacells.core.types import UNKNOWN

PBC = (
    "basophil", "eosinophil", "erythroblast", "ig", "lymphocyte", "monocyte", "neutrophil",
    "platelet",
)  # fmt: skip


def rows(*shown: str, **more) -> pd.DataFrame:
    return pd.DataFrame({"label": range(1, len(shown) + 1), "class": list(shown), **more})


def sheets(joint):
    book = openpyxl.load_workbook(io.BytesIO(workbook_bytes(joint)))
    return {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book}


def test_white_cells_of_public_sets_are_known():
    assert [name for name in PBC if not is_white_cell(name)] == ["erythroblast", "platelet"]
    assert [is_white_cell(name) for name in ("RBC", "WBC", "Platelets")] == [False, True, False]


def test_the_differential_count_is_of_white_cells_alone():
    shown = ["RBC"] * 90 + ["Neutrophil"] * 6 + ["Lymphocyte"] * 4 + [UNKNOWN] * 3 + [""] * 2
    counts = count_classes(shown, ["RBC", "Neutrophil", "Lymphocyte", "Monocyte"])
    assert (counts.cells, counts.classified, counts.unknown, counts.unclassified) == (
        105,
        100,
        3,
        2,
    )
    differential = counts.differential
    assert differential is not None
    assert differential.white == 10
    assert [(one.name, one.cells, one.share) for one in differential.classes] == [
        ("Neutrophil", 6, 0.6), ("Lymphocyte", 4, 0.4), ("Monocyte", 0, 0.0),
    ]  # fmt: skip
    assert (differential.classes[0].low, differential.classes[0].high) == wilson(6, 10)
    assert differential.excluded == {"RBC": 90}
    assert differential_sentence(counts).endswith(
        "Not in the shares: RBC 90, (unknown) 3, (no class) 2."
    )
    assert counts_sentence(counts) == (
        "105 cells: RBC 90, Neutrophil 6, Lymphocyte 4, (unknown) 3, (no class) 2"
    )


@pytest.mark.parametrize("names", [["RBC", "WBC", "Platelets"], ["a", "b"], []])
def test_without_two_kinds_of_white_cells_there_is_none(names):
    assert count_classes(names * 3, names).differential is None
    assert differential_sentence(count_classes(names * 3, names)) == ""


def test_files_of_one_name_are_told_apart():
    assert image_labels(["a/f.png", "b/f.png", "b/g.png"]) == ["a/f.png", "b/f.png", "g.png"]
    assert image_labels(["a/x/f.png", "b/x/f.png", "f.png"]) == [
        "a/x/f.png", "b/x/f.png", "f.png",
    ]  # fmt: skip
    assert image_labels(["f.png", "f.png", "f.png (2)"]) == ["f.png", "f.png (2)", "f.png (2) (2)"]


def test_the_joint_table_report_and_counts_agree(
    image, cells, annotations, prediction, palette, spec
):
    """Unknown, annotated and detected cells are counted alike wherever they are counted."""
    part = replace(
        prediction,
        ids=prediction.ids[:3],
        probabilities=prediction.probabilities[:3],
        unknown=np.array([0.1, 2.0, 3.0], np.float32),
        is_unknown=np.array([False, True, True]),
    )
    table = cells_table(image, cells, annotations, part, palette)
    names = [one.name for one in palette]
    joint = join_tables([ImageRows("field.png", table)], names)
    assert joint.frame["class"].tolist() == ["RBC", "Platelets", UNKNOWN, "WBC"]
    total = {name: count for name, count in joint.total.rows() if count}
    assert total == {"RBC": 1, "WBC": 1, "Platelets": 1, UNKNOWN: 1}
    counts = counts_table(table, palette).set_index("class")["total"].drop("Total")
    assert counts[counts > 0].to_dict() == total
    shares = class_shares(counts_table(table, palette), palette)
    assert [(one.share, one.low) for one in shares] == [
        (one.share, one.low) for one in joint.total.classes
    ]
    page = render(ReportInput(image, cells, annotations, part, palette, spec))
    assert "By the<br>detector" in page
    summary = {row[0]: row[1] for row in sheets(joint)["Summary"] if row and row[0]}
    assert {name: summary[name] for name in total} == total


def test_columns_and_reading_back(tmp_path, image, cells, annotations, prediction, palette):
    table = cells_table(image, cells, annotations, prediction, palette)
    joint = join_tables(
        [ImageRows("=f.png", table, "p 1", "/s/=f.png"), ImageRows("g.png", table.iloc[:0])],
        [one.name for one in palette],
    )
    csv, workbook = write_joint_table(tmp_path, joint)
    back = read_rows(csv)
    assert list(back)[:9] == [*FIRST_COLUMNS, "p_RBC", "p_WBC", "p_Platelets"]
    assert back["image"].tolist() == ["=f.png"] * 4
    assert back["unknown"].tolist() == [""] * 4
    assert joint.by_image()["g.png"].cells == 0
    assert (tmp_path / "cells.csv").read_text("utf-8-sig").splitlines()[1].startswith("'=f.png,")
    again = join_tables([ImageRows("x", back)], [one.name for one in palette])
    pd.testing.assert_frame_equal(
        again.frame.drop(columns=["image", "group", "file"]),
        joint.frame.drop(columns=["image", "group", "file"]),
    )
    cell = openpyxl.load_workbook(workbook)["Cells"]["A2"]
    assert (cell.value, cell.data_type) == ("'=f.png", "s")


def test_names_cannot_break_the_workbook():
    nasty = ["=1+2", "\x01\x0b", "a\ud800", "<b>&", "x" * 200]
    palette = Palette()
    for name in nasty:
        palette = palette.add(name)
    joint = join_tables([ImageRows("i\x00\udcff.png", rows(*nasty), "=g")], nasty)
    found = sheets(joint)
    assert [row[2] for row in found["Cells"][1:]] == [
        "'=1+2", "\\x01\\x0b", "a\\xd800", "<b>&", "x" * 200,
    ]  # fmt: skip
    assert found["Groups"][1][0] == "'=g"
    assert not any(
        str(value).startswith("=") for sheet in found.values() for row in sheet for value in row
    )


def test_groups_and_their_differential_counts():
    joint = join_tables(
        [
            ImageRows("a", rows("Neutrophil", "Neutrophil", "RBC"), "p1"),
            ImageRows("b", rows("Neutrophil", "Lymphocyte", UNKNOWN), "p2"),
            ImageRows("c", rows(), "p2"),
        ],
        ["Neutrophil", "Lymphocyte", "RBC"],
    )
    heading, *groups = sheets(joint)["Groups"]
    place = {name: index for index, name in enumerate(heading)}
    assert [row[place["cells"]] for row in groups] == [3, 3]
    assert [row[place["Neutrophil, share of white cells"]] for row in groups] == [1.0, 0.5]
    assert [row[place["white cells"]] for row in groups] == [2, 2]
    assert [row[0] for row in sheets(joint)["Images"][1:]] == ["a", "b", "c"]
    assert sum(counts.cells for counts in joint.by_group().values()) == joint.total.cells


def test_pictures_of_one_cell_each_have_no_sheet_of_images():
    parts = [ImageRows(f"{number}.png", rows("a")) for number in range(3)]
    assert list(sheets(join_tables(parts, ["a", "b"]))) == ["Summary", "Cells"]


def test_nothing_is_a_table_too():
    joint = join_tables([], ["a", "b"])
    assert joint.total.cells == 0
    assert list(joint.frame)[: len(FIRST_COLUMNS)] == list(FIRST_COLUMNS)
    assert sheets(joint)["Summary"][2][:2] == ("a", 0)


def test_one_class_alone_has_no_shares():
    joint = join_tables([ImageRows("a", rows("x", "x", p_x=[np.nan, np.nan]))], ["x", "y"])
    assert joint.total.classes[0].share is None
    text = " ".join(str(row[0]) for row in sheets(joint)["Summary"] if row)
    assert "there are no shares" in text
