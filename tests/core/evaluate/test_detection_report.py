"""Scores of a detector that finds three known cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_hemacells.core.detect import cells_from_boxes
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.evaluate.detection_datasets import AnnotatedField, AnnotatedPoints
from napari_hemacells.core.evaluate.detection_metrics import Boxes
from napari_hemacells.core.evaluate.detection_report import evaluate_detection_steps
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from pathlib import Path

FOUND = np.array([[0, 0, 10, 10], [0, 20, 10, 30], [30, 30, 36, 36]])


@pytest.fixture
def picture(tmp_path, monkeypatch) -> Path:
    """A picture in which two red cells and a platelet are found."""

    def steps(image, params):
        yield Progress(0, 1)
        return cells_from_boxes(FOUND, image.shape, classes=["RBC", "RBC", "Platelets"])

    monkeypatch.setattr("napari_hemacells.core.evaluate.detection_report.detect_steps", steps)
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def run(*fields: AnnotatedField):
    steps = evaluate_detection_steps(fields, DetectParams(method="classical"))
    while True:
        try:
            assert isinstance(next(steps), Progress)
        except StopIteration as end:
            return end.value


def boxes(*names: str) -> Boxes:
    """The found boxes under these names, the first ones only."""
    return Boxes(FOUND[: len(names)].astype(float), np.array(names), np.ones(len(names)))


def test_boxes_are_compared_by_class(picture: Path) -> None:
    report = run(AnnotatedField(picture, boxes("RBC", "WBC"))).to_dict()
    red, white = report["classes"]["RBC"], report["classes"]["WBC"]
    assert (red["precision"], red["recall"], red["ap50"]) == pytest.approx((0.5, 1, 1))
    assert (white["found"], white["recall"], white["f1"]) == (0, 0.0, 0.0)
    assert report["all"]["hits"] == 1
    assert report["found_but_not_annotated"] == {"Platelets": 1}
    assert report["images"][0] == {
        "image": str(picture), "annotated": 2, "found": 2, "count_error": 0,
    }  # fmt: skip
    assert report["detector_has_seen"].startswith("nothing")


def test_points_are_hit_by_cells_of_their_class_once(picture: Path) -> None:
    centres = np.array([[5.0, 5.0], [6.0, 6.0], [5.0, 25.0], [33.0, 33.0]])
    names = np.array(["RBC", "RBC", "Platelets", "Platelets"])
    report = run(AnnotatedField(picture, AnnotatedPoints(centres, names))).to_dict()
    red, small = report["classes"]["RBC"], report["classes"]["Platelets"]
    assert (red["hits"], red["annotated"], red["found"], red["ap50"]) == (1, 2, 2, None)
    assert (small["hits"], small["precision"], small["recall"]) == (1, 1.0, 0.5)
    assert report["all"]["f1"] == pytest.approx(2 * 2 / (4 + 3))
    assert report["all"]["count_error"] == 1


def test_foreign_names_count_as_one_class_with_recall_for_each(picture: Path) -> None:
    report = run(AnnotatedField(picture, boxes("alive", "dead"))).to_dict()
    assert report["classes"]["alive"] == {
        "precision": None, "recall": 1.0, "f1": None, "ap50": None,
        "annotated": 1, "found": None, "hits": 1, "count_error": None,
    }  # fmt: skip
    assert (report["all"]["hits"], report["all"]["found"], report["all"]["recall"]) == (2, 3, 1.0)


def test_foreign_points_count_as_one_class_with_recall_for_each(picture: Path) -> None:
    truth = AnnotatedPoints(np.array([[5.0, 5.0], [20.0, 5.0]]), np.array(["0", "3"]))
    report = run(AnnotatedField(picture, truth)).to_dict()
    assert [report["classes"][name]["recall"] for name in ("0", "3")] == [1.0, 0.0]
    assert report["all"]["precision"] == pytest.approx(1 / 3)


def test_images_that_cannot_be_read_are_named(picture: Path, tmp_path: Path) -> None:
    broken = AnnotatedField(tmp_path / "none.png", boxes("RBC"))
    report = run(AnnotatedField(picture, boxes("RBC")), broken)
    assert len(report.images) == 1
    assert "none.png" in report.unreadable[0]
    with pytest.raises(CellsError, match="None of the annotated images"):
        run(broken)


def test_boxes_and_points_are_not_mixed(picture: Path) -> None:
    points = AnnotatedPoints(np.array([[5.0, 5.0]]), np.array(["RBC"]))
    with pytest.raises(CellsError, match="one form"):
        run(AnnotatedField(picture, boxes("RBC")), AnnotatedField(picture, points))


def test_an_image_without_cells_counts(picture: Path) -> None:
    report = run(AnnotatedField(picture, boxes())).to_dict()
    assert report["classes"] == {}
    assert (report["all"]["annotated"], report["all"]["found"]) == (0, 3)
