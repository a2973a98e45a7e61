"""Heads against known answers and scikit-learn; confidence; what goes into a bundle."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import cosine_similarity

from napari_hemacells.core.classify import Head, SupportSet, fit
from napari_hemacells.core.classify.calibration import softmax
from napari_hemacells.core.classify.head_selection import fit_candidate, knn_scores, unit_rows
from napari_hemacells.core.classify.knn_graph import build_knn_graph
from napari_hemacells.core.classify.label_propagation import (
    RandomWalks,
    class_shares,
    leave_one_out_shares,
)
from napari_hemacells.core.classify.ridge import PENALTY, PseudoLabels, fit_ridge
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
    prediction = fit(SupportSet(vectors, labels), CLASSES).predict(embeddings(others))
    assert (prediction.predicted_column == truth).mean() > 0.95
    np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("kind", ["prototype", "linear", "knn"])
@pytest.mark.parametrize("shots", [1, 5])
def test_each_head_by_hand_tells_clouds_apart_and_says_its_name(kind, shots):
    vectors, _, labels = draw([shots] * 3)
    others, truth, _ = draw([100] * 3, seed=1)
    head = fit(SupportSet(vectors, labels), CLASSES, params=ClassifyParams(head=kind))
    assert head.kind == kind
    assert head.name.endswith(f"{3 * shots} annotated cells")
    assert (head.predict(embeddings(others)).predicted_column == truth).mean() > 0.9


def test_a_prototype_head_is_the_cosine_to_the_mean():
    vectors, _, labels = draw([1] * 3)
    head = fit(SupportSet(vectors, labels), CLASSES, params=ClassifyParams(head="prototype"))
    rows = (vectors - head.centre) / head.scale
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(head.scores(vectors), rows @ rows.T, atol=1e-4)


def test_the_nearest_annotated_cells_of_a_class_speak_for_it():
    vectors, targets, labels = draw([5, 2, 4])
    head = fit(SupportSet(vectors, labels), CLASSES, params=ClassifyParams(head="knn"))
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
    head = fit(SupportSet(vectors, labels), CLASSES)
    assert head.kind == "knn"
    assert (head.scores(vectors).argmax(axis=1) == np.repeat([0, 0, 1, 1], 10)).all()


@pytest.mark.parametrize("kind", ["prototype", "knn"])
def test_answers_without_a_cell_are_those_of_a_head_fitted_without_it(kind):
    rows, targets, _ = draw([4, 3, 5])
    found = fit_candidate(kind, rows.astype(np.float64), targets, None).left_out
    for left in (0, 5, 11):
        kept = np.arange(len(rows)) != left
        without = fit_candidate(kind, rows[kept].astype(np.float64), targets[kept], None)
        cosines = unit_rows(rows[left : left + 1].astype(np.float64)) @ without.weights
        if kind == "knn":
            cosines = knn_scores(cosines, without.owners, 3)
        np.testing.assert_allclose(found[left], cosines[0], atol=1e-9)


def test_one_class_only_takes_every_cell_and_says_so():
    vectors, _, _ = draw([2, 1, 1])
    head = fit(SupportSet(vectors[:1], ("b",)), CLASSES)
    prediction = head.predict(embeddings(vectors))
    assert prediction.class_ids == ("b",)
    np.testing.assert_array_equal(prediction.probabilities, 1)
    assert "one class only" in prediction.head


def test_classes_keep_the_order_of_the_palette():
    vectors, _, labels = draw([3, 0, 3])
    head = fit(SupportSet(vectors[::-1], labels[::-1]), ("d", "c", "b", "a"))
    assert head.class_ids == ("c", "a")
    assert head.counts == (3, 3)


def test_many_of_one_class_do_not_swallow_the_others():
    vectors, _, labels = draw([200, 3, 3])
    others, truth, _ = draw([100] * 3, seed=1)
    winner = fit(SupportSet(vectors, labels), CLASSES).predict(embeddings(others)).predicted_column
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
    prediction = fit(SupportSet(vectors, labels), CLASSES).predict(embeddings(others))
    accuracy = (prediction.predicted_column == truth).mean()
    assert 0.5 < accuracy < 0.95
    assert prediction.confidence.mean() == pytest.approx(accuracy, abs=0.06)


def test_three_clicks_are_not_certain():
    vectors, _, labels = draw([1] * 3)
    others, _, _ = draw([50] * 3, seed=1)
    confidence = fit(SupportSet(vectors, labels), CLASSES).predict(embeddings(others)).confidence
    assert confidence.max() < 0.999


@pytest.mark.parametrize("kind", ["linear", "knn"])
def test_a_head_survives_arrays_and_json(kind):
    vectors, _, labels = draw([5, 5, 5])
    params = ClassifyParams(head=kind)
    head = fit(SupportSet(vectors, labels), CLASSES, context=vectors, params=params)
    tensors, meta = head.to_tensors()
    again = Head.from_tensors(tensors, json.loads(json.dumps(meta)))
    expected, found = (one.predict(embeddings(vectors)) for one in (head, again))
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert (found.class_ids, found.head) == (expected.class_ids, expected.head)
    np.testing.assert_array_equal(found.unknown, expected.unknown)
    np.testing.assert_array_equal(found.is_unknown, expected.is_unknown)
    assert again.calibration == head.calibration
    assert again.reference.nearness == head.reference.nearness


def test_a_head_saved_before_there_was_more_is_read():
    tensors, meta = fit(SupportSet(*draw([5, 5, 5])[::2]), CLASSES).to_tensors()
    old = {name: tensors[name] for name in ("centre", "scale", "weights", "bias")}
    known = {key: meta[key] for key in ("kind", "name", "class_ids", "counts", "slope")}
    prediction = Head.from_tensors(old, known).predict(embeddings(draw([1, 1, 1])[0]))
    assert prediction.unknown is None


@pytest.mark.parametrize("damage", ["weights", "bias", "slope", "class_ids", "kind", "map.points"])
def test_a_damaged_head_is_refused(damage):
    tensors, meta = fit(SupportSet(*draw([5, 5, 5])[::2]), CLASSES).to_tensors()
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
    head = fit(SupportSet(vectors, labels), CLASSES)
    with pytest.raises(BundleMismatchError, match="another encoder"):
        head.predict(embeddings(vectors[:, :-1]))


def test_no_cells_and_twice_the_same_vector():
    vectors, _, labels = draw([2, 2, 2])
    head = fit(SupportSet(vectors, labels), CLASSES)
    assert head.predict(embeddings(vectors[:0])).probabilities.shape == (0, 3)
    same = np.ones((2, DIM), np.float32)
    prediction = fit(SupportSet(same, ("a", "b")), CLASSES).predict(embeddings(same))
    np.testing.assert_allclose(prediction.probabilities, 0.5)


def test_bad_support():
    with pytest.raises(AnnotationError, match="No cell"):
        fit(SupportSet(np.zeros((0, 4), np.float32), ()), CLASSES)
    with pytest.raises(AnnotationError, match="unknown classes: x"):
        fit(SupportSet(np.zeros((1, 4), np.float32), ("x",)), CLASSES)
    with pytest.raises(AnnotationError, match="shape"):
        SupportSet(np.zeros((1, 4), np.float32), ("a", "b"))


def test_softmax_of_large_scores():
    np.testing.assert_allclose(softmax(np.array([[1e4, 0.0]]), 10.0), [[1, 0]])


def crowd(sizes, seed=0):
    """Many cells without a click in three clouds that touch, and two clicked ones of each."""
    vectors, targets, labels = draw(sizes, seed, apart=1.2)
    clicked = np.concatenate([np.flatnonzero(targets == one)[:2] for one in range(3)])
    return vectors, targets, clicked, tuple(labels[place] for place in clicked)


@pytest.mark.parametrize(("sizes", "gain"), [([150, 150, 150], 0.03), ([400, 40, 25], -0.03)])
def test_cells_without_a_click_teach_and_the_many_do_not_drown_the_few(sizes, gain):
    vectors, targets, clicked, labels = crowd(sizes)
    others = np.setdiff1d(np.arange(len(vectors)), clicked)
    support, recall = SupportSet(vectors[clicked], labels), {}
    for unlabelled in (False, True):
        params = ClassifyParams(unlabelled=unlabelled)
        head = fit(support, CLASSES, context=vectors, params=params)
        right = head.scores(vectors[others]).argmax(axis=1) == targets[others]
        recall[unlabelled] = np.mean([right[targets[others] == one].mean() for one in range(3)])
        assert (head.unlabelled > 0) == unlabelled
    assert recall[True] > recall[False] + gain


def test_the_order_of_the_cells_without_a_click_hardly_matters():
    vectors, _, clicked, labels = crowd([100, 100, 100])
    support = SupportSet(vectors[clicked], labels)
    turned = np.random.default_rng(0).permutation(len(vectors))
    one, other = (fit(support, CLASSES, context=rows) for rows in (vectors, vectors[turned]))
    np.testing.assert_allclose(one.scores(vectors), other.scores(vectors), atol=1e-4)


def supposed_by(vectors, walks, taught, weights):
    by_class = walks.by_class
    shared = class_shares(by_class[taught], by_class.sum(axis=0))
    rows = vectors[taught].astype(np.float64)
    return PseudoLabels(rows, shared, weights, leave_one_out_shares(walks, taught))


def test_the_ridge_leaves_out_what_follows_from_a_cell_as_well():
    vectors, targets, clicked, _ = crowd([30, 30, 30])
    walks = RandomWalks(build_knn_graph(vectors).reach(vectors[clicked]), targets[clicked])
    taught = np.arange(0, 90, 3)
    supposed = supposed_by(vectors, walks, taught, np.full(len(taught), 0.1))
    rows = vectors[clicked].astype(np.float64)
    found = fit_ridge(rows, targets[clicked], 3, supposed).left_out
    everything = np.concatenate([rows, supposed.rows])
    weights = np.concatenate([np.ones(6), supposed.weights])
    weights *= len(weights) / weights.sum()
    centred = everything - np.average(everything, axis=0, weights=weights)
    penalty = PENALTY * (weights @ np.square(centred)).sum() / len(weights)
    for left in (0, 3):
        known = np.concatenate([np.eye(3)[targets[clicked]], supposed.without[left]])
        kept = np.arange(len(everything)) != left
        theirs = SklearnRidge(alpha=penalty)
        theirs.fit(everything[kept], known[kept], sample_weight=weights[kept])
        expected = theirs.predict(everything[left : left + 1])[0]
        np.testing.assert_allclose(found[left], expected, atol=1e-8)


@pytest.mark.parametrize("left", [0, 3])
def test_what_is_supposed_without_a_cell_is_what_the_others_suppose(left):
    vectors, targets, clicked, _ = crowd([30, 30, 30])
    walks = RandomWalks(build_knn_graph(vectors).reach(vectors[clicked]), targets[clicked])
    taught, kept = np.arange(0, 90, 3), np.arange(len(clicked)) != left
    less = RandomWalks(walks.visit_frequencies[kept], walks.targets[kept]).by_class
    expected = class_shares(less[taught], less.sum(axis=0))
    np.testing.assert_allclose(leave_one_out_shares(walks, taught)[left], expected, atol=1e-6)


def test_a_cell_on_an_island_is_supposed_to_be_of_its_island():
    rng = np.random.default_rng(0)
    vectors = np.repeat([[0.0, 0], [9, 0]], 30, axis=0) + 0.1 * rng.standard_normal((60, 2))
    walks = RandomWalks(
        build_knn_graph(vectors.astype("f4")).reach(vectors[[0, 30]]), np.array([0, 1])
    )
    supposed = class_shares(walks.by_class, walks.by_class.sum(axis=0))
    assert (supposed[:30, 0] > 0.99).all()
    assert (supposed[30:, 1] > 0.99).all()


def test_calibration_says_when_it_cannot_say():
    few = fit(SupportSet(*draw([2, 2, 2])[::2]), CLASSES).calibration
    assert (few.kind, few.n, few.ece) == ("too few to say", 0, None)
    assert "Too few annotations" in few.reason
    enough = fit(SupportSet(*draw([8, 8, 8])[::2]), CLASSES).calibration
    assert (enough.kind, enough.n) == ("temperature", 24)
    assert 0 <= enough.ece < 0.3


@pytest.mark.parametrize("context", [True, False])
def test_a_class_that_nobody_showed_is_unknown(context):
    vectors, targets, _ = draw([60, 60, 60], apart=2.0)
    clicked = np.concatenate([np.flatnonzero(targets == one)[:6] for one in (0, 1)])
    labels = tuple(CLASSES[one] for one in targets[clicked])
    head = fit(SupportSet(vectors[clicked], labels), CLASSES, context=vectors if context else None)
    prediction = head.predict(embeddings(vectors))
    assert prediction.unknown.dtype == np.float32
    assert roc_auc_score(targets == 2, prediction.unknown) > 0.95
    assert prediction.is_unknown[targets == 2].mean() > 0.8
    assert prediction.is_unknown[targets != 2].mean() < 0.25


def test_nothing_is_unknown_after_three_clicks():
    vectors, _, labels = draw([1, 1, 1])
    head = fit(SupportSet(vectors, labels), CLASSES)
    far = head.predict(embeddings(vectors + 100))
    assert not far.is_unknown.any()


def test_a_rare_class_is_not_unknown_for_being_rare():
    vectors, targets, _ = draw([600, 20, 0], apart=2.0)
    clicked = np.concatenate([np.flatnonzero(targets == one)[:5] for one in (0, 1)])
    labels = tuple(CLASSES[one] for one in targets[clicked])
    found = fit(SupportSet(vectors[clicked], labels), CLASSES, context=vectors).predict(
        embeddings(vectors)
    )
    for one in (0, 1):
        assert found.is_unknown[targets == one].mean() < 0.3
