"""Cross-validation many times over, whole patients or, to show what that flatters, frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_hemacells.core.evaluate.thermograms.figures import Answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from napari_hemacells.core.evaluate.thermograms.candidates import Candidate

Fold = tuple[NDArray[np.int64], NDArray[np.int64]]


def splits(
    sick: NDArray[np.bool_], groups: NDArray[np.int64], *, folds: int, repeats: int, seed: int
) -> Iterator[list[Fold]]:
    """Yield for each repeat the folds as (learned from, judged) rows.

    Rows of one group are never in both; the share of sick ones is kept about the same.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    for repeat in range(repeats):
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed + repeat)
        rows = splitter.split(np.zeros(len(sick)), sick, groups)
        yield [(np.asarray(learn), np.asarray(judge)) for learn, judge in rows]


def answers_of(
    candidate: Candidate,
    table: pd.DataFrame,
    sick: NDArray[np.bool_],
    folds_of_repeats: list[list[Fold]],
) -> Answers:
    """Return what the candidate says of each row when it was not learned from."""
    own = candidate.of(table)
    names, values = list(own.columns), own.to_numpy(np.float64)
    scores = np.full((len(folds_of_repeats), len(sick)), np.nan)
    called = np.zeros(scores.shape, dtype=np.bool_)
    for repeat, folds in enumerate(folds_of_repeats):
        for learn, judge in folds:
            if candidate.model is None:
                told = values[:, 0]
                limit = best_limit(told[learn], sick[learn])
            else:
                model = candidate.model(names).fit(values[learn], sick[learn])
                told, limit = model.predict_proba(values)[:, 1], 0.5
            scores[repeat, judge], called[repeat, judge] = told[judge], told[judge] >= limit
    return Answers(scores, called)


def best_limit(scores: NDArray[np.float64], sick: NDArray[np.bool_]) -> float:
    """Return the limit at which sensitivity plus specificity is greatest (Youden's index)."""
    tried = np.unique(scores)
    middles = np.concatenate([tried[:1], (tried[1:] + tried[:-1]) / 2])
    index = [(scores[sick] >= one).mean() + (scores[~sick] < one).mean() for one in middles]
    return float(middles[int(np.argmax(index))])


def by_patient(
    answers: Answers, owners: NDArray[np.int64], patients: int, limit_shares: float = 0.5
) -> Answers:
    """Return the answers of patients: the mean of their exams' scores; sick where most are."""
    count = np.bincount(owners, minlength=patients)
    scores = np.stack(
        [np.bincount(owners, one, minlength=patients) / count for one in answers.scores]
    )
    shares = np.stack(
        [
            np.bincount(owners, one.astype(np.float64), minlength=patients) / count
            for one in answers.called
        ]
    )
    return Answers(scores, shares >= limit_shares)
