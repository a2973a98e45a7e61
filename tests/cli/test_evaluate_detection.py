"""``evaluate detection`` on drawn discs whose boxes and centres are known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

PLACES = [(row, col) for row in (40, 120) for col in (40, 120, 200)]
BOX = "<object><name>RBC</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"  # noqa: E501
RATES = {"precision", "recall", "f1", "ap50"}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with one picture of six red discs of 40 px, and one without annotation."""
    rows, cols = np.indices((160, 240))
    pixels = np.full((160, 240, 3), (235, 228, 232), np.float64)
    for row, col in PLACES:
        pixels[np.hypot(rows - row, cols - col) <= 20] = (205, 110, 115)
    noise = np.random.default_rng(0).normal(0, 3, pixels.shape)
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(folder / "a.png")
    Image.new("RGB", (50, 50), (235, 228, 232)).save(folder / "b.png")
    return folder


@pytest.fixture(params=["voc", "coco", "points"])
def annotations(request, tmp_path: Path) -> Path:
    """The six discs in each of the three forms."""
    folder = tmp_path / "annotations"
    folder.mkdir()
    if request.param == "voc":
        boxes = "".join(BOX.format(c - 20, r - 20, c + 20, r + 20) for r, c in PLACES)
        (folder / "a.xml").write_text(f"<annotation>{boxes}</annotation>")
        return folder
    if request.param == "points":
        (folder / "a.txt").write_text("".join(f"{c} {r} RBC\n" for r, c in PLACES))
        return folder
    content = {
        "categories": [{"id": 1, "name": "RBC"}],
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": [c - 20, r - 20, 40, 40]} for r, c in PLACES
        ],
    }
    (folder / "a.json").write_text(json.dumps(content))
    return folder / "a.json"


@pytest.mark.parametrize("method", ["learned", "classical"])
def test_known_discs_score_fully(
    hemacells, images: Path, annotations: Path, tmp_path: Path, method: str
) -> None:
    target = tmp_path / "result.json"
    given = ["--method", method, "--cell-diameter", 40, "--json", target]
    result = hemacells("evaluate", "detection", images, annotations, *given)
    assert result.exit_code == 0, result.output
    report = json.loads(target.read_text())
    assert set(report["classes"]["RBC"]) >= RATES
    assert set(report["all"]) >= RATES
    assert report["classes"]["RBC"]["f1"] == 1.0
    assert report["all"]["recall"] == 1.0
    assert report["images"][0]["count_error"] == 0
    assert report["detector"] == method
    assert [name.rpartition("/")[2] for name in report["without_annotation"]] == ["b.png"]
    assert "1.000" in result.stdout


def test_a_list_chooses_the_images_and_is_named(hemacells, images, annotations, tmp_path) -> None:
    names = tmp_path / "val.txt"
    names.write_text("a\n")
    given = ["--only", names, "--method", "classical", "--json", "-"]
    result = hemacells("evaluate", "detection", images, annotations, *given)
    report = json.loads(result.stdout)
    assert report["n_images"] == 1
    assert str(names) in report["split"]
    names.write_text("z\n")
    refused = hemacells("evaluate", "detection", images, annotations, *given)
    assert refused.exit_code == 3
    assert "val.txt" in refused.stderr


def test_missing_annotations_are_bad_input(hemacells, images: Path, tmp_path: Path) -> None:
    result = hemacells("evaluate", "detection", images, tmp_path / "none")
    assert result.exit_code == 3
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("field 7 of 9\nb\n", "utf-8"), ("field 7 of 9.png\nb\n", "utf-8-sig"),
        ("images\\field 7 of 9.png\r\nb\r\n", "utf-16"), ("field 7 of 9,b\n", "utf-8"),
    ],
)  # fmt: skip
def test_a_list_has_one_name_a_line_with_its_blanks_and_unknown_ones_are_said(
    hemacells, images: Path, annotations: Path, tmp_path: Path, text: str, encoding: str
) -> None:
    (images / "a.png").rename(images / "field 7 of 9.png")
    if annotations.is_dir():
        (file,) = annotations.iterdir()
        file.rename(annotations / f"field 7 of 9{file.suffix}")
    else:
        annotations.write_text(annotations.read_text().replace("a.png", "field 7 of 9.png"))
    names = tmp_path / "val.txt"
    names.write_bytes((text + "gone 3\n").encode(encoding))
    given = ["--only", names, "--method", "classical", "--json", "-"]
    result = hemacells("evaluate", "detection", images, annotations, *given)
    report = json.loads(result.stdout)
    assert [one["image"].rpartition("/")[2] for one in report["images"]] == ["field 7 of 9.png"]
    assert [one.rpartition("/")[2] for one in report["without_annotation"]] == ["b.png"]
    assert "names images that are not there: “gone 3”." in result.stderr


def test_yolo_scores_as_the_same_boxes_in_pixels(hemacells, images: Path, tmp_path: Path) -> None:
    (tmp_path / "yolo").mkdir()
    lines = "".join(f"0 {c / 240} {r / 160} {40 / 240} {40 / 160}\n" for r, c in PLACES)
    (tmp_path / "yolo" / "a.txt").write_text(lines)
    (tmp_path / "yolo" / "classes.txt").write_text("RBC\n")
    given = ["--method", "classical", "--cell-diameter", 40, "--json", "-"]
    result = hemacells("evaluate", "detection", images, tmp_path / "yolo", *given)
    assert json.loads(result.stdout)["classes"]["RBC"]["f1"] == 1.0
