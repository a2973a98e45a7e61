"""Detection scores against counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.detect import cells_from_boxes
from napari_hemacells.core.evaluate.detection_metrics import (
    Boxes,
    average_precision,
    match_boxes,
    match_points,
    pairwise_iou,
    score_boxes,
)


def boxes(*rows: tuple[float, float, float, float, str, float]) -> Boxes:
    return Boxes(
        np.array([row[:4] for row in rows], float).reshape(-1, 4),
        np.array([row[4] for row in rows], str),
        np.array([row[5] for row in rows], float),
    )


ONE = boxes((0, 0, 10, 10, "RBC", 1.0))


def test_overlap_of_half_shifted_boxes_is_a_third() -> None:
    shifted = np.array([[0.0, 5, 10, 15], [20, 20, 30, 30], [0, 0, 10, 10]])
    assert pairwise_iou(ONE.boxes, shifted)[0] == pytest.approx([1 / 3, 0, 1])


def test_empty_boxes_do_not_divide_by_zero() -> None:
    assert pairwise_iou(np.zeros((1, 4)), np.zeros((1, 4)))[0, 0] == 0


def test_the_best_score_takes_the_annotated_box_and_the_second_is_false() -> None:
    found = boxes((0, 0, 10, 9, "RBC", 0.6), (0, 0, 10, 10, "RBC", 0.9))
    assert match_boxes(found, ONE).tolist() == [-1, 0]


def test_a_box_without_enough_overlap_does_not_hit() -> None:
    assert match_boxes(boxes((0, 6, 10, 16, "RBC", 1.0)), ONE).tolist() == [-1]


def test_scores_by_hand() -> None:
    true = boxes((0, 0, 10, 10, "RBC", 1), (0, 20, 10, 30, "RBC", 1), (0, 40, 9, 49, "WBC", 1))
    found = boxes(
        (0, 0, 10, 10, "RBC", 0.9), (50, 50, 60, 60, "RBC", 0.8), (0, 40, 9, 49, "RBC", 0.7)
    )
    scores = score_boxes([(found, true)], ["RBC", "WBC"])
    red, white, together = scores["RBC"], scores["WBC"], scores["all"]
    assert (red.precision, red.recall, red.f1) == pytest.approx((1 / 3, 1 / 2, 2 / 5))
    assert (white.precision, white.recall, white.f1, white.ap50) == (0, 0, 0, 0)
    assert (together.annotated, together.found, together.hits) == (3, 3, 1)
    assert red.count_error == 1
    assert set(red.to_dict()) >= {"precision", "recall", "f1", "ap50"}


def test_average_precision_by_hand() -> None:
    true = boxes((0, 0, 10, 10, "RBC", 1), (0, 20, 10, 30, "RBC", 1))
    found = boxes(
        (0, 0, 10, 10, "RBC", 0.9), (50, 50, 60, 60, "RBC", 0.8), (0, 20, 10, 30, "RBC", 0.7)
    )
    # precision 1 up to recall 0.5 (51 of COCO's 101 recall levels), then 2/3
    expected = (51 + 50 * 2 / 3) / 101
    values = average_precision([(found, true)], ["RBC", "WBC"])
    assert values["RBC"] == pytest.approx(expected)
    assert values["WBC"] is None


def test_nothing_found_scores_nothing() -> None:
    scores = score_boxes([(boxes(), ONE)], ["RBC", "WBC"])
    assert scores["RBC"].ap50 == 0
    assert scores["RBC"].recall == 0
    assert scores["WBC"].ap50 is None


def test_points_hit_each_cell_once() -> None:
    cells = cells_from_boxes(np.array([[0, 0, 10, 10], [0, 20, 10, 30]]), (40, 40))
    points = np.array([[5.0, 5.0], [4.0, 4.0], [5.0, 25.0], [30.0, 30.0]])
    hit = match_points(cells, points)
    assert hit[2] == 2
    assert hit[3] == 0
    assert sorted(hit[:2]) == [0, 1]


def test_points_without_cells_or_cells_without_points() -> None:
    cells = cells_from_boxes(np.array([[0, 0, 10, 10]]), (40, 40))
    assert match_points(cells, np.empty((0, 2))).shape == (0,)
