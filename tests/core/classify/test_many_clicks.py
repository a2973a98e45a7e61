"""Thousands of annotated cells: time and memory grow with them, the answers stay."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core import classify
from napari_hemacells.core.classify import head_selection
from napari_hemacells.core.classify.novelty import _interpolate
from napari_hemacells.core.classify.ridge import fit_ridge
from napari_hemacells.core.params import ClassifyParams

CLASSES = 4


def _cells(count: int, dim: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = np.concatenate([np.arange(CLASSES), rng.integers(0, CLASSES, count - CLASSES)])
    means = np.random.default_rng(7).normal(size=(CLASSES, dim))
    return (means[targets] + rng.normal(size=(count, dim))).astype(np.float32), targets


def test_leave_one_out_scores_of_many_rows_are_those_of_fits_without_each() -> None:
    rows, targets = _cells(60)
    ridge = fit_ridge(rows.astype(np.float64), targets, CLASSES)

    # The penalty and the class weights belong to the fit with all rows, so only those are kept.
    share = 1.0 / np.bincount(targets)[targets]
    weights = share * len(rows) / share.sum()
    centre = np.average(rows.astype(np.float64), axis=0, weights=weights)
    centred = rows - centre
    penalty = 0.2 * float((weights[:, None] * centred**2).sum()) / len(rows)
    for left in (0, 17, 59):
        kept = np.arange(len(rows)) != left
        design = np.hstack([rows[kept], np.ones((kept.sum(), 1))]).astype(np.float64)
        ridge_matrix = penalty * np.diag([*[1.0] * rows.shape[1], 0.0])
        normal = design.T @ (weights[kept, None] * design) + ridge_matrix
        right_hand = design.T @ (weights[kept, None] * np.eye(CLASSES)[targets[kept]])
        expected = np.append(rows[left], 1.0) @ np.linalg.solve(normal, right_hand)
        np.testing.assert_allclose(ridge.left_out[left], expected, atol=1e-6)


def test_representative_rows_are_all_of_few_and_fair_to_rare_classes() -> None:
    few = np.array([0, 1, 1, 0])
    np.testing.assert_array_equal(head_selection.representative_rows(few), np.arange(4))

    many = np.repeat([0, 1, 2], [20_000, 5_000, 30])
    kept = head_selection.representative_rows(many)
    counts = np.bincount(many[kept])
    assert counts[2] == 30
    assert counts[0] == counts[1] == (head_selection.MAX_REPRESENTATIVES - 30) // 2
    assert len(np.unique(kept)) == len(kept)


@pytest.mark.parametrize("head", ["linear", "knn", "prototype", "auto"])
def test_a_head_of_thousands_of_clicks_keeps_to_a_bounded_memory_and_is_right(head: str) -> None:
    import tracemalloc

    vectors, targets = _cells(12_000)
    context, truth = _cells(500, seed=1)
    ids = [f"class-{index}" for index in range(CLASSES)]
    support = classify.SupportSet(vectors, tuple(ids[target] for target in targets))
    tracemalloc.start()
    params = ClassifyParams.model_validate({"head": head})
    fitted = classify.fit(support, ids, context=context, params=params)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 * 2**20  # comparing every two of them would take 1,150 MB
    assert np.mean(fitted.scores(context).argmax(axis=1) == truth) > 0.95
    assert sum(fitted.counts) == 12_000


def test_equal_pictures_have_no_spacing_and_give_no_warning() -> None:
    """Copies of one picture lie in one place: the gap between cells is then huge beside it."""
    near, weight = np.zeros((2, 3), np.intp), np.full((2, 3), 0.2)
    with np.errstate(over="raise"):
        scores = _interpolate(np.zeros(1, np.float32), near, weight, gap=1e4)
    np.testing.assert_allclose(scores, 0.0, atol=1e-6)  # all of it is nothing novel
