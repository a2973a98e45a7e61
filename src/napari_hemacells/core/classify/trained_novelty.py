"""Unknown cells of a network that was trained on its classes.

Such a network draws the cells of its classes together and everything else, too: the nearest cell
that it learned from is near for any cell (AUROC 0.52 and 0.55 with a class of PBC left out, see
``benchmarks/unknown_finetuned.py``). What tells more is how undecided it is, and at what angle a
cell lies from the classes, seen in units of their own scatter. The angle tells most in a late
stage of the body, before what is made for the classes alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUANTILE = 0.95  # of held-out cells of the known classes that are not unknown
SPREAD_QUANTILE = 0.9
LEAST_HELD_OUT = 8  # with fewer, no cell is unknown
LEAST, LEAST_SPREAD = 1e-12, 1e-6
FAR = 2.0  # spreads above the usual distance, from where on it counts


Parts: TypeAlias = tuple[float, float, float]  # of angle, entropy and distance


@dataclass(frozen=True, eq=False)
class TrainedNovelty:
    """How unlike the known classes a cell is, and from where on it is called unknown.

    Attributes
    ----------
    centre
        ``(dim,)`` mean of what counts of the vectors that were learned from.
    basis
        ``(dim, dim)``: centred vectors times this have about unit scatter within each class.
    means
        ``(k, dim)`` mean of each class there.
    usual, spread
        Angle to the nearest class (as 1 - cosine), entropy (nats) and distance to the nearest
        class of held-out cells of the known classes: the median, and how far above it nine tenths
        of them lie. The score is the sum of the first two in such units, and of what the distance
        has above two of them: only a cell that lies far out is told by it.
    threshold
        Cells above it are unknown; infinite where too few cells were held out.
    first
        Which number of a vector is the first that counts.
    """

    centre: NDArray[np.float32]
    basis: NDArray[np.float32]
    means: NDArray[np.float32]
    usual: Parts
    spread: Parts
    threshold: float
    first: int = 0

    def score(
        self, vectors: NDArray[np.float32], probabilities: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """``(n,)`` float32 novelty of ``(n, dim)`` vectors with ``(n, k)`` class probabilities."""
        measured = self.measure(vectors, probabilities)
        angle, undecided, far = (measured - np.array(self.usual)[:, None]) / np.array(self.spread)[
            :, None
        ]
        return np.asarray(angle + undecided + np.maximum(far - FAR, 0.0), dtype=np.float32)

    def with_classes(
        self, vectors: NDArray[np.floating], targets: NDArray[np.integer]
    ) -> TrainedNovelty:
        """Return this with the means of classes that the network did not learn.

        Parameters
        ----------
        vectors, targets
            ``(n, dim)`` vectors of annotated cells, and a number for the class of each.
        """
        own = np.asarray(vectors, dtype=np.float64)[:, self.first :]
        points = (own - self.centre) @ self.basis
        new = [points[targets == one].mean(axis=0) for one in np.unique(targets)]
        means = np.concatenate([self.means, np.array(new).reshape(-1, self.means.shape[1])])
        return replace(self, means=means.astype(np.float32))

    def measure(
        self, vectors: NDArray[np.floating], probabilities: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """``(3, n)`` angle, entropy and distance of cells, as they are."""
        own = np.asarray(vectors, dtype=np.float64)[:, self.first :]
        points = (own - self.centre) @ self.basis
        angle = 1 - (_unit(points) @ _unit(self.means.astype(np.float64)).T).max(axis=1)
        distances = [np.linalg.norm(points - mean, axis=1) for mean in self.means]
        return np.stack([angle, entropy(probabilities), np.min(distances, axis=0)])


def fit_trained_novelty(
    vectors: NDArray[np.floating],
    targets: NDArray[np.integer],
    held_out: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    *,
    first: int = 0,
) -> TrainedNovelty:
    """Return the novelty of a trained network.

    Parameters
    ----------
    vectors, targets
        ``(n, dim)`` vectors that were learned from, and their classes, 0 to k - 1.
    held_out, probabilities
        ``(m, dim)`` vectors of the known classes that were not learned from, and what the network
        says of them, ``(m, k)``.
    first
        Which number of a vector is the first that counts; those before it are for the classes.
    """
    from sklearn.covariance import LedoitWolf

    vectors = np.asarray(vectors, dtype=np.float64)[:, first:]
    centre = vectors.mean(axis=0)
    classes, places = np.unique(targets, return_inverse=True)
    means = np.stack([vectors[targets == one].mean(axis=0) for one in classes])
    scatter = LedoitWolf(assume_centered=True).fit(vectors - means[places]).covariance_
    # Features that never differ have no scatter: a millionth of the mean keeps it invertible.
    ridge = LEAST + 1e-6 * float(np.trace(scatter)) / len(centre)
    inverse = np.linalg.inv(scatter + ridge * np.eye(len(centre)))
    basis = np.linalg.cholesky((inverse + inverse.T) / 2)
    known = TrainedNovelty(
        centre.astype(np.float32),
        basis.astype(np.float32),
        ((means - centre) @ basis).astype(np.float32),
        usual=(0.0, 0.0, 0.0),
        spread=(1.0, 1.0, 1.0),
        threshold=np.inf,
        first=first,
    )
    if len(held_out) < LEAST_HELD_OUT:
        return known
    measured = known.measure(held_out, probabilities)
    usual = np.median(measured, axis=1)
    spread = np.maximum(np.quantile(measured, SPREAD_QUANTILE, axis=1) - usual, LEAST_SPREAD)
    known = replace(known, usual=_parts(usual), spread=_parts(spread))
    scores = known.score(np.asarray(held_out, dtype=np.float32), probabilities)
    return replace(known, threshold=float(np.quantile(scores, QUANTILE)))


def _parts(values: NDArray[np.float64]) -> Parts:
    angle, undecided, far = (float(value) for value in values)
    return angle, undecided, far


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
    *,
    first: int = 0,
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
        known = fit_trained_novelty(
            vectors[taught], targets[taught], held_out[~new], others[~new], first=first
        )
        scores = known.score(np.asarray(held_out, dtype=np.float32), others)
        found[int(left_out)] = float(roc_auc_score(new, scores))
    return found


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), LEAST))
