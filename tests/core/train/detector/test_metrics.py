from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.evaluate.detection_metrics import Boxes, score_boxes
from napari_hemacells.core.train.detector.metrics import choose_thresholds, count_detections, f1_at


def boxes(places, names, scores=None) -> Boxes:
    corners = np.array([[10.0 * p, 0, 10.0 * p + 8, 8] for p in places]).reshape(-1, 4)
    return Boxes(corners, np.array(names, np.str_), np.array(scores or [1.0] * len(corners)))


FOUND = boxes([0, 1, 2, 9], ["RBC", "RBC", "WBC", "RBC"], [0.9, 0.3, 0.8, 0.5])
TRUE = boxes([0, 1, 2, 3, 4], ["RBC", "RBC", "WBC", "RBC", "RBC"])


def test_tally_agrees_with_the_evaluation_of_detectors() -> None:
    pairs = [(FOUND, TRUE), (FOUND.of_class("WBC"), TRUE)]
    mine, theirs = count_detections(pairs).f1(), score_boxes(pairs, ["RBC", "WBC"])
    assert mine == pytest.approx({name: theirs[name].f1 for name in ("RBC", "WBC", "all")})
    assert count_detections(pairs).rows()["RBC"]["hits"] == 2


def test_intervals_need_images_and_hold_the_figure() -> None:
    assert count_detections([(FOUND, TRUE)] * 4).intervals() == {}
    pairs = [(FOUND, TRUE), (TRUE, TRUE)] * 5
    counts = count_detections(pairs)
    low, high = counts.intervals()["all"]
    assert low < counts.f1()["all"] < high
    low, high = count_detections([(TRUE, TRUE)] * 10).gain(counts)["all"]
    assert 0 < low < high


def test_f1_at_each_limit_is_that_of_what_is_left() -> None:
    values = f1_at([(FOUND, TRUE)], "RBC", np.array([0.1, 0.4, 0.6, 0.95]))
    assert values.tolist() == pytest.approx([2 * 2 / 7, 2 * 1 / 6, 2 * 1 / 5, 0.0])


def test_limit_moves_only_where_cells_enough_say_so_and_then_to_the_nearest_good_one() -> None:
    true = boxes(range(10), ["RBC"] * 10)
    found = boxes(range(14), ["RBC"] * 14, [0.6] * 10 + [0.45] * 4)
    red, white, platelets = choose_thresholds([(found, true)], (0.36, 0.42, 0.3))
    assert red == pytest.approx(0.46)  # the lowest tried that leaves the four doubtful ones out
    assert (white, platelets) == (0.42, 0.3)
