"""Cells that look like others, by their embeddings."""

import numpy as np
import pytest

from napari_hemacells.core.classify.similarity import class_distances, make_index
from napari_hemacells.core.classify.verification import Likeness, default_likeness
from napari_hemacells.core.types import CellRef, CropSpec, Embeddings, EncoderInfo


def embedded(vectors, key="smear", first=1):
    vectors = np.asarray(vectors, dtype=np.float32)
    info = EncoderInfo("fake", "0" * 64, vectors.shape[1])
    return Embeddings(np.arange(first, first + len(vectors)), vectors, info, CropSpec(), key)


def grouped(seed=0, size=20, dim=3, noise=0.05):
    groups = np.repeat([0, 1, 2], size)
    random = np.random.default_rng(seed)
    return groups, np.eye(3, dim)[groups] + random.normal(0, noise, (3 * size, dim))


def test_the_nearest_come_first_whatever_the_scale_of_a_number():
    groups, vectors = grouped()
    vectors[:, 1] *= 1e4  # one number must not outweigh the others
    order, cosines = make_index([embedded(vectors)]).order([3])
    assert set(groups[order[:20]]) == {0}
    assert order[0] == 3
    assert cosines[0] == pytest.approx(1, abs=1e-5)
    assert (np.diff(cosines) <= 1e-6).all()
    assert sorted(order.tolist()) == list(range(60))


def test_several_cells_may_be_of_several_kinds():
    groups, vectors = grouped()
    order, _ = make_index([embedded(vectors)]).order([0, 59])
    assert order[:2].tolist() == [0, 59]
    assert set(groups[order[:40]]) == {0, 2}


def test_a_number_that_is_the_same_everywhere_says_nothing():
    order, _ = make_index([embedded(np.ones((5, 4)))]).order([2])
    assert order[0] == 2
    assert sorted(order.tolist()) == [0, 1, 2, 3, 4]


def test_cells_of_several_images_are_found_under_their_own_image():
    groups, vectors = grouped()
    other_groups, others = grouped(seed=1)
    index = make_index([embedded(vectors), embedded(others, "other", first=100)])
    assert len(index) == 120
    order, _ = index.order([index.row_of(CellRef("other", 100))])
    refs = index.refs(order[:40])
    assert refs[0] == CellRef("other", 100)
    assert {ref.image_key for ref in refs} == {"smear", "other"}
    kinds = [
        (groups[ref.cell - 1] if ref.image_key == "smear" else other_groups[ref.cell - 100])
        for ref in refs
    ]
    assert set(kinds) == {0}
    assert index.row_of(CellRef("other", 1)) is None
    assert index.row_of(CellRef("nobody's", 100)) is None


def test_an_index_of_nothing_is_empty():
    assert len(make_index([])) == 0


def test_the_distance_to_a_class_is_that_of_its_three_nearest_cells():
    known = np.array([[1, 0], [0.8, 0.6], [0, 1], [-1, 0], [0, -1]], dtype=np.float32)
    labels = ["a", "a", "a", "a", "b"]
    asked = np.array([[1, 0], [0, -2]], dtype=np.float32)  # compared as unit vectors
    far = class_distances(default_likeness(), asked, known, labels, ("a", "b", "nobody's"))
    half = 2**0.5
    assert far[0] == pytest.approx([(0 + 0.4**0.5 + half) / 3, half, np.inf], abs=1e-5)
    assert far[1, 1] == pytest.approx(0, abs=1e-5)
    nothing = np.zeros((0, 2), np.float32)
    assert class_distances(default_likeness(), nothing, known, labels, ("a",)).shape == (0, 1)


def test_a_learned_distance_orders_the_cells_instead():
    _, vectors = grouped()
    vectors[:, 2] += np.random.default_rng(3).normal(0, 9, len(vectors))  # says nothing
    only_first = Likeness(np.eye(3, 1, dtype=np.float32), 1.0, 1.0, 9.0, "made up")
    index = make_index([embedded(vectors), embedded(vectors, "other")], only_first)
    assert index.points.shape == (120, 1)
    order, _ = index.order([3])
    assert index.refs(order[:1])[0] == CellRef("smear", 4)
    assert (vectors[np.concatenate([np.arange(60)] * 2)[order[:20]], 0] > 0).all()
