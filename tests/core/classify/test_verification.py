"""Whether two cells are of the same kind: the distance, its threshold, and how sure it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hemacells.core.classify.verification import (
    Likeness,
    ThresholdCurve,
    auroc_of,
    default_likeness,
    fit_likeness,
    threshold_curve,
    threshold_on_curve,
)
from napari_hemacells.core.errors import BundleError
from napari_hemacells.core.types import EncoderInfo

DIM = 24


def cells(kinds, each, *, seed=0, noise=0.6, stain=4.0, dim=DIM):
    """Vectors of kinds around their means, with a stain that says nothing of the kind."""
    rng = np.random.default_rng(seed)
    means = rng.normal(0, 1, (kinds, dim))
    means[:, 0] = 0
    labels = np.repeat(np.arange(kinds), each)
    vectors = means[labels] + rng.normal(0, noise, (len(labels), dim))
    vectors[:, 0] += rng.normal(0, stain, len(labels))
    return vectors.astype(np.float32), [f"kind {label}" for label in labels]


def pairs_of(labels):
    first, second = np.triu_indices(len(labels), 1)
    named = np.array(labels)
    return first, second, named[first] == named[second]


def test_a_new_kind_is_told_from_others_better_than_by_the_plain_distance():
    vectors, labels = cells(12, 20)
    known = [int(label.split()[1]) < 6 for label in labels]
    likeness = fit_likeness(vectors[known], [x for x, k in zip(labels, known, strict=True) if k])
    fresh = vectors[~np.array(known)]
    first, second, same = pairs_of([x for x, k in zip(labels, known, strict=True) if not k])
    learned = likeness.distances(fresh, fresh)[first, second]
    plain = default_likeness().distances(fresh, fresh)[first, second]
    assert auroc_of(learned, same) > auroc_of(plain, same) + 0.05
    rates = [likeness.same(learned)[same].mean(), 1 - likeness.same(learned)[~same].mean()]
    assert min(rates) > 0.8
    assert likeness.p_same(learned)[same].mean() > 0.7 > likeness.p_same(learned)[~same].mean()
    assert "6 kinds" in likeness.learned_from
    assert "kinds left out" in likeness.learned_from


@pytest.mark.parametrize(
    "labels", [[], ["a"], ["a"] * 6, ["a", "b", "c", "d", "e"], ["a", "b", "b"]]
)
def test_too_few_annotations_give_the_encoders_own_distance(labels):
    info = EncoderInfo("efficientnet_lite0.imagenet", "0", DIM)
    likeness = fit_likeness(np.ones((len(labels), DIM)), labels, encoder=info)
    assert likeness.projection is None
    assert likeness.threshold == default_likeness(info).threshold
    assert "first guess" in likeness.learned_from
    assert "another encoder" not in likeness.learned_from
    assert "another encoder" in default_likeness(EncoderInfo("mine", "0", 3)).learned_from


@settings(deadline=None, max_examples=40)
@given(
    st.integers(2, 6),
    st.integers(2, 6),
    st.integers(0, 10_000),
    st.sampled_from(["equal_error", "youden", 0.0, 0.05, 1.0]),
)
def test_whatever_is_annotated_gives_distances_and_probabilities(kinds, each, seed, rule):
    vectors, labels = cells(kinds, each, seed=seed, dim=8)
    likeness = fit_likeness(vectors, labels, seed=seed, rule=rule)
    unit = likeness.transform(vectors)
    assert unit.dtype == np.float32
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-4)
    distances = likeness.distances(vectors, vectors)
    assert distances.shape == (len(vectors), len(vectors))
    assert distances.dtype == np.float32
    assert ((distances >= 0) & (distances <= 2)).all()
    assert np.allclose(distances, distances.T, atol=1e-3)
    p = likeness.p_same(np.sort(distances, axis=None))
    assert ((p >= 0) & (p <= 1)).all()
    assert (np.diff(p) <= 0).all()
    assert likeness.same(distances).dtype == np.bool_
    assert 0 <= likeness.threshold <= 2
    again = fit_likeness(vectors, labels, seed=seed, rule=rule)
    assert again.threshold == likeness.threshold


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0, 2), st.booleans()), min_size=2, max_size=60).filter(
        lambda pairs: len({same for _, same in pairs}) == 2
    ),
    st.floats(0, 1),
)
def test_the_curve_holds_the_errors_of_each_threshold(pairs, rate):
    distances = np.array([distance for distance, _ in pairs])
    same = np.array([alike for _, alike in pairs])
    curve = threshold_curve(distances, same)
    for threshold, match, miss in zip(*curve, strict=True):
        assert match == pytest.approx((distances[~same] <= threshold).mean())
        assert miss == pytest.approx((distances[same] > threshold).mean())
    assert (np.diff(curve.false_match) >= 0).all()
    assert (np.diff(curve.false_non_match) <= 0).all()
    allowed = threshold_on_curve(curve, rate)
    assert allowed == 0.0 or (distances[~same] <= allowed).mean() <= rate
    youden = threshold_on_curve(curve, "youden")
    wrong = (distances[~same] <= youden).mean() + (distances[same] > youden).mean()
    assert wrong <= (curve.false_match + curve.false_non_match).min() + 1e-9
    score = auroc_of(distances, same)
    below = (distances[same][:, None] < distances[~same]).mean()
    ties = (distances[same][:, None] == distances[~same]).mean()
    assert score == pytest.approx(below + ties / 2)


def test_equal_error_lies_where_both_errors_meet():
    rng = np.random.default_rng(1)
    distances = np.concatenate([rng.normal(0.6, 0.2, 4000), rng.normal(1.0, 0.2, 9000)])
    same = np.arange(len(distances)) < 4000
    curve = threshold_curve(distances, same)
    threshold = threshold_on_curve(curve, "equal_error")
    assert threshold == pytest.approx(0.8, abs=0.02)
    assert curve.equal_error == pytest.approx(0.159, abs=0.02)


def test_another_rule_needs_no_new_fit():
    vectors, labels = cells(5, 12)
    likeness = fit_likeness(vectors, labels)
    strict = likeness.with_rule(0.01)
    assert strict.threshold < likeness.threshold
    assert strict.threshold == fit_likeness(vectors, labels, rule=0.01).threshold
    with pytest.raises(ValueError, match="no curve"):
        default_likeness().with_rule("youden")


@pytest.mark.parametrize("rule", ["eer", -0.1, 1.5])
def test_a_rule_that_is_none_is_refused(rule):
    vectors, labels = cells(3, 5)
    with pytest.raises(ValueError, match=r"rule|rate"):
        fit_likeness(vectors, labels, rule=rule)


def test_what_does_not_fit_is_refused():
    vectors, labels = cells(3, 5)
    with pytest.raises(ValueError, match="as many labels"):
        fit_likeness(vectors, labels[:-1])
    vectors[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        fit_likeness(vectors, labels)


def test_equal_vectors_are_no_error():
    vectors = np.ones((8, 5), np.float32)
    likeness = fit_likeness(vectors, ["a", "b"] * 4)
    assert np.isfinite(likeness.distances(vectors, vectors)).all()
    assert np.isfinite(likeness.p_same(np.array([0.0, 2.0]))).all()


@pytest.mark.parametrize("kinds", [2, 6])
def test_it_is_the_same_after_a_file(tmp_path, kinds):
    vectors, labels = cells(kinds, 9)
    likeness = fit_likeness(vectors, labels)
    likeness.save(tmp_path / "likeness.safetensors")
    read = Likeness.load(tmp_path / "likeness.safetensors")
    assert np.array_equal(read.distances(vectors, vectors), likeness.distances(vectors, vectors))
    assert (read.threshold, read.learned_from) == (likeness.threshold, likeness.learned_from)
    assert all(np.array_equal(*parts) for parts in zip(read.curve, likeness.curve, strict=True))
    assert read.kinds_left_out is likeness.kinds_left_out is (kinds >= 4)
    default_likeness().save(tmp_path / "default.safetensors")
    assert Likeness.load(tmp_path / "default.safetensors").projection is None


def test_a_file_of_something_else_is_refused(tmp_path):
    from safetensors.numpy import save_file

    file = tmp_path / "x.safetensors"
    with pytest.raises(BundleError, match="damaged"):
        Likeness.load(file)
    save_file({"a": np.ones(3)}, file)
    with pytest.raises(BundleError, match="damaged"):
        Likeness.load(file)
    vectors, labels = cells(3, 9)
    fit_likeness(vectors, labels).save(file)
    whole = file.read_bytes()
    for size in (0, 7, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(BundleError):
            Likeness.load(file)


def test_the_curve_of_nothing_is_empty():
    curve = ThresholdCurve(np.empty(0), np.empty(0), np.empty(0))
    with pytest.raises(ValueError, match="no curve"):
        threshold_on_curve(curve, "equal_error")
