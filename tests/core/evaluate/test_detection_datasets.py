"""Annotation files with known content."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.evaluate.detection_datasets import read_coco, read_points, read_voc

if TYPE_CHECKING:
    from pathlib import Path

VOC = """<annotation><object><name>RBC</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>11</xmax>
<ymax>22</ymax></bndbox></object><object><name>WBC</name><bndbox><xmin>5</xmin><ymin>5</ymin>
<xmax>5</xmax><ymax>5</ymax></bndbox></object></annotation>"""


def test_voc_boxes_have_rows_first_and_empty_ones_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "a.xml"
    file.write_text(VOC)
    boxes = read_voc(file)
    assert boxes.boxes.tolist() == [[2, 1, 22, 11]]
    assert boxes.classes.tolist() == ["RBC"]


def test_points_have_rows_first(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("10 20 3\n\n30 40 0\n")
    points, types = read_points(file)
    assert points.tolist() == [[20, 10], [40, 30]]
    assert types.tolist() == ["3", "0"]


def test_an_empty_file_has_no_points(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("")
    assert read_points(file)[0].shape == (0, 2)


@pytest.mark.parametrize("text", ["<annotation>", VOC.replace("22", "many")])
def test_a_broken_voc_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.xml"
    file.write_text(text)
    with pytest.raises(CellsError, match=r"broken\.xml"):
        read_voc(file)


def test_a_broken_points_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.txt"
    file.write_text("10\n")
    with pytest.raises(CellsError, match=r"broken\.txt"):
        read_points(file)


COCO = {
    "categories": [{"id": 3, "name": "RBC"}],
    "images": [{"id": 7, "file_name": "slides\\a.png"}, {"id": 8, "file_name": "x/b.png"}],
    "annotations": [
        {"image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 20]},
        {"image_id": 7, "category_id": 3, "bbox": [1, 2, 0, 20]},
        {"image_id": 7, "category_id": 3, "bbox": [5, 5, 5, 5], "iscrowd": 1},
    ],
}


def test_coco_boxes_have_rows_first_and_an_image_may_be_empty(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(COCO))
    found = read_coco(file)
    assert found["a.png"].boxes.tolist() == [[2, 1, 22, 11]]
    assert found["a.png"].classes.tolist() == ["RBC"]
    assert found["b.png"].boxes.shape == (0, 4)


TWICE = {**COCO, "images": [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "x/a.png"}]}


@pytest.mark.parametrize("content", ["{", "[1]", "{}", json.dumps(TWICE)])
def test_a_broken_coco_file_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "broken.json"
    file.write_text(content)
    with pytest.raises(CellsError, match=r"broken\.json"):
        read_coco(file)
