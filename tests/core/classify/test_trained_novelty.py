"""Unknown cells of a trained network: the score, its threshold, its storage."""

import numpy as np
import pytest

from napari_hemacells.core.classify import SupportSet
from napari_hemacells.core.classify.head import Head
from napari_hemacells.core.classify.trained_novelty import (
    entropy,
    fit_trained_novelty,
    unknown_auroc_by_class,
)
from napari_hemacells.core.errors import BundleError
from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo
from napari_hemacells.session.live_classifier import ClassifyRequest, run_classification

DIM = 12


def cells(classes, n, seed):
    """Vectors of some classes, each around a direction of its own."""
    random = np.random.default_rng(seed)
    targets = np.repeat(classes, n)
    vectors = random.normal(0, 0.3, (len(targets), DIM))
    vectors[np.arange(len(targets)), targets] += 4
    return vectors.astype(np.float32), targets


def told(vectors, k=3):
    """The probabilities of a network that knows the first k directions."""
    scores = np.exp(vectors[:, :k].astype(float))
    return scores / scores.sum(axis=1, keepdims=True)


@pytest.fixture
def known():
    vectors, targets = cells([0, 1, 2], 40, 0)
    held_out, _ = cells([0, 1, 2], 30, 1)
    return fit_trained_novelty(vectors, targets, held_out, told(held_out))


def head(known):
    return Head(
        "linear", ("a", "b", "c"), (40, 40, 40), np.zeros(DIM, np.float32),
        np.ones(DIM, np.float32), np.eye(DIM, 3, dtype=np.float32), np.zeros(3, np.float32), 1.0,
        trained_novelty=known,
    )  # fmt: skip


def test_a_class_that_was_never_learned_is_unknown_and_few_of_the_others_are(known):
    new, _ = cells([3], 30, 2)
    old, _ = cells([0, 1, 2], 30, 3)
    whole = np.concatenate([old, new])
    embeddings = Embeddings(
        np.arange(len(whole)), whole, EncoderInfo("made", "", DIM), CropSpec(), "made"
    )
    prediction = head(known).predict(embeddings)
    assert prediction.is_unknown[len(old) :].mean() > 0.95
    assert prediction.is_unknown[: len(old)].mean() < 0.15


def test_it_is_stored_with_the_head_and_read_again(known):
    tensors, meta = head(known).to_tensors()
    again = Head.from_tensors(tensors, meta)
    vectors, _ = cells([0, 3], 5, 4)
    assert again.trained_novelty.score(vectors, told(vectors)) == pytest.approx(
        known.score(vectors, told(vectors)), abs=1e-4
    )
    assert again.trained_novelty.threshold == known.threshold


def test_only_the_numbers_from_the_first_that_counts_on_tell_it_also_after_reading():
    vectors, targets = cells([0, 1, 2], 40, 0)
    held_out, _ = cells([0, 1, 2], 30, 1)
    noise = np.random.default_rng(5).normal(0, 50, (len(vectors), 4)).astype(np.float32)

    def longer(rows):
        return np.hstack([noise[: len(rows)], rows])

    plain = fit_trained_novelty(vectors, targets, held_out, told(held_out))
    late = fit_trained_novelty(longer(vectors), targets, longer(held_out), told(held_out), first=4)
    whole = Head(
        "linear", ("a", "b", "c"), (40, 40, 40), np.zeros(DIM + 4, np.float32),
        np.ones(DIM + 4, np.float32), np.eye(DIM + 4, 3, k=-4, dtype=np.float32),
        np.zeros(3, np.float32), 1.0, trained_novelty=late,
    )  # fmt: skip
    tensors, meta = whole.to_tensors()
    again = Head.from_tensors(tensors, meta)
    new, _ = cells([0, 3], 9, 6)
    assert again.trained_novelty.score(longer(new), told(new)) == pytest.approx(
        plain.score(new, told(new)), abs=1e-3
    )
    for first in (-1, 3, DIM + 4):
        with pytest.raises(BundleError):
            Head.from_tensors(tensors, meta | {"trained": {**meta["trained"], "first": first}})


def test_a_score_stored_before_there_was_a_late_stage_is_read_as_it_was(known):
    tensors, meta = head(known).to_tensors()
    old = {key: value for key, value in meta["trained"].items() if key != "first"}
    again = Head.from_tensors(tensors, meta | {"trained": old}).trained_novelty
    assert again.first == 0
    vectors, _ = cells([0, 3], 5, 4)
    assert np.allclose(
        again.score(vectors, told(vectors)), known.score(vectors, told(vectors)), atol=1e-4
    )


@pytest.mark.parametrize("array", ["trained.basis", "trained.means", "trained.centre"])
def test_damaged_arrays_are_refused(known, array):
    tensors, meta = head(known).to_tensors()
    with pytest.raises(BundleError):
        Head.from_tensors(tensors | {array: tensors[array][:-1]}, meta)
    with pytest.raises(BundleError):
        Head.from_tensors(tensors | {array: tensors[array] * np.nan}, meta)
    with pytest.raises(BundleError):
        Head.from_tensors(tensors, meta | {"trained": {**meta["trained"], "spread": [0, 1, 1]}})


def test_with_too_few_held_out_cells_none_is_unknown():
    vectors, targets = cells([0, 1, 2], 5, 0)
    known = fit_trained_novelty(vectors, targets, vectors[:4], told(vectors[:4]))
    assert known.threshold == np.inf
    assert np.isfinite(known.score(vectors, told(vectors))).all()


def test_features_that_never_differ_do_no_harm():
    vectors, targets = cells([0, 1, 2], 20, 0)
    vectors[:, 6:] = 0  # as dead units of a network are
    known = fit_trained_novelty(vectors, targets, vectors, told(vectors))
    assert np.isfinite(known.score(vectors, told(vectors))).all()


def test_entropy_is_0_for_one_class_and_log_k_for_any():
    assert entropy(np.array([[1.0, 0, 0], [1 / 3] * 3])) == pytest.approx([0, np.log(3)])


def test_each_class_left_out_of_the_score_is_found_again():
    vectors, targets = cells([0, 1, 2], 40, 0)
    held_out, truth = cells([0, 1, 2], 30, 1)
    found = unknown_auroc_by_class(vectors, targets, held_out, truth, told(held_out))
    assert found.keys() == {0, 1, 2}
    assert min(found.values()) > 0.9
    two = targets < 2
    assert (
        unknown_auroc_by_class(vectors[two], targets[two], held_out, truth, told(held_out)) == {}
    )


def test_an_annotated_new_class_is_known_and_others_stay_unknown(known):
    new, _ = cells([3], 30, 2)
    other, _ = cells([4], 30, 5)
    wider = known.with_classes(new[:5], np.zeros(5, int))
    assert wider.means.shape == (4, DIM)
    sure = np.eye(4)[np.full(25, 3)]
    assert (wider.score(new[5:], sure) > wider.threshold).mean() < 0.2
    assert (wider.score(other, told(other)) > wider.threshold).mean() > 0.8
    same = known.with_classes(new[:0], np.zeros(0, int))
    assert np.array_equal(same.means, known.means)


def test_after_an_annotation_the_network_still_says_what_it_does_not_know(known):
    vectors, targets = cells([0, 1, 2], 40, 0)
    asked = np.concatenate([cells([0, 1, 2], 10, 6)[0], cells([3], 30, 2)[0]])
    info = EncoderInfo("made", "0" * 64, DIM, {}, "noise")
    here = Embeddings(np.arange(1, 61), asked, info, CropSpec(), "image")
    support = SupportSet(vectors, tuple("abc"[target] for target in targets))
    request = ClassifyRequest(1, here, support, ("a", "b", "c"), trained=head(known))
    told_by = run_classification(request).prediction
    assert told_by.unknown == pytest.approx(known.score(asked, told_by.probabilities), rel=1e-4)
    assert told_by.is_unknown[30:].mean() > 0.8
    assert told_by.is_unknown[:30].mean() < 0.3
