"""The order of the review queue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_hemacells.core.classify import cold_start, review_queue
from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo, Prediction

IDS = [3, 5, 8, 9]


def predict(rows, ids=IDS, classes=("a", "b")):
    return Prediction(np.array(ids), classes, np.array(rows, dtype=np.float32))


def embed(vectors, ids=IDS):
    vectors = np.array(vectors, dtype=np.float32)
    info = EncoderInfo("fake", "0", vectors.shape[1])
    return Embeddings(np.array(ids), vectors, info, CropSpec(), "key")


@pytest.fixture
def prediction():
    return predict([[0.9, 0.1], [0.45, 0.55], [0.2, 0.8], [0.6, 0.4]])


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("uncertain", [5, 9, 8, 3]),
        ("sure", [3, 8, 9, 5]),
        ("class", [3, 9, 8, 5]),
        ("slide", [3, 5, 8, 9]),
    ],
)
def test_orders_both_ways(prediction, order, expected):
    assert review_queue(IDS, prediction, None, order, annotated=set()) == expected
    backwards = review_queue(IDS, prediction, None, order, annotated=set(), descending=True)
    assert backwards == expected[::-1]


def test_annotated_cells_are_not_uncertain(prediction):
    assert review_queue(IDS, prediction, None, "uncertain", annotated={5, 3}) == [9, 8]
    assert set(review_queue(IDS, prediction, None, "sure", annotated={5, 3})) == set(IDS)


def test_cells_without_a_prediction_come_last(prediction):
    for order in ("uncertain", "sure", "class"):
        assert review_queue([*IDS, 20], prediction, None, order, annotated=set())[-1] == 20


@pytest.mark.parametrize("order", ["uncertain", "active", "sure", "unknown", "class", "slide"])
def test_nothing_to_review(prediction, order):
    assert review_queue([], prediction, embed(np.zeros((4, 2))), order, annotated=set()) == []
    assert review_queue(IDS, None, None, order, annotated=set()) == IDS


def test_near_duplicates_are_spread_apart():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(5), 20)
    vectors = rng.standard_normal((5, 8))[groups] * 10 + rng.standard_normal((100, 8)) * 0.01
    doubt = np.where(groups == 0, 0.5, 0.6)[:, None]  # one group is the least certain
    ids = np.arange(1, 101)
    prediction = predict(np.hstack([doubt, 1 - doubt]), ids)
    queue = review_queue(ids, prediction, embed(vectors, ids), "uncertain", annotated=set())
    assert {int(groups[cell - 1]) for cell in queue[:5]} == set(range(5))
    assert groups[queue[0] - 1] == 0
    assert sorted(queue) == ids.tolist()


def test_before_a_prediction_the_most_different_cells_come_first():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((3000, 8)) * 0.01
    odd = [7, 1500, 2900]
    vectors[odd] += np.eye(8)[:3] * 50
    ids = np.arange(3000)
    queue = review_queue(ids, None, embed(vectors, ids), "uncertain", annotated=set())
    assert len(set(queue[:4]) & set(odd)) == 3
    assert sorted(queue) == ids.tolist()


def test_one_class_only_still_has_an_order():
    prediction = predict([[1.0]] * 4, classes=("a",))
    queue = review_queue(IDS, prediction, embed(np.eye(4)), "uncertain", annotated={3})
    assert sorted(queue) == [5, 8, 9]


def test_unknown_cells_first():
    prediction = predict([[0.9, 0.1]] * 4)
    prediction = replace(prediction, unknown=np.array([0.1, 3.0, -1.0, 2.0], np.float32))
    assert review_queue(IDS, prediction, None, "unknown", annotated={9}) == [5, 3, 8]


def test_the_active_queue_keeps_away_from_what_is_annotated():
    """Two equally doubtful groups, one of which has been clicked: the other comes first."""
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 50)
    vectors = rng.standard_normal((2, 8))[groups] * 10 + rng.standard_normal((100, 8)) * 0.1
    ids = np.arange(1, 101)
    prediction = predict([[0.5, 0.5]] * 100, ids)
    queue = review_queue(ids, prediction, embed(vectors, ids), "active", annotated={1, 2})
    assert groups[queue[0] - 1] == 1
    assert sorted(queue) == ids[2:].tolist()


def test_a_cold_start_meets_every_group_and_passes_over_dust():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(5), [400, 60, 30, 12, 1])
    vectors = rng.standard_normal((5, 16))[groups] * 10 + rng.standard_normal((503, 16)) * 0.5
    chosen = cold_start(embed(vectors, np.arange(503)), 6)
    assert {int(groups[cell]) for cell in chosen} == {0, 1, 2, 3}
    assert groups[chosen[0]] == 0
    assert len(set(chosen)) == 6


def test_a_cold_start_of_few_cells():
    assert cold_start(embed(np.zeros((0, 4)), []), 5) == []
    assert sorted(cold_start(embed(np.eye(4)), 9)) == IDS


def groups_of(sizes, seed=0):
    """Cells in groups of these sizes, in a random order, and the group of each."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = rng.standard_normal((len(sizes), 16)) * 10
    return embed(
        centres[groups] + rng.standard_normal((len(groups), 16)), np.arange(sum(sizes))
    ), groups


def test_the_first_active_clicks_cover_the_groups():
    cells, groups = groups_of([300, 80, 40, 20, 10])
    queue = review_queue(cells.ids, None, cells, "active", annotated=set())
    assert len(set(groups[queue[:8]])) == 5
    assert sorted(queue) == cells.ids.tolist()


def test_among_doubtful_cells_the_active_queue_prefers_those_that_stand_for_many():
    cells, groups = groups_of([200, 30])
    prediction = predict([[0.5, 0.5]] * 230, cells.ids)
    queue = review_queue(cells.ids, prediction, cells, "active", annotated=set())
    assert groups[queue[0]] == 0


def test_a_class_with_few_clicks_comes_before_one_with_many():
    cells, groups = groups_of([100, 100, 100])
    said = np.eye(3)[groups] * 0.4 + 0.2
    clicked = [*np.flatnonzero(groups == 0)[:9], *np.flatnonzero(groups == 1)[:9],
               *np.flatnonzero(groups == 2)[:1]]  # fmt: skip
    prediction = predict(said, cells.ids)
    queue = review_queue(cells.ids, prediction, cells, "active", annotated=set(clicked))
    assert np.bincount(groups[queue[:6]], minlength=3).argmax() == 2
    assert not set(queue) & set(clicked)


def test_of_many_cells_some_are_weighed_and_all_are_queued():
    cells, groups = groups_of([1500, 900, 60], seed=3)
    annotated = set(range(1200))
    prediction = predict(np.eye(3)[groups] * 0.4 + 0.2, cells.ids)
    queue = review_queue(cells.ids, prediction, cells, "active", annotated=annotated)
    assert sorted(queue) == sorted(set(range(2460)) - annotated)
