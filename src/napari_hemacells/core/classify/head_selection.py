"""Selection of a head by its leave-one-out accuracy on the annotated cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from napari_hemacells.core.classify.ridge import PseudoLabels, fit_ridge

if TYPE_CHECKING:
    from numpy.typing import NDArray

HeadKind: TypeAlias = Literal["one class", "prototype", "linear", "knn", "two levels"]
MAX_REPRESENTATIVES = 1000  # annotated cells of which every two are compared
NEIGHBOURS = 3  # of each class: a class with more annotated cells has no more votes
MIN_SHOTS_TO_SELECT = (
    3  # cells in every class before another head than the linear one is considered
)


@dataclass(frozen=True, eq=False)
class HeadCandidate:
    """A head before its confidence is calibrated.

    Attributes
    ----------
    weights, bias
        ``(dim, k)`` and ``(k,)`` on standardised vectors; for k nearest neighbours ``(dim, m)``
        annotated cells of length 1, and ``(m,)`` zeros.
    owners
        ``(m,)`` class of each annotated cell for k nearest neighbours, otherwise empty.
    left_out
        ``(m, k)`` leave-one-out scores of the annotated cells.
    """

    kind: HeadKind
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    owners: NDArray[np.intp]
    left_out: NDArray[np.float64]


def fit_candidate(
    kind: HeadKind,
    rows: NDArray[np.float64],
    targets: NDArray[np.intp],
    supposed: PseudoLabels | None,
    trust: NDArray[np.float64] | None = None,
) -> HeadCandidate:
    """Return the head of this kind for ``(m, dim)`` standardised rows and their classes.

    `trust`, ``(m,)``, is what each row counts for; only the linear head knows of it.
    """
    if kind == "linear":
        ridge = fit_ridge(rows, targets, int(targets.max()) + 1, supposed, trust)
        return HeadCandidate(kind, ridge.weights, ridge.bias, _none(), ridge.left_out)
    if kind == "knn":
        return _nearest(rows, targets)
    return _prototypes(kind, rows, targets)


def select_candidate(candidates: list[HeadCandidate], targets: NDArray[np.intp]) -> HeadCandidate:
    """Return the first candidate, unless another is significantly better.

    The criterion is the leave-one-out balanced accuracy; the gain must be two standard errors of
    the paired difference. With one, chance decided mostly (Chula, BCCD).
    """
    best = candidates[0]
    share = 1.0 / np.bincount(targets)[targets] / (targets.max() + 1)
    for other in candidates[1:]:
        gain = share * (_leave_one_out_hits(other, targets) - _leave_one_out_hits(best, targets))
        if gain.sum() > 2.0 * np.sqrt(np.square(gain).sum()):
            best = other
    return best


def _leave_one_out_hits(
    candidate: HeadCandidate, targets: NDArray[np.intp]
) -> NDArray[np.float64]:
    """``(m,)`` 1 for each right leave-one-out prediction, else 0."""
    return np.asarray(candidate.left_out.argmax(axis=1) == targets, dtype=np.float64)


def knn_scores(
    cosines: NDArray[np.floating], owners: NDArray[np.intp], classes: int
) -> NDArray[np.float64]:
    """``(n, k)`` mean cosine to the nearest annotated cells of each class.

    Parameters
    ----------
    cosines
        ``(n, m)`` to all annotated cells; minus infinity for pairs to leave out.
    """
    scores = np.empty((len(cosines), classes))
    for owner in range(classes):
        mine = np.sort(cosines[:, owners == owner], axis=1)[:, -NEIGHBOURS:]
        asked = np.isfinite(mine)
        total = np.where(asked, mine, 0.0).sum(axis=1)
        scores[:, owner] = np.where(
            asked.any(axis=1), total / np.maximum(asked.sum(axis=1), 1), -1
        )
    return scores


def representative_rows(targets: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return rows that stand for all where comparing every two would take too long.

    All of them up to :data:`MAX_REPRESENTATIVES`. Of more, each class keeps the same number at
    regular intervals, rare classes all they have: time and memory then grow with the clicks and
    not with their square.
    """
    if len(targets) <= MAX_REPRESENTATIVES:
        return np.arange(len(targets))
    counts = np.bincount(targets)
    used = np.sort(counts[counts > 0])
    room, share = MAX_REPRESENTATIVES, 0
    for taken, count in enumerate(used):
        share = room // (len(used) - taken)
        if count >= share:
            break
        room -= int(count)
    kept = []
    for index in np.flatnonzero(counts):
        mine = np.flatnonzero(targets == index)
        kept.append(mine[np.linspace(0, len(mine) - 1, min(len(mine), share)).astype(np.intp)])
    return np.sort(np.concatenate(kept))


def unit_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of length 1."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12))


def _nearest(rows: NDArray[np.float64], targets: NDArray[np.intp]) -> HeadCandidate:
    lengthless = unit_rows(rows)
    kept = representative_rows(targets)
    known, owners = lengthless[kept], targets[kept]
    own = np.full(len(rows), -1)
    own[kept] = np.arange(len(kept))
    left_out = []
    for block in np.array_split(np.arange(len(rows)), -(-len(rows) // MAX_REPRESENTATIVES)):
        cosines = lengthless[block] @ known.T
        asked = np.flatnonzero(own[block] >= 0)
        cosines[asked, own[block][asked]] = -np.inf
        left_out.append(knn_scores(cosines, owners, int(targets.max()) + 1))
    return HeadCandidate(
        "knn", known.T.copy(), np.zeros(len(known)), owners, np.concatenate(left_out)
    )


def _prototypes(
    kind: HeadKind, rows: NDArray[np.float64], targets: NDArray[np.intp]
) -> HeadCandidate:
    """Return class means of length 1, optionally without one cell."""
    members = np.eye(int(targets.max()) + 1)[targets]
    counts = members.sum(axis=0)
    means = (members.T @ rows) / counts[:, np.newaxis]
    left_out = unit_rows(rows) @ unit_rows(means).T
    others = counts[targets, np.newaxis] * means[targets] - rows
    own = np.einsum("ij,ij->i", unit_rows(rows), unit_rows(others))
    left_out[np.arange(len(rows)), targets] = np.where(counts[targets] > 1, own, -1.0)
    return HeadCandidate(kind, unit_rows(means).T, np.zeros(len(means)), _none(), left_out)


def _none() -> NDArray[np.intp]:
    return np.zeros(0, dtype=np.intp)
