"""Figures of a classifier against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics

from napari_hemacells.core.evaluate.calibration import (
    expected_calibration_error,
    optimal_temperature,
    reliability_curve,
)
from napari_hemacells.core.evaluate.classification_metrics import (
    average_by_group,
    compute_classification_metrics,
)


def answers(n=400, k=3, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k)) + 1.5 * np.eye(k)[truth]
    return truth, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_overall_figures_are_scikit_learns():
    truth, said = answers()
    found = compute_classification_metrics(truth, said, ["a", "b", "c"], draws=50)
    predicted = said.argmax(axis=1)
    wanted = {
        "accuracy": metrics.accuracy_score(truth, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
        "kappa": metrics.cohen_kappa_score(truth, predicted),
        "macro_f1": metrics.f1_score(truth, predicted, average="macro"),
    }
    for name, value in wanted.items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-5)
        assert found[name]["low"] < value < found[name]["high"]
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, said), abs=1e-5)
    assert found["confusion"]["matrix"] == metrics.confusion_matrix(truth, predicted).tolist()


def test_each_class_has_scikit_learns_figures():
    truth, said = answers()
    found = compute_classification_metrics(truth, said, ["a", "b", "c"], draws=20)
    wanted = metrics.precision_recall_fscore_support(truth, said.argmax(axis=1))
    for place, row in enumerate(found["classes"].values()):
        values = [row[name]["value"] for name in ("precision", "recall", "f1")]
        assert values == pytest.approx([one[place] for one in wanted[:3]], abs=1e-5)
        assert row["n"] == wanted[3][place]


def test_two_classes_have_sensitivity_specificity_and_auc():
    truth, said = answers(k=2)
    found = compute_classification_metrics(truth, said, ["healthy", "sick"], draws=50)["binary"]
    predicted = said.argmax(axis=1)
    assert found["positive"] == "sick"
    assert found["sensitivity"]["value"] == pytest.approx(
        metrics.recall_score(truth, predicted), abs=1e-5
    )
    assert found["specificity"]["value"] == pytest.approx(
        metrics.recall_score(truth, predicted, pos_label=0), abs=1e-5
    )
    assert found["auc"]["value"] == pytest.approx(
        metrics.roc_auc_score(truth, said[:, 1]), abs=1e-5
    )


def test_groups_make_wider_intervals_than_their_cells():
    truth, said = answers(n=20)
    truth, said = np.repeat(truth, 30), np.repeat(said, 30, axis=0)
    groups = np.repeat([f"p{n}" for n in range(20)], 30).tolist()

    def width(**how):
        one = compute_classification_metrics(truth, said, ["a", "b", "c"], draws=200, **how)[
            "accuracy"
        ]
        return one["high"] - one["low"]

    assert width(groups=groups) > 3 * width()


def test_a_single_group_gives_no_interval():
    truth, said = answers(60, 2)
    found = compute_classification_metrics(truth, said, "ab", groups=["p0"] * 60, draws=20)
    assert found["groups"] == 1
    assert found["accuracy"]["value"] > 0.5
    assert found["accuracy"]["low"] is None
    assert found["classes"]["a"]["recall"]["high"] is None
    assert found["binary"]["auc"]["low"] is None


def test_a_class_that_does_not_occur_has_no_figures():
    found = compute_classification_metrics(
        np.array([0, 0]), np.array([[0.9, 0.1]] * 2), ["a", "b"]
    )
    assert found["classes"]["b"]["recall"]["value"] is None
    assert found["binary"]["auc"]["value"] is None
    assert found["accuracy"]["value"] == 1.0


def test_calibration_error_is_the_gap_between_confidence_and_truth():
    truth = np.array([0] * 6 + [1] * 4)
    said = np.tile([0.9, 0.1], (10, 1))
    assert expected_calibration_error(truth, said) == pytest.approx(0.3)
    rows = reliability_curve(truth, said)
    assert [(row["n"], row["accuracy"]) for row in rows] == [(10, 0.6)]


def test_temperature_sets_a_confidence_right():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(4000, 3)) * 2
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(3, p=row) for row in chances])
    assert optimal_temperature(logits * 3, truth) == pytest.approx(3, rel=0.1)


def test_all_right_claims_no_more():
    logits = np.eye(3)[[0, 1, 2]] * 2
    assert optimal_temperature(logits, np.array([0, 1, 2])) == 1.0


def test_a_patient_is_judged_by_the_mean_of_all_frames():
    truth = np.array([0, 1, 1, 1])
    sick = np.array([0.2, 0.9, 0.4, 0.8])
    probabilities = np.stack([1 - sick, sick], axis=1)
    of_group, means = average_by_group(truth, probabilities, ["a", "b", "b", "b"])
    assert of_group.tolist() == [0, 1]
    assert means[:, 1].tolist() == pytest.approx([0.2, 0.7])


def test_cells_of_a_slide_are_not_judged_as_one():
    both = np.full((3, 2), 0.5)
    assert average_by_group(np.array([0, 1, 1]), both, ["slide", "slide", "other"]) is None
    assert average_by_group(np.array([0, 1, 1]), both, ["a", "b", "c"]) is None
