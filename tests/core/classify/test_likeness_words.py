"""What is said of a distance: words everywhere, per cent only where kinds were left out."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.classify.likeness_words import Verdict, judge
from napari_hemacells.core.classify.verification import Likeness, default_likeness, fit_likeness


def likeness(*, kinds_left_out: bool, middle: float = 1.0) -> Likeness:
    return Likeness(None, 1.0, middle, 10.0, "made up", kinds_left_out=kinds_left_out)


@pytest.mark.parametrize(
    ("distance", "word", "headline"),
    [
        (0.0, "very alike", "Very alike: same kind"),
        (0.78, "very alike", "Very alike: same kind"),  # logit 2.2: nine in ten
        (0.9, "alike", "Alike: same kind"),
        (0.97, "hard to tell", "Hard to tell"),
        (1.0, "hard to tell", "Hard to tell"),
        (1.03, "hard to tell", "Hard to tell"),
        (1.1, "unlike", "Unlike: different kinds"),
        (2.0, "unlike", "Unlike: different kinds"),
    ],
)
def test_without_kinds_left_out_it_is_said_in_words(distance, word, headline):
    verdict = judge(likeness(kinds_left_out=False), distance)
    assert verdict.word == word
    assert verdict.headline == headline
    assert verdict.p_same is None
    assert verdict.same == (distance <= 1)


@pytest.mark.parametrize(
    ("distance", "headline"),
    [
        (0.8, "Same kind, 88% sure"),  # 1 / (1 + e^-2)
        (1.0, "Hard to tell, rather same kind, 50% sure"),
        (1.02, "Hard to tell, rather different kinds, 55% sure"),
        (1.2, "Different kinds, 88% sure"),
        (0.0, "Same kind, more than 99% sure"),
    ],
)
def test_with_kinds_left_out_it_is_said_in_per_cent(distance, headline):
    assert judge(likeness(kinds_left_out=True), distance).headline == headline


def test_a_strict_threshold_is_never_less_than_a_coin_sure():
    verdict = judge(likeness(kinds_left_out=True, middle=1.3), 1.1)  # p 0.88 that it is the same
    assert verdict.headline == "Hard to tell, rather different kinds, 50% sure"


@pytest.mark.parametrize(
    ("distance", "word"),
    [(0.44, "very alike"), (0.6, "alike"), (0.95, "hard to tell"), (1.2, "unlike")],
)
def test_a_flat_curve_of_few_pairs_still_tells_far_from_near(distance, word):
    assert judge(Likeness(None, 1.0, 1.0, 0.1, ""), distance).word == word


def test_the_ratio_is_the_distance_in_thresholds():
    assert judge(Likeness(None, 0.5, 0.5, 9.0, ""), 0.8).ratio == pytest.approx(1.6)
    assert Verdict(0.1, 0.0, "unlike", None).ratio == float("inf")


@pytest.mark.parametrize(("kinds", "left_out"), [(2, False), (3, False), (4, True), (6, True)])
def test_kinds_are_left_out_from_four_on(kinds, left_out):
    centres = np.eye(8)[np.repeat(np.arange(kinds), 5)]
    vectors = centres + np.random.default_rng(1).normal(0, 0.1, centres.shape)
    learned = fit_likeness(vectors, [f"kind {row // 5}" for row in range(5 * kinds)])
    assert learned.kinds_left_out is left_out
    assert (judge(learned, 0.5).p_same is not None) is left_out
    assert not default_likeness().kinds_left_out
