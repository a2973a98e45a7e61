"""A classifier's figures on cells it has not learned from, with bootstrap intervals.

Intervals of a figure over repeated draws.

Figures for predicted classes, by scikit-learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_hemacells.core.evaluate.calibration import (
    expected_calibration_error,
    reliability_curve,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


def percentile_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return between which two values the middle `level` of the draws lie.

    With a draw of clicks a value, this is where the next user's figure is to be expected. It is
    no confidence interval of the mean, which more draws would make as narrow as one likes.

    Examples
    --------
    >>> interval([0.0, 0.5, 1.0], level=0.5)
    (0.25, 0.75)
    """
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(np.asarray(values, dtype=np.float64), [tail, 1.0 - tail])
    return float(low), float(high)


BOOTSTRAP_DRAWS = 1000
MIN_PROBABILITY = 1e-12


class MetricWithInterval(NamedTuple):
    """A figure, and between which values the middle 95 % of the bootstrap draws lie."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        """As plain JSON; ``None`` where there is no such figure."""
        return {
            name: round(value, 5) if np.isfinite(value) else None
            for name, value in self._asdict().items()
        }


def average_by_group(
    truth: NDArray[np.int64], probabilities: NDArray[np.floating], groups: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Return class and mean probabilities of each group, as a patient is judged by all frames.

    ``None`` where that says nothing: a group holds several classes (the cells of a slide), or
    every group is a single picture.
    """
    names, places = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) == len(truth) or not len(names):
        return None
    counts = np.bincount(places)
    means = np.zeros((len(names), probabilities.shape[1]))
    np.add.at(means, places, probabilities)
    of_group = np.full(len(names), -1, np.int64)
    of_group[places] = truth
    if (of_group[places] != truth).any():
        return None
    return of_group, means / counts[:, None]


def compute_classification_metrics(
    truth: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    draws: int = BOOTSTRAP_DRAWS,
    seed: int = 0,
    predicted: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Return accuracy, balanced accuracy, kappa, F1, log loss, ECE and figures of each class.

    Intervals come from drawing the cells anew, with replacement; with `groups`, whole groups are
    drawn, because the cells of one patient are not so many independent cells. Of a single group
    there is no interval: it says nothing about others. With two classes,
    sensitivity, specificity and ROC-AUC are those of the second one.

    Parameters
    ----------
    truth
        ``(n,)`` place of each cell's class in `classes`.
    probabilities
        ``(n, k)``, rows sum to 1.
    predicted
        ``(n,)`` place of each cell's answer where it is not the most probable class.
    """
    k = len(classes)
    if predicted is None:
        predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(truth, predicted, k)
    alone = groups is not None and len(set(groups)) == 1
    rows = _bootstrap_indices(len(truth), groups, draws, seed) if len(truth) and not alone else []
    drawn = np.array([confusion_matrix(truth[draw], predicted[draw], k) for draw in rows])
    result: dict[str, Any] = {"n": len(truth), "draws": draws, "seed": seed}
    result["resampled"] = "cells" if groups is None else "groups"
    result["groups"] = 0 if groups is None else len(set(groups))
    result |= _overall(confusion, drawn)
    result["log_loss"] = round(log_loss(truth, probabilities), 5)
    result["ece"] = round(expected_calibration_error(truth, probabilities), 5)
    result["reliability"] = reliability_curve(truth, probabilities)
    result["classes"] = _per_class_metrics(confusion, drawn, classes)
    result["confusion"] = {"classes": list(classes), "matrix": confusion.tolist()}
    if k == 2:
        result["binary"] = _binary_metrics(truth, probabilities, classes, (confusion, drawn), rows)
    return result


def confusion_matrix(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], k: int
) -> NDArray[np.int64]:
    """``(k, k)`` counts: rows are the true classes."""
    return np.bincount(truth * k + predicted, minlength=k * k).reshape(k, k)


def accuracy(confusion: NDArray[np.int64]) -> float:
    """Return the part that was recognised."""
    return float(np.trace(confusion) / max(1, confusion.sum()))


def balanced_accuracy(confusion: NDArray[np.int64]) -> float:
    """Return the mean recall of the classes that occur."""
    occurring = confusion.sum(axis=1) > 0
    recall = np.diag(confusion)[occurring] / confusion.sum(axis=1)[occurring]
    return float(recall.mean()) if len(recall) else float("nan")


def kappa(confusion: NDArray[np.int64]) -> float:
    """Return Cohen's kappa: agreement beyond that of chance."""
    total = max(1, int(confusion.sum()))
    chance = float(confusion.sum(axis=0) @ confusion.sum(axis=1)) / total**2
    return (accuracy(confusion) - chance) / (1 - chance) if chance < 1 else float("nan")


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """Return the mean F1 of the classes that occur."""
    occurring = confusion.sum(axis=1) > 0
    scores = _f1(confusion)[occurring]
    return float(scores.mean()) if len(scores) else float("nan")


def log_loss(truth: NDArray[np.int64], probabilities: NDArray[np.floating]) -> float:
    """Return the mean of the negative logarithm of the true class's probability, in nats."""
    own = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(own, MIN_PROBABILITY)).mean()) if len(truth) else float("nan")


OVERALL = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "kappa": kappa,
    "macro_f1": macro_f1,
}


def _overall(confusion: NDArray[np.int64], drawn: NDArray[np.int64]) -> dict[str, Any]:
    return {
        name: _with_interval(measure(confusion), [measure(matrix) for matrix in drawn]).to_dict()
        for name, measure in OVERALL.items()
    }


def _per_class_metrics(
    confusion: NDArray[np.int64], drawn: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, Any]:
    """Return precision, recall and F1 of each class."""
    measures = {"precision": _precision, "recall": _recall, "f1": _f1}
    own = {name: measure(confusion) for name, measure in measures.items()}
    again = {
        name: np.array([measure(matrix) for matrix in drawn]).reshape(-1, len(classes))
        for name, measure in measures.items()
    }
    return {
        label: {"n": int(confusion[index].sum())}
        | {
            name: _with_interval(own[name][index], again[name][:, index]).to_dict()
            for name in measures
        }
        for index, label in enumerate(classes)
    }


def _binary_metrics(
    truth: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    matrices: tuple[NDArray[np.int64], NDArray[np.int64]],
    rows: list[NDArray[np.int64]],
) -> dict[str, Any]:
    """Return sensitivity, specificity and ROC-AUC, and the curve, of the second class."""
    from sklearn.metrics import roc_curve

    confusion, drawn = matrices
    scores = probabilities[:, 1]
    result: dict[str, Any] = {"positive": classes[1]}
    for index, name in ((1, "sensitivity"), (0, "specificity")):
        again = [_recall(matrix)[index] for matrix in drawn]
        result[name] = _with_interval(_recall(confusion)[index], again).to_dict()
    again = [_auc(truth[draw], scores[draw]) for draw in rows]
    result["auc"] = _with_interval(_auc(truth, scores), again).to_dict()
    if len(np.unique(truth)) == 2:
        false_rate, true_rate, _ = roc_curve(truth, scores)
        result["roc"] = {
            "false_positive_rate": false_rate.round(5).tolist(),
            "true_positive_rate": true_rate.round(5).tolist(),
        }
    return result


def _auc(truth: NDArray[np.int64], scores: NDArray[np.floating]) -> float:
    """Return the area under the ROC curve: how often a positive scores above a negative."""
    from scipy.stats import rankdata

    positive = truth == 1
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def _recall(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    return _ratio(np.diag(confusion), confusion.sum(axis=1))


def _precision(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    return _ratio(np.diag(confusion), confusion.sum(axis=0))


def _f1(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    doubled_hits = 2 * np.diag(confusion)
    f1 = _ratio(doubled_hits, confusion.sum(axis=0) + confusion.sum(axis=1))
    return np.asarray(np.nan_to_num(f1), dtype=np.float64)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the quotient, NaN where the whole is nothing."""
    nothing = np.full(len(whole), np.nan)
    quotient: NDArray[np.float64] = np.divide(part, whole, out=nothing, where=whole > 0)
    return quotient


def _with_interval(
    value: float, again: Sequence[float] | NDArray[np.floating]
) -> MetricWithInterval:
    known = np.asarray(again, dtype=np.float64)
    known = known[np.isfinite(known)]
    low, high = percentile_interval(known) if len(known) else (float("nan"), float("nan"))
    return MetricWithInterval(float(value), low, high)


def _bootstrap_indices(
    n: int, groups: Sequence[str] | None, draws: int, seed: int
) -> list[NDArray[np.int64]]:
    """Return the places of each draw: as many cells, or as many groups, with replacement."""
    rng = np.random.default_rng(seed)
    if groups is None:
        return list(rng.integers(0, n, (draws, n)))
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    own = [np.flatnonzero(member == group) for group in range(len(names))]
    picks = rng.integers(0, len(own), (draws, len(own)))
    return [np.concatenate([own[group] for group in pick]) for pick in picks]


class ClassificationScores(NamedTuple):
    """Figures of one draw, 0 to 1.

    Attributes
    ----------
    balanced_accuracy
        Mean over the classes of the part that was recognised (recall).
    macro_f1
        Mean over the classes of F1.
    """

    balanced_accuracy: float
    macro_f1: float


def score_predictions(truth: ArrayLike, predicted: ArrayLike) -> ClassificationScores:
    """Return the figures for true and predicted classes, over the classes that occur in truth."""
    import numpy as np
    from sklearn.metrics import f1_score, recall_score

    classes = np.unique(np.asarray(truth))
    how = {"labels": classes, "average": "macro", "zero_division": 0}
    recall = recall_score(truth, predicted, **how)
    return ClassificationScores(float(recall), float(f1_score(truth, predicted, **how)))
