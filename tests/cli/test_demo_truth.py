"""The demo's clicks and its score, on a smear of four squares."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.cli.demo import choose_clicks, match_truth, score_unclicked
from napari_hemacells.core.types import Cells, Prediction


def _cells(labels: np.ndarray) -> Cells:
    import pandas as pd

    return Cells(labels.astype(np.int32), pd.DataFrame({"label": []}), 10.0)


def test_a_detection_is_the_cell_it_mostly_covers() -> None:
    true = np.zeros((20, 40), np.int32)
    true[0:10, 0:10], true[0:10, 20:30], true[12:20, 0:8] = 1, 2, 3
    found = np.zeros_like(true)
    found[0:10, 1:10], found[0:10, 26:40], found[15:18, 30:33] = 5, 6, 7
    classes = {1: "RBC", 2: "WBC", 3: "WBC"}
    assert match_truth(_cells(found), true, classes) == {5: "RBC"}


def test_clicks_are_so_many_a_class_and_the_same_for_a_seed() -> None:
    truth = dict.fromkeys(range(1, 31), "RBC") | dict.fromkeys(range(31, 35), "WBC") | {99: "P"}
    clicks = choose_clicks(truth, 5, seed=1)
    assert clicks == choose_clicks(truth, 5, seed=1)
    assert sorted(clicks.values()) == ["P"] + ["RBC"] * 5 + ["WBC"] * 3
    assert all(truth[cell] == name for cell, name in clicks.items())


def test_only_cells_that_nobody_clicked_are_scored() -> None:
    probabilities = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], np.float32)
    prediction = Prediction(np.array([1, 2, 3, 4]), ("r", "w"), probabilities)
    truth = {1: "RBC", 2: "WBC", 3: "WBC"}
    found = score_unclicked(prediction, {"r": "RBC", "w": "WBC"}, truth, clicked={1})
    assert (found.right, found.total) == (1, 2)
    assert found.by_class == {"RBC": (0, 0), "WBC": (1, 2)}
    # Wilson's interval of 1 in 2 by its formula, z = 1.959964
    assert (found.low, found.high) == pytest.approx((0.094531, 0.905469), abs=1e-5)
