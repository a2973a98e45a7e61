"""Classes within kinds in tables, counts, workbook, report and model bundles."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import openpyxl
import pandas as pd
import pytest

from made_up import INFO, make_cells, make_image
from napari_hemacells.core.annotate import Annotation, Palette
from napari_hemacells.core.classify import HierarchicalHead, SupportSet, fit_levels
from napari_hemacells.core.errors import BundleError
from napari_hemacells.core.store import Bundle, load_bundle, save_bundle
from napari_hemacells.core.store.class_counts import count_classes
from napari_hemacells.core.store.joint_table import ImageRows, join_tables
from napari_hemacells.core.store.report import ReportInput, render
from napari_hemacells.core.store.tables import cells_table
from napari_hemacells.core.store.white_cells import is_white_within
from napari_hemacells.core.store.workbook import workbook_bytes
from napari_hemacells.core.types import CropSpec, Prediction


@pytest.fixture
def palette():
    palette = Palette()
    for name in ("lymphocyte", "RBC"):
        palette = palette.insert(palette.new_class(name, class_id=name))
    for name in ("healthy", "abnormal"):
        new = palette.new_class(name, class_id=name, parent="lymphocyte")
        palette = palette.insert(new)
    return palette


CHANCES = [[0.5, 0.2, 0.3], [0.1, 0.3, 0.6], [0.3, 0.3, 0.4]]


@pytest.fixture
def table(palette):
    cells = make_cells()
    prediction = Prediction(
        cells.ids[:3],
        ("healthy", "abnormal", "RBC"),
        np.array(CHANCES, np.float32),
        kinds=("lymphocyte", "lymphocyte", "RBC"),
    )
    words = {int(cells.ids[1]): Annotation("abnormal", 0.0, 0.0, "ann", "now")}
    return cells_table(make_image(), cells, words, prediction, palette)


def test_a_row_has_its_kind_and_how_sure_that_is(table):
    rows = table.iloc[:3]
    assert rows["class"].tolist() == ["healthy", "abnormal", "healthy"]
    assert rows["kind"].tolist() == ["lymphocyte"] * 3
    np.testing.assert_allclose(rows["confidence"], [0.5, 0.6, 0.3], atol=1e-6)
    np.testing.assert_allclose(rows["kind_confidence"], [0.7, 0.6, 0.6], atol=1e-6)
    names = list(table.columns)
    assert names[names.index("class") + 1] == "kind"
    assert names[names.index("confidence") + 1] == "kind_confidence"


def test_flat_classes_have_no_such_columns(table, palette):
    flat = palette.set_parent("healthy", None).set_parent("abnormal", None)
    columns = cells_table(make_image(), make_cells(), {}, None, flat).columns
    assert not {"kind", "kind_confidence"} & set(columns)
    assert "kinds" not in count_classes(["RBC"], ["RBC"]).to_dict()


def joint_of(table, palette):
    names = [one.name for one in palette]
    return join_tables([ImageRows("a.png", table)], names, (), palette.kind_names)


def test_counts_at_both_levels_agree_with_the_table(table, palette):
    joint = joint_of(table, palette)
    counted = joint.total.to_dict()
    by_class = joint.frame["class"].value_counts()
    by_kind = joint.frame["kind"].value_counts()
    assert {one["class"]: one["cells"] for one in counted["kinds"]}["lymphocyte"] == 3
    for one in counted["kinds"]:
        assert one["cells"] == by_kind.get(one["class"], 0)
    for one in counted["classes"]:
        assert one["cells"] == by_class.get(one["class"], 0)
    classified = joint.total.classified
    assert sum(one["cells"] for one in counted["kinds"]) == classified


def test_the_joint_table_of_tables_read_back_is_the_same(table, palette):
    text = pd.read_csv(io.StringIO(table.to_csv(index=False)), dtype=str, keep_default_na=False)
    ours, theirs = joint_of(table, palette).frame, joint_of(text, palette).frame
    pd.testing.assert_frame_equal(ours, theirs, atol=1e-6)
    assert list(ours.columns)[:6] == [
        "image", "label", "class", "kind", "confidence", "kind_confidence",
    ]  # fmt: skip


def test_the_summary_sheet_counts_kinds(table, palette):
    book = openpyxl.load_workbook(io.BytesIO(workbook_bytes(joint_of(table, palette))))
    lines = [row[:2] for row in book["Summary"].iter_rows(values_only=True)]
    start = next(at for at, line in enumerate(lines) if str(line[0]).startswith("Counts by kind"))
    assert ("lymphocyte", 3) in lines[start:]


def test_white_cells_are_told_by_the_kind():
    counts = count_classes(
        ["healthy", "abnormal", "basophilic"],
        ["healthy", "abnormal", "basophilic"],
        kinds={
            "healthy": "lymphocyte", "abnormal": "lymphocyte", "basophilic": "erythroblast",
        },
    )  # fmt: skip
    assert counts.differential.white == 2
    assert counts.differential.excluded == {"basophilic": 1}
    assert is_white_within("IG", "IG")


def test_the_report_counts_kinds(palette):
    cells = make_cells()
    words = {int(cells.ids[row]): Annotation(name, 0.0, 0.0, "ann", "now")
             for row, name in enumerate(("healthy", "abnormal", "RBC"))}  # fmt: skip
    page = render(ReportInput(make_image(), cells, words, None, palette, CropSpec()))
    assert "Counts by kind" in page
    flat = palette.set_parent("healthy", None).set_parent("abnormal", None)
    page = render(ReportInput(make_image(), cells, words, None, flat, CropSpec()))
    assert "Counts by kind" not in page


@pytest.fixture
def bundle(palette):
    rng = np.random.default_rng(1)
    labels = ("healthy", "abnormal", "RBC", "lymphocyte") * 4
    vectors = rng.standard_normal((16, INFO.dim)).astype(np.float32)
    vectors += np.array([[3.0], [-3.0], [0.0], [0.5]] * 4, np.float32)
    head = fit_levels(SupportSet(vectors, labels), palette.ids, palette.parents)
    tensors, meta = head.to_tensors()
    return Bundle("two", INFO, CropSpec(), palette, tensors, meta, vectors, labels)


def test_a_model_of_two_levels_comes_back(bundle, tmp_path):
    again = load_bundle(save_bundle(tmp_path / "model", bundle))
    assert again.palette == bundle.palette
    assert isinstance(again.head, HierarchicalHead)
    np.testing.assert_array_equal(
        again.head.scores(bundle.vectors), bundle.head.scores(bundle.vectors)
    )
    content = json.loads((tmp_path / "model" / "bundle.json").read_text())
    assert content["version"] == 4  # earlier versions say that they cannot read it


def test_a_model_of_one_level_is_written_as_before(bundle, tmp_path):
    flat = bundle.palette.set_parent("healthy", None).set_parent("abnormal", None)
    save_bundle(tmp_path / "model", replace(bundle, palette=flat))
    content = json.loads((tmp_path / "model" / "bundle.json").read_text())
    assert content["version"] == 2
    assert all("parent" not in one for one in content["classes"])


def test_a_head_of_two_levels_with_other_cells_is_refused(bundle):
    with pytest.raises(BundleError, match="do not belong together"):
        replace(bundle, labels=("healthy", *bundle.labels[1:-1], "RBC")).head  # noqa: B018
