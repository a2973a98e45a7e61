"""Odd ones out: cells that fit none of the annotated kinds."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from napari_hemacells.core.classify import SupportSet, fit
from napari_hemacells.core.classify.odd_ones import can_tell, find_odd_ones, oddness, ranks
from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo

DIM = 24


def kinds(counts, seed=0, noise=1.0):
    """Clusters that overlap in each number and are apart in all of them together."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(0, 1.4, (len(counts), DIM))
    owners = np.repeat(np.arange(len(counts)), counts)
    vectors = centres[owners] + random.normal(0, noise, (len(owners), DIM))
    return owners, vectors.astype(np.float32)


def classified(vectors, owners, shots=6, annotated=(0, 1, 2)):
    rows = np.concatenate([np.flatnonzero(owners == kind)[:shots] for kind in annotated])
    support = SupportSet(vectors[rows], tuple(str(owners[row]) for row in rows))
    head = fit(support, [str(kind) for kind in annotated], context=vectors)
    info = EncoderInfo("fake", "0" * 64, vectors.shape[1])
    embeddings = Embeddings(np.arange(10, 10 + len(vectors)), vectors, info, CropSpec(), "smear")
    return embeddings, head.predict(embeddings), head, support


def test_a_kind_that_nobody_annotated_is_the_oddest():
    owners, vectors = kinds([60, 60, 60, 30])
    embeddings, prediction, head, support = classified(vectors, owners)
    found = find_odd_ones(embeddings, prediction, head, support)
    assert roc_auc_score(owners == 3, found.scores) > 0.95
    assert found.can_tell
    odd = found.odd_ids
    assert len(odd)
    assert set(odd.tolist()) <= set(embeddings.ids[prediction.is_unknown].tolist())
    assert (owners[odd - 10] == 3).mean() > 0.9
    scores = dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))
    assert [scores[cell] for cell in odd.tolist()] == sorted(
        (scores[cell] for cell in odd.tolist()), reverse=True
    )
    assert (owners[found.farthest(15) - 10] == 3).mean() > 0.9


def test_a_few_cells_of_it_are_found_among_many():
    owners, vectors = kinds([200, 80, 40, 6], seed=3)
    embeddings, prediction, head, support = classified(vectors, owners)
    found = find_odd_ones(embeddings, prediction, head, support)
    assert roc_auc_score(owners == 3, found.scores) > 0.9


def test_the_same_cells_have_the_same_scores():
    owners, vectors = kinds([40, 40, 40, 10])
    answers = [find_odd_ones(*classified(vectors, owners)).scores for _ in range(2)]
    np.testing.assert_array_equal(*answers)
    assert answers[0].min() >= 0
    assert answers[0].max() <= 1


def test_with_few_annotated_cells_none_is_called_odd_but_all_are_ordered():
    owners, vectors = kinds([40, 40, 40, 10])
    embeddings, prediction, head, support = classified(vectors, owners, shots=2, annotated=(0, 1))
    found = find_odd_ones(embeddings, prediction, head, support)
    assert not found.can_tell
    assert not can_tell(head)
    assert not len(found.odd_ids)
    assert len(found.farthest(5)) == 5


@pytest.mark.parametrize("count", [0, 1, 2])
def test_images_of_hardly_any_cell(count):
    vectors = np.random.default_rng(0).normal(size=(count, DIM)).astype(np.float32)
    chances = np.full((count, 2), 0.5)
    scores = oddness(vectors, chances, novelty=None, known=np.eye(4, DIM), labels=tuple("aabb"))
    assert scores.shape == (count,)
    assert np.isfinite(scores).all()


def test_equal_cells_are_equally_odd():
    scores = oddness(
        np.ones((6, DIM), np.float32), np.ones((6, 1)), novelty=np.zeros(6),
        known=np.ones((2, DIM)), labels=("a", "b"),
    )  # fmt: skip
    assert len(set(scores.tolist())) == 1


def test_ranks_run_from_0_to_1():
    assert ranks(np.array([3.0, 1.0, 2.0])).tolist() == [1.0, 0.0, 0.5]
    assert ranks(np.array([2.0, 2.0])).tolist() == [0.5, 0.5]
