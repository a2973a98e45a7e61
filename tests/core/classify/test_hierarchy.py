"""Kind first, then within it: probabilities, answers, storage; flat classes to the last digit."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_hemacells.core.classify import HierarchicalHead, SupportSet, fit, fit_levels
from napari_hemacells.core.classify.hierarchy import (
    read_head,
    renamed,
    restricted,
    taught_columns,
    taught_counts,
)
from napari_hemacells.core.errors import AnnotationError, BundleError
from napari_hemacells.core.params import ClassifyParams
from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo, Prediction

DIM = 30
CLASSES = ("lymphocyte", "healthy", "abnormal", "monocyte")
PARENTS = {"healthy": "lymphocyte", "abnormal": "lymphocyte"}
LEAVES = ("healthy", "abnormal", "monocyte")


def draw(per_class, seed=0):
    """Two kinds far apart, one of two classes near each other."""
    rng = np.random.default_rng(99)
    kinds = 4.0 * rng.standard_normal((2, DIM)) / np.sqrt(DIM) * 3
    apart = 3.5 * rng.standard_normal(DIM) / np.sqrt(DIM)
    centres = np.stack([kinds[0] + apart, kinds[0] - apart, kinds[1]])
    targets = np.repeat(np.arange(3), per_class)
    noise = np.random.default_rng(seed).standard_normal((len(targets), DIM))
    labels = tuple(LEAVES[target] for target in targets)
    return (centres[targets] + noise).astype(np.float32), labels


def embeddings(vectors):
    ids = np.arange(1, len(vectors) + 1)
    return Embeddings(ids, vectors, EncoderInfo("fake", "0", DIM), CropSpec(), "key")


def fitted(shots=5, **options):
    vectors, labels = draw([shots] * 3)
    return fit_levels(SupportSet(vectors, labels), CLASSES, PARENTS, **options)


def test_probabilities_of_a_kind_and_within_it_multiply():
    head = fitted()
    asked, _ = draw([50] * 3, seed=1)
    prediction = head.predict(embeddings(asked))
    assert prediction.class_ids == ("healthy", "abnormal", "monocyte")
    assert prediction.kinds == ("lymphocyte", "lymphocyte", "monocyte")
    np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1, rtol=1e-5, atol=1e-6)
    kinds = head.over.predict(embeddings(asked)).probabilities
    inside = head.within["lymphocyte"].predict(embeddings(asked)).probabilities
    np.testing.assert_allclose(
        prediction.probabilities[:, :2], kinds[:, :1] * inside, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(prediction.probabilities[:, 2], kinds[:, 1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("context", [False, True])
def test_both_levels_are_told(context):
    asked, truth = draw([200] * 3, seed=1)
    head = fitted(context=asked if context else None)
    prediction = head.predict(embeddings(asked))
    answers = np.array(prediction.class_ids)[prediction.predicted_column]
    assert (answers == np.array(truth)).mean() > 0.9
    assert len(prediction.unknown) == len(asked)


def test_the_answer_is_within_the_most_probable_kind():
    chances = np.array([[0.3, 0.3, 0.4], [0.1, 0.3, 0.6]], np.float32)
    kinds = ("lymphocyte", "lymphocyte", "monocyte")
    prediction = Prediction(np.array([1, 2]), LEAVES, chances, kinds=kinds)
    assert prediction.predicted_column.tolist() == [0, 2]
    np.testing.assert_allclose(prediction.confidence, [0.3, 0.6])
    assert replace(prediction, kinds=()).predicted_column.tolist() == [2, 2]


def test_flat_classes_give_the_same_head_to_the_last_digit():
    vectors, labels = draw([6] * 3)
    support, asked = SupportSet(vectors, labels), embeddings(draw([60] * 3, seed=2)[0])
    for parents in ({}, {"other": "kind"}):
        ours = fit_levels(support, LEAVES, parents, context=asked.vectors)
        flat = fit(support, LEAVES, context=asked.vectors)
        assert type(ours) is type(flat)
        one, two = ours.predict(asked), flat.predict(asked)
        np.testing.assert_array_equal(one.probabilities, two.probabilities)
        np.testing.assert_array_equal(one.unknown, two.unknown)
        np.testing.assert_array_equal(one.predicted_column, one.probabilities.argmax(axis=1))
        (mine, meta), (theirs, wanted) = ours.to_tensors(), flat.to_tensors()
        assert meta == wanted
        assert mine.keys() == theirs.keys()
        assert all(np.array_equal(mine[name], theirs[name]) for name in mine)


def test_a_cell_of_a_kind_alone_teaches_the_kind():
    vectors, labels = draw([4] * 3)
    labels = ("lymphocyte", *labels[1:])
    head = fit_levels(SupportSet(vectors, labels), CLASSES, PARENTS)
    assert head.over.counts == (8, 4)
    assert head.within["lymphocyte"].counts == (3, 4)
    assert taught_counts(head) == {"lymphocyte": 1, "healthy": 3, "abnormal": 4, "monocyte": 4}
    assert taught_columns(head, labels)[[0, 1, -1]].tolist() == [-1, 0, 2]
    assert head.name == "kind first, then within 1 kind, 12 annotated cells"


def test_a_kind_with_one_annotated_class_is_answered_as_the_kind():
    vectors, labels = draw([4, 0, 4])
    head = fit_levels(SupportSet(vectors, labels), CLASSES, PARENTS)
    assert head.class_ids == ("lymphocyte", "monocyte")
    assert taught_counts(head) == {"healthy": 4, "monocyte": 4}


def test_with_many_clicks_the_other_kinds_help_to_tell_the_classes_of_one():
    vectors, labels = draw([12] * 3)
    head = fit_levels(SupportSet(vectors, labels), CLASSES, PARENTS)
    flat = fit(SupportSet(vectors, labels), CLASSES)
    inside = head.within["lymphocyte"]
    assert inside.class_ids == ("healthy", "abnormal")
    asked = draw([30] * 3, seed=3)[0]
    np.testing.assert_allclose(
        inside.scores(asked), flat.scores(asked)[:, :2], rtol=1e-5, atol=1e-6
    )
    tensors, meta = head.to_tensors()
    again = read_head(tensors, json.loads(json.dumps(meta)))
    np.testing.assert_array_equal(again.scores(asked), head.scores(asked))


def test_a_kind_told_as_one_is_one_class_among_the_others():
    vectors, labels = draw([12] * 3)
    more, _ = draw([3, 0, 0], seed=4)
    support = SupportSet(np.concatenate([vectors, more]), (*labels, *["band"] * 3))
    parents = PARENTS | {"band": "neutrophil"}
    head = fit_levels(support, (*CLASSES, "neutrophil", "band"), parents)
    assert head.class_ids == ("healthy", "abnormal", "monocyte", "neutrophil")
    assert taught_counts(head)["band"] == 3


@pytest.mark.parametrize("kind", ["linear", "prototype", "knn"])
def test_a_restricted_head_keeps_the_scores_of_its_classes(kind):
    vectors, labels = draw([5] * 3)
    head = fit(SupportSet(vectors, labels), LEAVES, params=ClassifyParams(head=kind))
    asked = draw([20] * 3, seed=1)[0]
    some = restricted(head, ["monocyte", "abnormal"])
    assert some.class_ids == ("abnormal", "monocyte")
    np.testing.assert_allclose(some.scores(asked), head.scores(asked)[:, 1:], rtol=1e-5, atol=1e-6)


def test_one_kind_alone_is_told_within():
    vectors, labels = draw([5, 5, 0])
    prediction = fit_levels(SupportSet(vectors, labels), CLASSES, PARENTS).predict(
        embeddings(vectors)
    )
    answers = np.array(prediction.class_ids)[prediction.predicted_column]
    assert (answers == np.array(labels)).all()


def test_a_head_of_two_levels_is_stored_and_read():
    asked = embeddings(draw([50] * 3, seed=1)[0])
    head = fitted(context=asked.vectors)
    tensors, meta = head.to_tensors()
    again = read_head(tensors, json.loads(json.dumps(meta)))
    assert isinstance(again, HierarchicalHead)
    one, two = head.predict(asked), again.predict(asked)
    np.testing.assert_array_equal(one.probabilities, two.probabilities)
    np.testing.assert_array_equal(one.is_unknown, two.is_unknown)
    assert (one.class_ids, one.kinds, one.head) == (two.class_ids, two.kinds, two.head)


@pytest.mark.parametrize(
    "damage",
    [
        lambda meta: meta.pop("over"),
        lambda meta: meta["class_ids"].reverse(),
        lambda meta: meta["within"][0].update(of="nobody"),
        lambda meta: meta.update(within=3),
        lambda meta: meta.update(taught=[1]),
    ],
)
def test_a_damaged_head_is_refused(damage):
    tensors, meta = fitted().to_tensors()
    damage(meta)
    with pytest.raises(BundleError):
        read_head(tensors, meta)


def test_class_ids_change_at_both_levels():
    head = renamed(fitted(), {"healthy": "h", "lymphocyte": "l"})
    assert head.class_ids == ("h", "abnormal", "monocyte")
    assert head.kinds == ("l", "l", "monocyte")
    assert set(head.within) == {"l"}
    asked = embeddings(draw([20] * 3, seed=1)[0])
    np.testing.assert_array_equal(
        head.predict(asked).probabilities, fitted().predict(asked).probabilities
    )


def test_scores_are_the_logarithms_of_the_probabilities():
    head, asked = fitted(), embeddings(draw([20] * 3, seed=1)[0])
    np.testing.assert_allclose(
        np.exp(head.scores(asked.vectors)), head.predict(asked).probabilities, rtol=1e-4
    )


def test_annotations_of_unknown_classes_are_refused():
    vectors, labels = draw([2] * 3)
    with pytest.raises(AnnotationError):
        fit_levels(SupportSet(vectors, labels), ("lymphocyte", "healthy", "abnormal"), PARENTS)
