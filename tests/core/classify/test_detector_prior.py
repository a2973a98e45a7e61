"""The detector's kinds as a prior, annotations that look unlike their class, and confidence."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hemacells.core.classify import Head, SupportSet, fit
from napari_hemacells.core.classify.detector_prior import (
    bounded_confidence,
    contradictions,
    expected_shares,
    fit_shares,
    homes_of,
    kind_named,
)
from napari_hemacells.core.types import PLATELET, RBC, WBC, CropSpec, Embeddings, EncoderInfo

DIM, RED, WHITE = 24, 900, 9
INFO = EncoderInfo("made up", "0" * 64, DIM)


def smear(seed: int = 0) -> Embeddings:
    """Red cells with a few white ones at the end, overlapping a little, kinds as detected."""
    rng = np.random.default_rng(seed)
    away = np.zeros(DIM)
    away[:4] = 3.0
    vectors = rng.normal(size=(RED + WHITE, DIM))
    vectors[RED:] += away
    kinds = np.array([RBC] * RED + [WBC] * WHITE)
    ids = np.arange(len(vectors))
    return Embeddings(ids, vectors.astype(np.float32), INFO, CropSpec(), "smear", kinds=kinds)


def head_of(cells: Embeddings, clicks: dict[int, str], **more: object) -> Head:
    rows = list(clicks)
    assert cells.kinds is not None
    kinds = tuple(cells.kinds[rows].tolist())
    support = SupportSet(cells.vectors[rows], tuple(clicks.values()), kinds, **more)
    return fit(support, ("rbc", "wbc"), context=cells.vectors, context_kinds=cells.kinds)


def called_white(head: Head, cells: Embeddings) -> np.ndarray:
    prediction = head.predict(cells)
    return np.array(prediction.class_ids)[prediction.predicted_column] == "wbc"


GOOD = {3: "rbc", RED: "wbc", 40: "rbc", RED + 1: "wbc", 77: "rbc", RED + 2: "wbc"}


@pytest.mark.parametrize("bad", [400, 401, 402])
def test_one_red_cell_given_as_white_does_not_repaint_the_smear(bad: int) -> None:
    cells = smear()
    clicks = {3: "rbc", RED: "wbc", 40: "rbc", bad: "wbc", 77: "rbc", RED + 2: "wbc"}
    before = called_white(head_of(cells, GOOD), cells)
    after = called_white(head_of(cells, clicks), cells)
    assert (before != after)[:RED].mean() < 0.02
    assert after[:RED].mean() < 0.02
    assert after[RED:].all()


def test_an_annotation_unlike_its_class_is_named_and_can_be_confirmed() -> None:
    cells = smear()
    clicks = {3: "rbc", RED: "wbc", 40: "rbc", 400: "wbc", 77: "rbc", RED + 2: "wbc"}
    assert head_of(cells, clicks).unlike_others == (3,)
    said_again = tuple(cell == 400 for cell in clicks)
    assert head_of(cells, clicks, confirmed=said_again).unlike_others == ()
    assert head_of(cells, GOOD).unlike_others == ()


def test_a_second_similar_annotation_confirms_the_first() -> None:
    cells = smear()
    red = cells.vectors[:RED]
    nearest = int(np.square(red - red[400]).sum(axis=1).argsort()[1])
    clicks = {3: "rbc", RED: "wbc", 40: "rbc", 400: "wbc", 77: "rbc", nearest: "wbc"}
    assert head_of(cells, clicks).unlike_others == ()


def test_without_kinds_nothing_changes() -> None:
    cells = smear()
    rows, labels = list(GOOD), tuple(GOOD.values())
    plain = fit(SupportSet(cells.vectors[rows], labels), ("rbc", "wbc"), context=cells.vectors)
    same = fit(
        SupportSet(cells.vectors[rows], labels, ("RBC", "WBC") * 3),
        ("rbc", "wbc"),
        context=cells.vectors,
    )
    assert plain.detector is None
    np.testing.assert_array_equal(plain.weights, same.weights)
    assert plain.slope == same.slope


def test_annotations_outweigh_a_detector_that_is_wrong() -> None:
    cells = smear()
    mixed = np.random.default_rng(1).permutation(cells.kinds)
    cells = Embeddings(cells.ids, cells.vectors, INFO, CropSpec(), "smear", kinds=mixed)
    clicks = dict.fromkeys(range(0, 120, 12), "rbc") | dict.fromkeys(range(RED, RED + 7), "wbc")
    white = called_white(head_of(cells, clicks), cells)
    support = SupportSet(cells.vectors[list(clicks)], tuple(clicks.values()))
    blind = called_white(fit(support, ("rbc", "wbc"), context=cells.vectors), cells)
    assert white[RED:].all()
    assert white[:RED].mean() <= blind[:RED].mean()


def missed(cells: Embeddings, white: list[int]) -> Embeddings:
    """The smear of a detector that takes these white cells for red ones."""
    kinds = cells.kinds.copy()
    kinds[white] = RBC
    return Embeddings(cells.ids, cells.vectors, INFO, CropSpec(), "smear", kinds=kinds)


@pytest.mark.parametrize("seed", [1, 2])
def test_white_cells_that_the_detector_missed_come_back_once_some_are_annotated(seed) -> None:
    cells = missed(smear(seed), [RED, RED + 1, RED + 6, RED + 7, RED + 8])
    before = dict(zip(range(0, 60, 10), ["rbc"] * 6, strict=True)) | {
        RED + 2: "wbc", RED + 3: "wbc", RED + 4: "wbc",
    }  # fmt: skip
    assert not called_white(head_of(cells, before), cells)[RED + 6 :].any()
    after = before | {RED: "wbc", RED + 1: "wbc"}
    white = called_white(head_of(cells, after), cells)
    assert white[RED + 6 :].sum() >= 2
    assert white[:RED].mean() < 0.02


def test_looks_that_would_repaint_a_kind_are_not_freed() -> None:
    """Annotations that contradict the detector say something of the cells only if looks tell."""
    cells = missed(smear(), [RED, RED + 1])
    clicks = {3: "rbc", RED: "wbc", 40: "rbc", RED + 1: "wbc", 77: "rbc", RED + 2: "wbc"}
    assert np.any(head_of(cells, clicks).detector.against)
    blurred = cells.vectors.copy()
    blurred[100:500] += 0.9 * (cells.vectors[RED:].mean(axis=0) - cells.vectors[:RED].mean(axis=0))
    cells = Embeddings(cells.ids, blurred, INFO, CropSpec(), "smear", kinds=cells.kinds)
    head = head_of(cells, clicks)
    assert not np.any(head.detector.against)
    assert called_white(head, cells)[:RED].mean() < 0.02


def test_one_bad_annotation_frees_no_looks() -> None:
    cells = missed(smear(), [RED + 7, RED + 8])
    bad = {3: "rbc", RED: "wbc", 40: "rbc", 400: "wbc", 77: "rbc", RED + 2: "wbc"}
    head = head_of(cells, bad)
    assert head.unlike_others == (3,)
    assert not np.any(head.detector.against)
    assert np.any(head_of(cells, GOOD | {RED + 7: "wbc"}).detector.against)


def test_a_single_annotation_of_a_class_contradicts_nobody() -> None:
    clicks, homes = np.array([[5.0, 1.0], [0.0, 1.0]]), np.array([0, 1])
    assert contradictions(clicks, homes, np.array([5, 2])).tolist() == [[0, 1], [0, 0]]
    assert not contradictions(clicks, homes, np.array([5, 1])).any()
    assert not contradictions(clicks, np.array([0, -1]), np.array([5, 2])).any()


def test_the_first_annotations_are_never_nearly_certain() -> None:
    cells = smear()
    head = head_of(cells, {3: "rbc", RED: "wbc"})
    assert head.predict(cells).confidence.max() < 0.98
    many = dict.fromkeys(range(0, 400, 10), "rbc") | dict.fromkeys(range(RED, RED + 9), "wbc")
    assert head_of(cells, many).predict(cells).confidence.max() > 0.985


def test_a_stored_head_says_the_same() -> None:
    cells = missed(smear(), [RED + 1, RED + 7])
    head = head_of(cells, GOOD)
    assert np.any(head.detector.against)
    tensors, meta = head.to_tensors()
    again = Head.from_tensors(tensors, meta)
    np.testing.assert_array_equal(
        head.predict(cells).probabilities, again.predict(cells).probabilities
    )
    del meta["detector"]["against"]  # as written before contradictions were counted
    assert Head.from_tensors(tensors, meta).predict(cells).probabilities.shape == (RED + WHITE, 2)


def test_cells_of_an_unknown_kind_are_told_by_their_looks() -> None:
    cells = smear()
    head = head_of(cells, GOOD)
    assert cells.kinds is not None
    blank = Embeddings(
        cells.ids, cells.vectors, INFO, CropSpec(), "smear", kinds=np.full(len(cells), "")
    )
    assert called_white(head, blank)[RED:].all()


def test_shares_within_a_kind_follow_the_cells_within_bounds() -> None:
    clicks = np.array([[2.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
    homes = homes_of(clicks, (-1, -1, -1))
    expected = expected_shares(clicks, homes, np.array([1000.0, 10.0]))
    assert homes.tolist() == [0, 0, 1]
    assert expected[0, :2] == pytest.approx([0.5, 0.5], abs=0.01)
    assert expected[0, 2] < 0.01
    assert expected[1, 2] > 0.8
    looks = np.tile([0.9, 0.05, 0.05], (400, 1))
    few, many = (
        fit_shares(looks, np.zeros(400, np.intp), expected, np.full(3, n), np.zeros((2, 3), bool))
        for n in (2.0, 40.0)
    )
    assert 0.55 < few[0, 0] < 0.75
    assert many[0, 0] > 0.9
    assert few.sum(axis=1) == pytest.approx([1.0, 1.0])


def test_the_confidence_is_bounded_by_the_annotations() -> None:
    sure = np.array([[1.0, 0.0]], np.float32)
    doubts = [1 - float(bounded_confidence(sure, np.array([n, n]))[0, 0]) for n in (1, 5, 100)]
    assert doubts == sorted(doubts, reverse=True)
    assert doubts[0] > 0.1
    assert doubts[2] < 0.01


def test_class_names_say_which_kind_they_are() -> None:
    names = ["White blood cells", "Thrombocyte", "rbc", "Neutrophil", "Red"]
    assert [kind_named(name) for name in names] == [WBC, PLATELET, RBC, "", ""]
