"""Heads against known answers and scikit-learn; confidence; what goes into a bundle."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics.pairwise import cosine_similarity

from napari_hemacells.core.classify import Head, Support, fit
from napari_hemacells.core.classify.calibrate import softmax
from napari_hemacells.core.classify.candidates import by_neighbours, make, unit
from napari_hemacells.core.classify.ridge import PENALTY, fit_ridge
from napari_hemacells.core.errors import AnnotationError, BundleError, BundleMismatchError
from napari_hemacells.core.params import ClassifyParams
from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo

CLASSES = ("a", "b", "c")
DIM = 40


def draw(per_class, seed=0, apart=3.0):
    """Three clouds of standard normal points, their centres fixed."""
    centres = apart * np.random.default_rng(99).standard_normal((3, DIM)) / np.sqrt(DIM) * 3
    targets = np.repeat(np.arange(3), per_class)
    noise = np.random.default_rng(seed).standard_normal((len(targets), DIM))
    vectors = (centres[targets] + noise).astype(np.float32)
    return vectors, targets, tuple(CLASSES[target] for target in targets)


def embeddings(vectors):
    ids = np.arange(1, len(vectors) + 1)
    return Embeddings(ids, vectors, EncoderInfo("fake", "0", DIM), CropSpec(), "key")


@pytest.mark.parametrize("shots", [1, 2, 5, 50])
def test_clouds_are_told_apart(shots):
    vectors, _, labels = draw([shots] * 3)
    others, truth, _ = draw([200] * 3, seed=1)
    prediction = fit(Support(vectors, labels), CLASSES).predict(embeddings(others))
    assert (prediction.winner == truth).mean() > 0.95
    np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("kind", ["prototype", "linear", "knn"])
@pytest.mark.parametrize("shots", [1, 5])
def test_each_head_by_hand_tells_clouds_apart_and_says_its_name(kind, shots):
    vectors, _, labels = draw([shots] * 3)
    others, truth, _ = draw([100] * 3, seed=1)
    head = fit(Support(vectors, labels), CLASSES, params=ClassifyParams(head=kind))
    assert head.kind == kind
    assert head.name.endswith(f"{3 * shots} annotated cells")
    assert (head.predict(embeddings(others)).winner == truth).mean() > 0.9


def test_a_prototype_head_is_the_cosine_to_the_mean():
    vectors, _, labels = draw([1] * 3)
    head = fit(Support(vectors, labels), CLASSES, params=ClassifyParams(head="prototype"))
    rows = (vectors - head.centre) / head.scale
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(head.scores(vectors), rows @ rows.T, atol=1e-4)


def test_the_nearest_annotated_cells_of_a_class_speak_for_it():
    vectors, targets, labels = draw([5, 2, 4])
    head = fit(Support(vectors, labels), CLASSES, params=ClassifyParams(head="knn"))
    rows = (vectors - head.centre) / head.scale
    cosines = cosine_similarity(rows)
    for one in range(3):
        three = np.sort(cosines[:, targets == one], axis=1)[:, -3:]
        np.testing.assert_allclose(head.scores(vectors)[:, one], three.mean(axis=1), atol=1e-4)


def test_a_class_in_islands_is_left_to_its_nearest_cells():
    """No line separates a cross from the four islands around it: neighbours do."""
    rng = np.random.default_rng(0)
    corners = np.array([[3, 3], [-3, -3], [3, -3], [-3, 3]])
    vectors = (np.repeat(corners, 10, axis=0) + 0.3 * rng.standard_normal((40, 2))).astype("f4")
    labels = tuple(np.repeat(["a", "a", "b", "b"], 10).tolist())
    head = fit(Support(vectors, labels), CLASSES)
    assert head.kind == "knn"
    assert (head.scores(vectors).argmax(axis=1) == np.repeat([0, 0, 1, 1], 10)).all()


@pytest.mark.parametrize("kind", ["prototype", "knn"])
def test_answers_without_a_cell_are_those_of_a_head_fitted_without_it(kind):
    rows, targets, _ = draw([4, 3, 5])
    found = make(kind, rows.astype(np.float64), targets, None).left_out
    for left in (0, 5, 11):
        kept = np.arange(len(rows)) != left
        without = make(kind, rows[kept].astype(np.float64), targets[kept], None)
        cosines = unit(rows[left : left + 1].astype(np.float64)) @ without.weights
        if kind == "knn":
            cosines = by_neighbours(cosines, without.owners, 3)
        np.testing.assert_allclose(found[left], cosines[0], atol=1e-9)


def test_one_class_only_takes_every_cell_and_says_so():
    vectors, _, _ = draw([2, 1, 1])
    head = fit(Support(vectors[:1], ("b",)), CLASSES)
    prediction = head.predict(embeddings(vectors))
    assert prediction.class_ids == ("b",)
    np.testing.assert_array_equal(prediction.probabilities, 1)
    assert "one class only" in prediction.head


def test_classes_keep_the_order_of_the_palette():
    vectors, _, labels = draw([3, 0, 3])
    head = fit(Support(vectors[::-1], labels[::-1]), ("d", "c", "b", "a"))
    assert head.class_ids == ("c", "a")
    assert head.counts == (3, 3)


def test_many_of_one_class_do_not_swallow_the_others():
    vectors, _, labels = draw([200, 3, 3])
    others, truth, _ = draw([100] * 3, seed=1)
    winner = fit(Support(vectors, labels), CLASSES).predict(embeddings(others)).winner
    assert all((winner[truth == one] == one).mean() > 0.9 for one in range(3))


@pytest.mark.parametrize("per_class", [[4, 7, 3], [40, 70, 30]])
def test_the_ridge_is_that_of_scikit_learn_and_really_leaves_one_out(per_class):
    rows, targets, _ = draw(per_class)
    rows = rows.astype(np.float64)
    ours = fit_ridge(rows, targets, 3)
    weights = 1 / np.bincount(targets)[targets]
    weights *= len(rows) / weights.sum()
    centred = np.sqrt(weights)[:, None] * (rows - np.average(rows, axis=0, weights=weights))
    penalty = PENALTY * np.square(centred).sum() / len(rows)
    theirs = SklearnRidge(alpha=penalty).fit(rows, np.eye(3)[targets], sample_weight=weights)
    np.testing.assert_allclose(ours.weights.T, theirs.coef_, atol=1e-8)
    np.testing.assert_allclose(ours.bias, theirs.intercept_, atol=1e-8)
    for left in (0, 5):
        kept = np.arange(len(rows)) != left
        theirs.fit(rows[kept], np.eye(3)[targets[kept]], sample_weight=weights[kept])
        expected = theirs.predict(rows[left : left + 1])[0]
        np.testing.assert_allclose(ours.left_out[left], expected, atol=1e-8)


def test_confidence_follows_accuracy():
    """Overlapping clouds: what is said to be 0.6 sure is right about 6 times in 10."""
    vectors, _, labels = draw([60] * 3, apart=0.45)
    others, truth, _ = draw([2000] * 3, seed=1, apart=0.45)
    prediction = fit(Support(vectors, labels), CLASSES).predict(embeddings(others))
    accuracy = (prediction.winner == truth).mean()
    assert 0.5 < accuracy < 0.95
    assert prediction.confidence.mean() == pytest.approx(accuracy, abs=0.06)


def test_three_clicks_are_not_certain():
    vectors, _, labels = draw([1] * 3)
    others, _, _ = draw([50] * 3, seed=1)
    confidence = fit(Support(vectors, labels), CLASSES).predict(embeddings(others)).confidence
    assert confidence.max() < 0.999


def test_a_head_survives_arrays_and_json():
    vectors, _, labels = draw([5, 5, 5])
    head = fit(Support(vectors, labels), CLASSES, context=vectors)
    tensors, meta = head.to_tensors()
    again = Head.from_tensors(tensors, json.loads(json.dumps(meta)))
    expected, found = (one.predict(embeddings(vectors)) for one in (head, again))
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert (found.class_ids, found.head) == (expected.class_ids, expected.head)


@pytest.mark.parametrize("damage", ["weights", "bias", "slope", "class_ids", "kind"])
def test_a_damaged_head_is_refused(damage):
    tensors, meta = fit(Support(*draw([5, 5, 5])[::2]), CLASSES).to_tensors()
    if damage in tensors:
        tensors[damage] = tensors[damage][:-1]
    elif damage == "kind":
        meta["kind"] = "forest"
    else:
        del meta[damage]
    with pytest.raises(BundleError, match="head"):
        Head.from_tensors(tensors, meta)


def test_vectors_of_another_encoder_are_refused():
    vectors, _, labels = draw([2, 2, 2])
    head = fit(Support(vectors, labels), CLASSES)
    with pytest.raises(BundleMismatchError, match="another encoder"):
        head.predict(embeddings(vectors[:, :-1]))


def test_no_cells_and_twice_the_same_vector():
    vectors, _, labels = draw([2, 2, 2])
    head = fit(Support(vectors, labels), CLASSES)
    assert head.predict(embeddings(vectors[:0])).probabilities.shape == (0, 3)
    same = np.ones((2, DIM), np.float32)
    prediction = fit(Support(same, ("a", "b")), CLASSES).predict(embeddings(same))
    np.testing.assert_allclose(prediction.probabilities, 0.5)


def test_bad_support():
    with pytest.raises(AnnotationError, match="No cell"):
        fit(Support(np.zeros((0, 4), np.float32), ()), CLASSES)
    with pytest.raises(AnnotationError, match="unknown classes: x"):
        fit(Support(np.zeros((1, 4), np.float32), ("x",)), CLASSES)
    with pytest.raises(AnnotationError, match="shape"):
        Support(np.zeros((1, 4), np.float32), ("a", "b"))


def test_softmax_of_large_scores():
    np.testing.assert_allclose(softmax(np.array([[1e4, 0.0]]), 10.0), [[1, 0]])
