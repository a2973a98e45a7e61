"""What linear heads say of cells that they have not learned from. Imports scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FOLDS = 5
FREEDOM = (
    5.0  # a head's, shared among the cells: little, so that none learns wrong labels by heart
)
ROUNDS = 200


class OutOfFold(NamedTuple):
    """Probabilities of cells by heads that had not seen them.

    Attributes
    ----------
    probabilities
        ``(n, k)``, rows sum to 1.
    grouped
        Whether whole groups were held out.
    """

    probabilities: NDArray[np.float64]
    grouped: bool


def out_of_fold_heads(
    vectors: NDArray[np.floating],
    targets: NDArray[np.int64],
    *,
    groups: Sequence[str] | None = None,
    folds: int = FOLDS,
    seed: int = 0,
) -> OutOfFold:
    """Return what penalised logistic regressions say, each of the fold it has not seen.

    Whole groups are held out where that leaves every class in every lesson; otherwise cells,
    dealt out class by class.

    Parameters
    ----------
    vectors
        ``(n, dim)`` of a frozen encoder.
    targets
        ``(n,)`` classes, 0 to k - 1, each with two cells or more.
    """
    dealt = None if groups is None else _deal_groups(targets, groups, folds, seed)
    grouped = dealt is not None
    if dealt is None:
        dealt = _deal_cells(targets, folds, seed)
    said = np.zeros((len(targets), int(targets.max()) + 1))
    for fold in np.unique(dealt):
        asked = dealt == fold
        said[asked] = _said(vectors[~asked], targets[~asked], vectors[asked])
    return OutOfFold(said, grouped)


def _said(
    taught: NDArray[np.floating], targets: NDArray[np.int64], asked: NDArray[np.floating]
) -> NDArray[np.float64]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    head = LogisticRegression(C=FREEDOM / len(targets), max_iter=ROUNDS, tol=1e-3)
    learned = make_pipeline(StandardScaler(), head).fit(taught, targets)
    return np.asarray(learned.predict_proba(asked), dtype=np.float64)


def _deal_cells(targets: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """``(n,)`` fold of each cell; a class with two cells or more is in every lesson."""
    random = np.random.default_rng(seed)
    dealt = np.zeros(len(targets), dtype=np.int64)
    for one in np.unique(targets):
        own = random.permutation(np.flatnonzero(targets == one))
        dealt[own] = (np.arange(len(own)) + random.integers(folds)) % folds
    return dealt


def _deal_groups(
    targets: NDArray[np.int64], groups: Sequence[str], folds: int, seed: int
) -> NDArray[np.int64] | None:
    """``(n,)`` fold of each cell's group; None where a class would be missing from a lesson."""
    from sklearn.model_selection import StratifiedGroupKFold

    names = np.unique(groups)
    if len(names) < 2 or not all(groups):
        return None
    dealt = np.zeros(len(targets), dtype=np.int64)
    splitter = StratifiedGroupKFold(min(folds, len(names)), shuffle=True, random_state=seed)
    least = np.bincount(targets).min()
    if least < splitter.get_n_splits():
        return None
    for fold, (_, asked) in enumerate(splitter.split(targets, targets, groups)):
        dealt[asked] = fold
    whole = len(np.unique(targets))
    lessons = (targets[dealt != fold] for fold in np.unique(dealt))
    return dealt if all(len(np.unique(one)) == whole for one in lessons) else None
