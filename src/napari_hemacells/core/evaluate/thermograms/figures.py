"""AUC, sensitivity and specificity of patients, with bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.evaluate.intervals import interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

DRAWS = 1000
NEAR_DAYS = 180


@dataclass(frozen=True, eq=False)
class Answers:
    """What was said of units (patients; frames where the split is by image), never seen before.

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
    """Return the share of pairs of a sick and a healthy one in which the sick one scores higher.

    Ties count half; NaN where there is no such pair. The same as scikit-learn's ``roc_auc_score``.
    """
    from scipy.stats import rankdata

    positive = int(sick.sum())
    pairs = positive * (len(sick) - positive)
    if not pairs:
        return float("nan")
    above = rankdata(scores)[sick].sum() - positive * (positive + 1) / 2
    return float(above / pairs)


def auc_near(
    sick: NDArray[np.bool_], scores: NDArray[np.float64], days: NDArray[np.float64]
) -> float:
    """Return the AUC over pairs examined within 180 days of one another; NaN days never pair."""
    near = np.abs(days[:, None] - days[None]) <= NEAR_DAYS
    pairs = np.logical_and.outer(sick, ~sick) & near
    if not pairs.any():
        return float("nan")
    apart = np.sign(scores[:, None] - scores[None])[pairs]
    return float((apart.mean() + 1) / 2)


def figures_of(
    answers: Answers, sick: NDArray[np.bool_], days: NDArray[np.float64], seed: int
) -> dict[str, Any]:
    """Return AUC, sensitivity, specificity, each the mean of the repeats, with 95 % intervals.

    The intervals come from drawing units with replacement; the folds stay as they were.
    """

    def mean_auc(rows: NDArray[np.int64]) -> float:
        return float(np.mean([auc(sick[rows], one[rows]) for one in answers.scores]))

    def sensitivity(rows: NDArray[np.int64]) -> float:
        return float(answers.called[:, rows[sick[rows]]].mean())

    def specificity(rows: NDArray[np.int64]) -> float:
        return float(1 - answers.called[:, rows[~sick[rows]]].mean())

    names: dict[str, Callable[[NDArray[np.int64]], float]] = {
        "auc": mean_auc,
        "sensitivity": sensitivity,
        "specificity": specificity,
    }
    rows, draws = np.arange(len(sick)), drawn(sick, seed)
    told: dict[str, Any] = {}
    for name, figure in names.items():
        told[name] = round(figure(rows), 4)
        low, high = interval([figure(one) for one in draws])
        told["ci95" if name == "auc" else f"{name}_ci95"] = [round(low, 4), round(high, 4)]
    near = np.mean([auc_near(sick, one, days) for one in answers.scores])
    told["auc_within_180_days"] = None if np.isnan(near) else round(float(near), 4)
    return told


def gain(method: Answers, baseline: Answers, sick: NDArray[np.bool_], seed: int) -> dict[str, Any]:
    """Return by how much the method's AUC is above a baseline's, drawn on the same units."""

    def apart(rows: NDArray[np.int64]) -> float:
        pairs = zip(method.scores, baseline.scores, strict=True)
        return float(
            np.mean([auc(sick[rows], a[rows]) - auc(sick[rows], b[rows]) for a, b in pairs])
        )

    low, high = interval([apart(one) for one in drawn(sick, seed)])
    whole = apart(np.arange(len(sick)))
    return {"auc_gain": round(whole, 4), "ci95": [round(low, 4), round(high, 4)]}


def drawn(sick: NDArray[np.bool_], seed: int) -> list[NDArray[np.int64]]:
    """Return 1000 draws of units with replacement, as many healthy and sick ones as there are."""
    rng = np.random.default_rng(seed)
    parts = [np.flatnonzero(sick), np.flatnonzero(~sick)]
    return [
        np.concatenate([rng.choice(one, len(one)) for one in parts]).astype(np.int64)
        for _ in range(DRAWS)
    ]
