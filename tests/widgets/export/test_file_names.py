"""Exports of images of equal names into one folder: none overwrites another's files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from made_up import make_cells, make_image
from napari_hemacells.core.annotate import palette_for
from napari_hemacells.core.errors import StorageError
from napari_hemacells.widgets.export.file_names import INDEX_NAME, reserve_stem
from napari_hemacells.widgets.export.panel import ExportRequest
from napari_hemacells.widgets.export.steps import ExportSnapshot, export_steps


def field(seed: int, folder: str, name: str = "field"):
    """An image with a name and a folder."""
    return replace(make_image(seed, name), path=Path("/data") / folder / f"{name}.png")


def export(image, folder, what=("csv",)):
    now = ExportSnapshot(image, make_cells(3), {}, None, palette_for("colour"), None, None)
    steps = export_steps(ExportRequest(what, folder), now)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_an_equally_named_image_of_another_folder_gets_its_folders_name(tmp_path):
    first, second = field(0, "slide1"), field(1, "slide2")
    one = export(first, tmp_path, ("csv", "labels", "coco"))
    before = {path: path.read_bytes() for path in one.written}
    other = export(second, tmp_path, ("csv", "labels", "coco"))
    assert not one.note
    assert "“slide2_field”" in other.note
    assert {path.name for path in other.written} == {
        "slide2_field.cells.csv", "slide2_field.labels.tif", "slide2_field.coco.json"
    }  # fmt: skip
    assert {path: path.read_bytes() for path in one.written} == before


def test_the_same_image_is_written_over_its_own_files(tmp_path):
    image, other = field(0, "slide1"), field(1, "slide2")
    for exported in (image, other):
        first, second = export(exported, tmp_path), export(exported, tmp_path)
        assert first.written == second.written


def test_a_third_one_of_an_equal_folder_gets_a_number(tmp_path):
    stems = [reserve_stem(tmp_path, field(seed, "slide1")) for seed in range(4)]
    assert stems == ["field", "slide1_field", "slide1_field_2", "slide1_field_3"]
    assert reserve_stem(tmp_path, field(2, "slide1")) == "slide1_field_2"


def test_names_that_differ_in_case_only_are_one_name_to_many_disks(tmp_path):
    assert reserve_stem(tmp_path, field(0, "a", "Field")) == "Field"
    assert reserve_stem(tmp_path, field(1, "b", "field")) == "b_field"


def test_a_layer_without_a_file_gets_a_number(tmp_path):
    assert reserve_stem(tmp_path, make_image(0, "smear")) == "smear"
    assert reserve_stem(tmp_path, make_image(1, "smear")) == "smear_2"


def test_files_that_nobody_knows_are_not_overwritten(tmp_path):
    (tmp_path / "field.cells.csv").write_text("by another program")
    exported = export(field(0, "slide1"), tmp_path)
    assert exported.written[0].name == "slide1_field.cells.csv"
    assert (tmp_path / "field.cells.csv").read_text() == "by another program"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'{"field": 3}'])
def test_a_damaged_index_loses_no_files(tmp_path, content):
    first = export(field(0, "slide1"), tmp_path).written[0]
    before = first.read_bytes()
    (tmp_path / INDEX_NAME).write_bytes(content)
    export(field(1, "slide2"), tmp_path)
    assert first.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        export(field(0, "slide1"), tmp_path / "file" / "export")
