"""Whether an image looks like the one that a head was fitted beside."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.classify import SupportSet, fit, head_shift, restandardise
from napari_hemacells.core.classify.fit import standardisation
from napari_hemacells.core.encode.morphology import CellFeatures, append_features
from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo

DIM = 24


def cells(count, seed, share=0.5, moved=0.0):
    """Two kinds of cells in the given mixture; `moved` is a stain that acts on all."""
    rng = np.random.default_rng(seed)
    kinds = (rng.random(count) < share).astype(int)
    centres = np.random.default_rng(99).standard_normal((2, DIM)) * 3
    stain = np.random.default_rng(98).standard_normal(DIM)
    vectors = centres[kinds] + rng.standard_normal((count, DIM)) + moved * stain
    info = EncoderInfo("fake", "0", DIM)
    return Embeddings(np.arange(count), vectors.astype(np.float32), info, CropSpec(), "k"), kinds


@pytest.fixture(scope="module")
def head():
    here, kinds = cells(300, 0)
    labels = tuple("ab"[kind] for kind in kinds[:10])
    return fit(SupportSet(here.vectors[:10], labels), "ab", context=here.vectors)


def test_the_score_rises_with_the_stain(head):
    scores = [head_shift(cells(200, 1, moved=moved)[0], head).score for moved in (0, 0.5, 1, 2, 4)]
    assert scores == sorted(scores)
    assert abs(scores[0]) < 0.3
    assert not head_shift(cells(200, 1)[0], head).is_large
    assert head_shift(cells(200, 1, moved=2)[0], head).is_large


@pytest.mark.parametrize("share", [0.05, 0.95])
def test_another_mixture_of_the_same_cells_is_no_shift(head, share):
    assert not head_shift(cells(200, 2, share)[0], head).is_large


def test_few_cells_raise_the_level_and_too_few_say_nothing(head):
    few, many = (head_shift(cells(count, 3)[0], head) for count in (20, 300))
    assert few.level > many.level
    assert head_shift(cells(5, 3)[0], head) is None
    alone, _ = cells(10, 0)
    assert head_shift(alone, fit(SupportSet(alone.vectors, ("a",) * 10), "a")) is None


def test_restandardised_cells_are_no_longer_shifted(head):
    away, _ = cells(200, 4, moved=3)
    back = restandardise(away, head.reference)
    assert head_shift(back, head).score < 0.3 * head_shift(away, head).score
    np.testing.assert_allclose(back.vectors.mean(axis=0), head.reference.mean, atol=1e-3)


def test_features_stand_beside_the_embedding_and_never_dominate():
    here, _ = cells(50, 0)
    values = np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32)
    values[0] = 1e6  # a smudge
    both = append_features(here, CellFeatures(here.ids, ("size", "nucleus"), values))
    extra = both.vectors[:, DIM:]
    assert both.encoder.dim == both.vectors.shape[1] > DIM
    assert both.encoder.preprocessing["features"]["names"] == ["size", "nucleus"]
    np.testing.assert_array_equal(both.vectors[:, :DIM], here.vectors)
    _, scale = standardisation(both.vectors, np.zeros(50, int), both.vectors)
    share = np.square(both.vectors.std(axis=0) / scale)
    assert 0.03 < share[DIM:].sum() / share.sum() < 0.25
    assert np.abs(extra).max() <= 3 * both.encoder.preprocessing["features"]["spread"]
    with pytest.raises(ValueError, match="same cells"):
        append_features(here, CellFeatures(here.ids[::-1], ("size", "nucleus"), values))
