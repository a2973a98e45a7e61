"""Which annotation belongs to which image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.evaluate.detection_datasets import AnnotatedPoints, read_fields

VOC = """<annotation><object><name>{}</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>11</xmax>
<ymax>22</ymax></bndbox></object></annotation>"""


def test_a_voc_folder_is_looked_up_by_stem_and_names_become_the_detectors(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(VOC.format("Erythrocyte"))
    fields, without = read_fields([Path("a.png"), Path("b.png")], tmp_path)
    assert [one.path.name for one in fields] == ["a.png"]
    assert [one.name for one in without] == ["b.png"]
    assert fields[0].truth.classes.tolist() == ["RBC"]


def test_points_of_one_image_may_have_another_name(tmp_path: Path) -> None:
    (tmp_path / "points.txt").write_text("10 20 3\n")
    (field,), _ = read_fields([Path("a.png")], tmp_path / "points.txt", as_class="RBC")
    assert isinstance(field.truth, AnnotatedPoints)
    assert field.truth.centres.tolist() == [[20, 10]]
    assert field.truth.classes.tolist() == ["RBC"]


def test_coco_is_looked_up_by_file_name_alone_or_in_a_folder(tmp_path: Path) -> None:
    content = {
        "categories": [{"id": 1, "name": "platelet"}],
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}],
    }
    (tmp_path / "all.json").write_text(json.dumps(content))
    for given in (tmp_path, tmp_path / "all.json"):
        (field,), _ = read_fields([Path("a.png")], given)
        assert field.truth.classes.tolist() == ["Platelets"]


@pytest.mark.parametrize("name", ["missing", "notes.md", "empty"])
def test_what_is_no_annotation_is_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.md").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CellsError, match=name):
        read_fields([Path("a.png")], tmp_path / name)


def test_annotations_of_other_images_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "z.xml").write_text(VOC.format("RBC"))
    with pytest.raises(CellsError, match="none of the 1 images"):
        read_fields([Path("a.png")], tmp_path)
