"""Unknown cells of a network that was trained on its classes.

Such a network draws the cells of its classes together and everything else, too: the nearest cell
that it learned from is near for any cell (AUROC 0.52 and 0.55 with a class of PBC left out, see
``benchmarks/unknown_finetuned.py``). What tells more is how undecided it is, and at what angle a
cell lies from the classes, seen in units of their own scatter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUANTILE = 0.95  # of held-out cells of the known classes that are not unknown
SPREAD_QUANTILE = 0.9
LEAST_HELD_OUT = 8  # with fewer, no cell is unknown
LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class TrainedNovelty:
    """How unlike the known classes a cell is, and from where on it is called unknown.

    Attributes
    ----------
    centre
        ``(dim,)`` mean of the vectors that were learned from.
    basis
        ``(dim, dim)``: centred vectors times this have about unit scatter within each class.
    prototypes
        ``(k, dim)`` mean direction of each class there, of unit length.
    usual, spread
        Angle (as 1 - cosine) and entropy (nats) of held-out cells of the known classes: the
        median, and how far above it nine tenths of them lie. The score is the sum of both in
        such units.
    threshold
        Cells above it are unknown; infinite where too few cells were held out.
    """

    centre: NDArray[np.float32]
    basis: NDArray[np.float32]
    prototypes: NDArray[np.float32]
    usual: tuple[float, float]
    spread: tuple[float, float]
    threshold: float

    def score(
        self, vectors: NDArray[np.float32], probabilities: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """``(n,)`` float32 novelty of ``(n, dim)`` vectors with ``(n, k)`` class probabilities."""
        angle = class_angle(vectors, self.centre, self.basis, self.prototypes)
        parts = zip((angle, entropy(probabilities)), self.usual, self.spread, strict=True)
        total = sum((values - usual) / spread for values, usual, spread in parts)
        return np.asarray(total, dtype=np.float32)


def fit_trained_novelty(
    vectors: NDArray[np.floating],
    targets: NDArray[np.integer],
    held_out: NDArray[np.floating],
    probabilities: NDArray[np.floating],
) -> TrainedNovelty:
    """Return the novelty of a trained network.

    Parameters
    ----------
    vectors, targets
        ``(n, dim)`` vectors that were learned from, and their classes, 0 to k - 1.
    held_out, probabilities
        ``(m, dim)`` vectors of the known classes that were not learned from, and what the network
        says of them, ``(m, k)``.
    """
    from sklearn.covariance import LedoitWolf

    vectors = np.asarray(vectors, dtype=np.float64)
    centre = vectors.mean(axis=0)
    classes, places = np.unique(targets, return_inverse=True)
    means = np.stack([vectors[targets == one].mean(axis=0) for one in classes])
    scatter = LedoitWolf(assume_centered=True).fit(vectors - means[places])
    # Features that never differ have no scatter: a millionth of the mean keeps it invertible.
    ridge = LEAST + 1e-6 * float(np.trace(scatter.covariance_)) / len(centre)
    inverse = np.linalg.inv(scatter.covariance_ + ridge * np.eye(len(centre)))
    basis = np.linalg.cholesky((inverse + inverse.T) / 2)
    directions = _unit((vectors - centre) @ basis)
    prototypes = _unit(np.stack([directions[targets == one].mean(axis=0) for one in classes]))
    known = TrainedNovelty(
        centre.astype(np.float32),
        basis.astype(np.float32),
        prototypes.astype(np.float32),
        usual=(0.0, 0.0),
        spread=(1.0, 1.0),
        threshold=np.inf,
    )
    if len(held_out) < LEAST_HELD_OUT:
        return known
    angle = class_angle(held_out, known.centre, known.basis, known.prototypes)
    measured = (angle, entropy(probabilities))
    usual = tuple(float(np.median(values)) for values in measured)
    spread = tuple(
        max(float(np.quantile(values, SPREAD_QUANTILE)) - middle, 1e-6)
        for values, middle in zip(measured, usual, strict=True)
    )
    known = TrainedNovelty(
        known.centre, known.basis, known.prototypes, (usual[0], usual[1]), (spread[0], spread[1]),
        threshold=np.inf,
    )  # fmt: skip
    scores = known.score(np.asarray(held_out, dtype=np.float32), probabilities)
    return TrainedNovelty(
        known.centre, known.basis, known.prototypes, known.usual, known.spread,
        threshold=float(np.quantile(scores, QUANTILE)),
    )  # fmt: skip


def class_angle(
    vectors: NDArray[np.floating],
    centre: NDArray[np.floating],
    basis: NDArray[np.floating],
    prototypes: NDArray[np.floating],
) -> NDArray[np.float64]:
    """``(n,)`` 1 - cosine between each cell and the class that it lies nearest to, 0 to 2."""
    directions = _unit((np.asarray(vectors, dtype=np.float64) - centre) @ basis)
    return np.asarray(1 - (directions @ prototypes.T).max(axis=1))


def entropy(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """``(n,)`` nats: 0 for a cell that is surely of one class, log k for one that is of any."""
    whole = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(-(whole * np.log(np.maximum(whole, LEAST))).sum(axis=1))


def unknown_auroc_by_class(
    vectors: NDArray[np.floating],
    targets: NDArray[np.integer],
    held_out: NDArray[np.floating],
    held_out_targets: NDArray[np.integer],
    probabilities: NDArray[np.floating],
) -> dict[int, float]:
    """Return for each class how well its held-out cells are found when it is nobody's class.

    The class is left out of the prototypes and of the probabilities, not of the network's
    training: the true figures of a class that the network never saw are lower.
    """
    from sklearn.metrics import roc_auc_score

    found: dict[int, float] = {}
    classes = np.unique(targets)
    for left_out in classes if len(classes) > 2 else ():
        new = held_out_targets == left_out
        if not 0 < new.sum() < len(new):
            continue
        taught = targets != left_out
        others = np.delete(np.asarray(probabilities, dtype=np.float64), left_out, axis=1)
        others = (others + LEAST) / (others + LEAST).sum(axis=1, keepdims=True)
        known = fit_trained_novelty(vectors[taught], targets[taught], held_out[~new], others[~new])
        scores = known.score(np.asarray(held_out, dtype=np.float32), others)
        found[int(left_out)] = float(roc_auc_score(new, scores))
    return found


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), LEAST))
