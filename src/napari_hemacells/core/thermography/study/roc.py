"""AUC, sensitivity and specificity of patients, with bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.evaluate.classification_metrics import percentile_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOOTSTRAP_DRAWS = 1000
NEAR_DAYS = 180


@dataclass(frozen=True, eq=False)
class CrossValidatedScores:
    """Scores of held-out units (patients; frames where the split is by image).

    Attributes
    ----------
    scores
        ``(repeats, n)`` higher is sicker, comparable within a repeat.
    called
        ``(repeats, n)`` True where called sick.
    """

    scores: NDArray[np.float64]
    called: NDArray[np.bool_]


def auc(sick: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Return the AUC: the share of pairs in which the sick unit scores above the healthy one.

    Ties count half; NaN where there is no such pair. The same as scikit-learn's ``roc_auc_score``.
    """
    return _mean(concordance(sick, scores[None]))


def auc_near(
    sick: NDArray[np.bool_], scores: NDArray[np.float64], days: NDArray[np.float64]
) -> float:
    """Return the AUC over pairs examined within 180 days of each other; NaN days never pair."""
    near = np.abs(days[sick][:, None] - days[~sick]) <= NEAR_DAYS
    return _mean(concordance(sick, scores[None])[near])


def concordance(sick: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(sick, healthy)`` how often, over ``(repeats, n)`` scores, the sick one scores higher."""
    total = np.zeros((int(sick.sum()), int((~sick).sum())))
    for repeat_scores in scores:
        total += (np.sign(repeat_scores[sick][:, None] - repeat_scores[~sick]) + 1) / 2
    return total / len(scores)


def roc_metrics(
    answers: CrossValidatedScores, sick: NDArray[np.bool_], days: NDArray[np.float64], seed: int
) -> dict[str, Any]:
    """Return AUC, sensitivity, specificity, each the mean of the repeats, with 95 % intervals.

    The intervals come from drawing units with replacement; the folds stay as they were.
    """
    of_sick, of_healthy = bootstrap_weights(sick, seed)
    pairs, called = concordance(sick, answers.scores), answers.called.mean(axis=0)
    figures = {
        "auc": (pairs.mean(), _auc_of_draws(pairs, of_sick, of_healthy)),
        "sensitivity": (called[sick].mean(), of_sick @ called[sick]),
        "specificity": (1 - called[~sick].mean(), 1 - of_healthy @ called[~sick]),
    }
    metrics: dict[str, Any] = {}
    for name, (value, draws) in figures.items():
        metrics[name] = round(float(value), 4)
        metrics["ci95" if name == "auc" else f"{name}_ci95"] = _rounded(percentile_interval(draws))
    near = float(
        np.mean([auc_near(sick, repeat_scores, days) for repeat_scores in answers.scores])
    )
    metrics["auc_within_180_days"] = None if np.isnan(near) else round(near, 4)
    return metrics


def auc_gain(
    method: CrossValidatedScores,
    baseline: CrossValidatedScores,
    sick: NDArray[np.bool_],
    seed: int,
) -> dict[str, Any]:
    """Return the gain in AUC over a baseline, bootstrapped on the same units."""
    apart = concordance(sick, method.scores) - concordance(sick, baseline.scores)
    draws = _auc_of_draws(apart, *bootstrap_weights(sick, seed))
    return {
        "auc_gain": round(float(apart.mean()), 4),
        "ci95": _rounded(percentile_interval(draws)),
    }


def bootstrap_weights(
    sick: NDArray[np.bool_], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``(1000, sick)`` and ``(1000, healthy)`` shares of each unit in draws with replacement."""
    rng = np.random.default_rng(seed)
    counts = int(sick.sum()), int((~sick).sum())
    shares = [
        rng.multinomial(count, np.full(count, 1 / count), BOOTSTRAP_DRAWS) / count
        for count in counts
    ]
    return shares[0], shares[1]


def _auc_of_draws(
    pairs: NDArray[np.float64], of_sick: NDArray[np.float64], of_healthy: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(((of_sick @ pairs) * of_healthy).sum(axis=1))


def _mean(pairs: NDArray[np.float64]) -> float:
    return float(pairs.mean()) if pairs.size else float("nan")


def _rounded(two: tuple[float, float]) -> list[float]:
    return [round(value, 4) for value in two]
