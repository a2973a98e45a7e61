"""Figures of the kind, and of the class within it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.evaluate.fewshot import EmbeddedCrops, score_draw
from napari_hemacells.core.evaluate.two_levels import (
    best_within,
    level_metrics,
    score_levels,
    split_kinds,
)
from napari_hemacells.core.params import ClassifyParams

PARENTS = {"healthy": "lymphocyte", "abnormal": "lymphocyte"}
KINDS = {"healthy": "lymphocyte", "abnormal": "lymphocyte", "monocyte": "monocyte",
         "lymphocyte": "lymphocyte"}  # fmt: skip
COLUMNS = ("healthy", "abnormal", "monocyte")


def test_both_levels_by_hand():
    truth = np.array(["healthy", "healthy", "abnormal", "monocyte"])
    answered = np.array(["abnormal", "monocyte", "abnormal", "monocyte"])
    chances = np.array([[0.3, 0.5, 0.2], [0.4, 0.1, 0.5], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7]])
    inside = best_within(chances, COLUMNS, truth.tolist(), PARENTS)
    assert inside.tolist() == ["abnormal", "healthy", "abnormal", "monocyte"]
    scores = score_levels(truth, answered, inside, PARENTS)
    assert scores.kind.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert scores.within.balanced_accuracy == pytest.approx((1 / 2 + 1) / 2)


def test_metrics_of_kinds_count_pictures_of_a_kind_alone():
    chances = np.array([[0.3, 0.3, 0.4], [0.6, 0.1, 0.3], [0.1, 0.2, 0.7], [0.3, 0.3, 0.4]])
    truth = ["healthy", "abnormal", "monocyte", "lymphocyte"]
    figures = level_metrics(truth, chances, COLUMNS, KINDS)
    assert figures["kinds"]["confusion"] == {
        "classes": ["lymphocyte", "monocyte"], "matrix": [[3, 0], [0, 1]],
    }  # fmt: skip
    inside = figures["within"]["lymphocyte"]
    assert inside["confusion"]["classes"] == ["healthy", "abnormal"]
    assert (inside["n"], inside["accuracy"]["value"]) == (2, 0.5)
    assert set(figures["within"]) == {"lymphocyte"}


def test_a_class_alone_in_its_kind_is_a_kind():
    parents = {**PARENTS, "band": "neutrophil"}
    assert split_kinds(["healthy", "abnormal", "band", "monocyte"], parents) == PARENTS


@pytest.fixture
def crops():
    rng = np.random.default_rng(0)
    centres = np.array([[6, 2, 0, 0], [6, -2, 0, 0], [-6, 0, 0, 0]], float)
    targets = np.repeat(np.arange(3), 30)
    vectors = (centres[targets] + rng.standard_normal((90, 4))).astype(np.float32)
    labels = np.array(COLUMNS)[targets]
    return EmbeddedCrops(vectors, labels, ClassifyParams(), PARENTS)


def test_a_draw_has_the_figures_of_both_levels(crops):
    taught = np.array([0, 1, 2, 30, 31, 32, 60, 61, 62])
    drawn = score_draw(crops, taught)
    assert drawn.levels.kind.balanced_accuracy > 0.95
    assert drawn.levels.within.balanced_accuracy > 0.85
    assert drawn.confusion.sum() == 81
    flat = EmbeddedCrops(crops.vectors, crops.labels, crops.params)
    assert score_draw(flat, taught).levels is None


def test_a_kind_of_which_one_class_is_clicked_is_answered_as_that_class(crops):
    drawn = score_draw(crops, np.array([0, 1, 60, 61]))
    assert drawn.confusion[2].sum() == 28  # the monocytes: sorted, the last row
    assert drawn.confusion[0, 1] == 30  # abnormal, never clicked, is answered as healthy
