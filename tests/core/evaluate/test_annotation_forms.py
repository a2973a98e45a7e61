"""Annotations of other programs, for other sizes, with mistakes: right boxes, or a sentence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.evaluate.detection_datasets import (
    AnnotatedField,
    parse_voc,
    read_coco,
    read_fields,
    read_points,
)
from napari_hemacells.core.evaluate.detection_report import evaluate_detection_steps
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from pathlib import Path

BOX = (
    "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax>"
    "<ymax>{}</ymax></bndbox></object>"
)
SIZE = "<size><width>{}</width><height>{}</height><depth>3</depth></size>"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of 100 rows and 200 columns."""
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def folder_of(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / "data" / "labels" / "train"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def only_field(picture: Path, annotations: Path) -> AnnotatedField:
    (field,), _ = read_fields([picture], annotations)
    return field


YOLO = "0 0.5 0.5 0.1 0.2\n1 0.25 0.1 0.05 0.1 0.9\n"


@pytest.mark.parametrize(
    ("place", "text", "names"),
    [
        ("data/data.yaml", "nc: 2\nnames: [RBC, white cell]\n", ["RBC", "WBC"]),
        ("data/data.yaml", "names:\n  0: RBC\n  1: blast\n", ["RBC", "blast"]),
        ("data/labels/train/classes.txt", "Erythrocyte\nplatelet\n", ["RBC", "Platelets"]),
        ("data/labels/train/notes.md", "", ["0", "1"]),
    ],
)
def test_a_yolo_folder_gives_boxes_in_pixels_with_the_names_of_its_classes(
    tmp_path: Path, picture: Path, place: str, text: str, names: list[str]
) -> None:
    folder = folder_of(tmp_path, a_txt=YOLO, empty_txt="")
    (tmp_path / place).write_text(text)
    field = only_field(picture, folder)
    np.testing.assert_allclose(field.truth.boxes, [[40, 90, 60, 110], [5, 45, 15, 55]])
    assert field.truth.classes.tolist() == names


def test_a_yolo_polygon_is_the_box_around_it_and_an_empty_file_has_no_cells(
    tmp_path: Path, picture: Path
) -> None:
    Image.new("RGB", (200, 100)).save(tmp_path / "b.png")
    folder = folder_of(tmp_path, a_txt="0 0.1 0.2 0.3 0.2 0.3 0.6\n", b_txt="\n")
    fields, _ = read_fields([picture, tmp_path / "b.png"], folder)
    np.testing.assert_allclose(fields[0].truth.boxes, [[20, 20, 60, 60]])
    assert fields[1].truth.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0 50 50 10 20", "more than three numbers a line"),
        ("0.25 0.75 RBC", "between 0 and 1"),
        ("nan 3 RBC", "not finite"),
    ],
)
def test_numbers_that_are_no_centres_are_refused(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "a.txt").write_text(f"{line}\n{line}\n")
    with pytest.raises(CellsError, match=said):
        read_points(tmp_path / "a.txt")


def test_a_type_of_several_words_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("10 20 red cell\n".encode("utf-8-sig"))
    assert read_points(tmp_path / "a.txt")[1].tolist() == ["red cell"]


def test_voc_of_another_size_is_scaled_and_said(tmp_path: Path, picture: Path) -> None:
    folder = folder_of(
        tmp_path, a_xml=f"<a>{SIZE.format(400, 200)}{BOX.format('RBC', 20, 40, 60, 80)}</a>"
    )
    field = only_field(picture, folder)
    assert field.truth.boxes.tolist() == [[20, 10, 40, 30]]
    assert "made for 200 × 400 pixels, a.png has 100 × 200: it was scaled" in field.notes[0]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize(("height", "top"), [(200, 20.0), (100, 40.0), (None, 40.0)])
def test_coco_with_a_mark_or_of_another_size_is_read(
    tmp_path: Path, picture: Path, bom: bytes, height: int | None, top: float
) -> None:
    size = {} if height is None else {"height": height, "width": 2 * height}
    content = {
        "categories": [{"id": 1, "name": "RBC"}],
        "images": [{"id": 1, "file_name": "a.png", **size}],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": [20, 40, 40, 40]},
            {"image_id": 1, "category_id": 1, "bbox": [20, 40, -4, 4]},
        ],
    }
    file = tmp_path / "all.json"
    file.write_bytes(bom + json.dumps(content).encode())
    field = only_field(picture, file)
    assert field.truth.boxes[0, 0] == top
    assert "a.png: 1 boxes without area were left out." in field.notes
    assert (len(field.notes) == 2) == (height == 200)
    file.write_bytes(json.dumps(content).encode("utf-16"))
    assert read_coco(file)["a.png"].boxes.tolist() == [[40, 20, 80, 60]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SIZE.format(640, 480) + BOX.format("RBC", 20, 40, 60, 80), "another picture, or a part"),
        (BOX.format("RBC", 20, 40, 600, 80), "reaches to row 80 and column 600"),
        ("<object>", "not a Pascal VOC"),
        (BOX.format("RBC", "nan", 40, 60, 80), "not finite"),
    ],
)
def test_one_annotation_that_does_not_fit_fails_its_image_only(
    tmp_path: Path, picture: Path, text: str, said: str
) -> None:
    Image.new("RGB", (200, 100)).save(tmp_path / "b.png")
    good = f"<a>{BOX.format('RBC', 20, 40, 60, 80)}</a>"
    folder = folder_of(tmp_path, a_xml=f"<a>{text}</a>", b_xml=good)
    (folder / "._c.xml").write_text("a mark of another system")
    fields, _ = read_fields([picture, tmp_path / "b.png"], folder)
    assert said in fields[0].refused
    assert fields[1].truth.boxes.tolist() == [[40, 20, 80, 60]]
    with pytest.raises(CellsError, match=r"No annotation can be used.*"):
        read_fields([picture], folder)
    report = run_to_end(evaluate_detection_steps(fields))
    assert len(report.images) == 1
    assert said in report.unreadable[0]


def test_swapped_corners_are_put_right_and_counted(tmp_path: Path) -> None:
    boxes = BOX.format("RBC", 60, 80, 20, 40) * 34 + BOX.format("WBC", 1, 2, 3, 4)
    (tmp_path / "a.xml").write_text(f"<a>{boxes}</a>")
    found = parse_voc(tmp_path / "a.xml")
    assert found.truth.boxes.tolist() == [[40, 20, 80, 60]] * 34 + [[2, 1, 4, 3]]
    assert found.notes == ("a.xml: 34 boxes had their corners swapped and were put right.",)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\x00", b"\x00" * 99, b"[" * 99_999, b"<" * 999])
@pytest.mark.parametrize("name", ["a.xml", "a.json", "a.txt"])
def test_no_damaged_annotation_escapes_the_sentence(
    tmp_path: Path, picture: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    try:
        field = only_field(picture, tmp_path / name)
    except CellsError:
        return
    assert len(field.truth.classes) == 0  # an empty list of centres


def test_an_annotation_of_one_of_two_images_of_a_name_is_not_guessed(
    tmp_path: Path, picture: Path
) -> None:
    (tmp_path / "other").mkdir()
    Image.new("RGB", (200, 100)).save(tmp_path / "other" / "a.png")
    Image.new("RGB", (200, 100)).save(tmp_path / "b.png")
    good = f"<a>{BOX.format('RBC', 20, 40, 60, 80)}</a>"
    folder = folder_of(tmp_path, a_xml=good, b_xml=good)
    given = [picture, tmp_path / "other" / "a.png", tmp_path / "b.png"]
    fields, without = read_fields(given, folder)
    assert without == []
    assert all("2 of the images are called a," in one.refused for one in fields[:2])
    assert not fields[2].refused
