"""Cells that look like others, by their embeddings."""

import numpy as np

from napari_hemacells.core.classify.similarity import most_similar


def test_the_nearest_come_first_whatever_the_scale_of_a_number():
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1, 2], 20)
    vectors = np.eye(3)[groups] + rng.normal(0, 0.05, (60, 3))
    vectors[:, 1] *= 1e4  # one number must not outweigh the others
    order = most_similar(vectors.astype(np.float32), [3])
    assert set(groups[order[:20]]) == {0}
    assert order[0] == 3


def test_several_cells_may_be_of_several_kinds():
    groups = np.repeat([0, 1, 2], 20)
    vectors = np.eye(3)[groups] + np.random.default_rng(0).normal(0, 0.05, (60, 3))
    order = most_similar(vectors.astype(np.float32), [0, 59])
    assert set(groups[order[:40]]) == {0, 2}


def test_a_number_that_is_the_same_everywhere_says_nothing():
    vectors = np.ones((5, 4), np.float32)
    assert sorted(most_similar(vectors, [2]).tolist()) == [0, 1, 2, 3, 4]
