"""Odd ones out: which cells of an image fit none of the annotated kinds, the oddest first.

The classifier's own novelty (:mod:`~napari_hemacells.core.classify.novelty`) answers within a
click. This one may take a second: the image's cells are clustered several times into the annotated
kinds and some spare kinds, each time along other directions and with another number of spare
kinds. A cell that mostly falls to the spare ones is odd. It is asked together with the novelty and
with how undecided the classifier is; the three are added as ranks.

The clusters are a mixture of Gaussians with one diagonal scatter, fitted by expectation and
maximisation with the annotated cells fixed to their kinds (Nigam et al. 2000, *Text classification
from labeled and unlabeled documents using EM*, doi 10.1023/A:1007692713085).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify.projection import pca_basis
from napari_hemacells.core.classify.trained_novelty import entropy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.classify.fit import SupportSet
    from napari_hemacells.core.classify.head import Head
    from napari_hemacells.core.classify.verification import Likeness
    from napari_hemacells.core.types import Embeddings, Prediction

# Chosen on Jiangxi, Chula's held-out blocks and BCCD's train fields: benchmarks/odd_ones.py.
MEMBERS = 12  # mixtures that are averaged
DIRECTIONS = (12, 32)  # fewest and most principal directions of one
SPARE = (3, 12)  # fewest and most spare kinds
ANCHOR = 10.0  # what an annotated cell counts for in its kind's mean, in cells
TEMPER = 0.5  # of the log-likelihood: neighbouring numbers of a vector say much the same
STEPS = 15
FIT_CELLS = 2000  # a mixture is fitted to so many cells at most
NOVELTY_SHARE, ENTROPY_SHARE = 0.5, 0.3  # of the ranks, beside that of the mixtures
LEAST = 1e-6
# Of a smear with a thousand red cells and ten of them annotated, four in ten are unknown (BCCD).
# Where so many are, odd are those above the threshold by a factor of e, in how rarely the walks
# come by, and those among the oddest tenth; elsewhere that would call hardly any cell of a new
# kind (PBC, Jiangxi).
MOST_ODD, OFTEN_ODD = 0.25, 0.1
MARGIN = 1.0


@dataclass(frozen=True, eq=False)
class OddOnes:
    """How odd each cell is.

    Attributes
    ----------
    ids
        ``(n,)`` int64 cell ids.
    scores
        ``(n,)`` float32 from 0 to 1, higher is odder. They order the cells of one image and are
        no probabilities.
    is_odd
        ``(n,)`` cells that the classifier calls unknown; where these are very many, the clear ones
        among them. None while too few cells are annotated to tell.
    can_tell
        Whether enough cells are annotated to call a cell odd.
    """

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    is_odd: NDArray[np.bool_]
    can_tell: bool

    @property
    def odd_ids(self) -> NDArray[np.int64]:
        """Ids of the odd cells, the oddest first."""
        rows = np.flatnonzero(self.is_odd)
        return self.ids[rows[np.argsort(-self.scores[rows], kind="stable")]]

    def farthest(self, count: int) -> NDArray[np.int64]:
        """Ids of the cells with the highest scores, whether they are called odd or not."""
        return self.ids[np.argsort(-self.scores, kind="stable")[:count]]


def find_odd_ones(
    embeddings: Embeddings,
    prediction: Prediction,
    head: Head,
    support: SupportSet | None,
    likeness: Likeness | None = None,
) -> OddOnes:
    """Return how odd each cell of an image is; deterministic.

    Parameters
    ----------
    prediction
        What the head says of these cells.
    support
        The annotated cells; ``None`` for a model that keeps none.
    likeness
        A learned distance in which the cells are compared. One learned from 15 other cells of
        each of five annotated kinds raises the AUROC of a left-out kind of PBC from 0.854 to
        0.876 (ImageNet encoder, the mixtures alone).
    """
    rows = np.array([embeddings.rows[cell] for cell in prediction.ids.tolist()], dtype=np.intp)
    vectors = embeddings.vectors[rows]
    known = None if support is None else support.vectors
    if likeness is not None:
        vectors = likeness.transform(vectors)
        known = None if known is None else likeness.transform(known)
    scores = oddness(
        vectors,
        prediction.probabilities,
        novelty=prediction.unknown,
        known=known,
        labels=() if support is None else support.labels,
    )
    is_odd = np.zeros(len(vectors), dtype=np.bool_)
    if len(vectors) and prediction.is_unknown is not None and prediction.unknown is not None:
        is_odd = prediction.is_unknown
        if is_odd.mean() > MOST_ODD:
            clear = prediction.unknown > _threshold(head)
            is_odd = is_odd & (clear | (ranks(scores) >= 1 - OFTEN_ODD))
    return OddOnes(prediction.ids, scores, is_odd, can_tell(head))


def _threshold(head: Head) -> float:
    """Return the novelty of cells that are clearly unknown; a trained network has none."""
    if head.trained_novelty is not None or head.novelty is None:
        return -np.inf
    return head.novelty.threshold + MARGIN


def can_tell(head: Head) -> bool:
    """Whether a classifier has learned from enough cells to call others odd."""
    novelty = head.trained_novelty or head.novelty
    return novelty is not None and bool(np.isfinite(novelty.threshold))


def oddness(
    vectors: NDArray[np.float32],
    probabilities: NDArray[np.floating],
    *,
    novelty: NDArray[np.floating] | None,
    known: NDArray[np.floating] | None,
    labels: tuple[str, ...] = (),
) -> NDArray[np.float32]:
    """``(n,)`` how odd each of ``(n, dim)`` cells is, 0 to 1.

    Parameters
    ----------
    probabilities
        ``(n, k)`` of the classes.
    novelty
        ``(n,)`` the classifier's; ``None`` where it has none.
    known, labels
        ``(m, dim)`` and ``(m,)`` of the annotated cells; ``None`` for none.
    """
    parts, weights = [], []
    if known is not None and len(known) and len(vectors) > 1:
        parts.append(_mixture_ranks(vectors, np.asarray(known), labels))
        weights.append(1.0)
    if novelty is not None:
        parts.append(ranks(np.asarray(novelty)))
        weights.append(NOVELTY_SHARE)
    if probabilities.shape[1] > 1:
        parts.append(ranks(entropy(probabilities)))
        weights.append(ENTROPY_SHARE)
    if not parts:
        return np.zeros(len(vectors), dtype=np.float32)
    return np.average(parts, axis=0, weights=weights).astype(np.float32)


def ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """``(n,)`` ranks from 0 to 1; equal values share the mean of theirs."""
    from scipy.stats import rankdata

    if len(values) < 2:
        return np.zeros(len(values))
    return np.asarray((rankdata(values) - 1) / (len(values) - 1))


def _mixture_ranks(
    vectors: NDArray[np.float32], known: NDArray[np.floating], labels: tuple[str, ...]
) -> NDArray[np.float64]:
    """``(n,)`` mean rank of the cells in the log odds of the spare kinds."""
    centre, basis = pca_basis(np.concatenate([vectors, known]))
    if not basis.shape[1]:
        return np.full(len(vectors), 0.5)  # all are equal
    points = ((vectors - centre) @ basis).astype(np.float64)
    anchors = ((known - centre) @ basis).astype(np.float64)
    _, owners = np.unique(np.asarray(labels), return_inverse=True)
    random = np.random.default_rng(0)
    fitted = points[:: -(-len(points) // FIT_CELLS)]
    total = np.zeros(len(points))
    for _ in range(MEMBERS):
        directions = int(random.integers(DIRECTIONS[0], DIRECTIONS[1] + 1))
        spare = int(random.integers(SPARE[0], SPARE[1] + 1))
        mixture = _fit_mixture(
            fitted[:, :directions], anchors[:, :directions], owners, spare, random
        )
        total += ranks(mixture.log_odds(points[:, :directions]).round(6))  # ties stay ties
    return total / MEMBERS


@dataclass(frozen=True, eq=False)
class _Mixture:
    """Gaussians with one diagonal scatter; the first `known` are the annotated kinds."""

    means: NDArray[np.float64]
    variance: NDArray[np.float64]
    shares: NDArray[np.float64]
    known: int

    def log_likelihoods(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(n, k)`` tempered log-likelihood of each kind, but for a constant."""
        scaled = points / self.variance
        squared = (scaled * points).sum(axis=1)[:, np.newaxis] - 2 * scaled @ self.means.T
        squared += (self.means**2 / self.variance).sum(axis=1)
        return np.asarray(-0.5 * TEMPER * squared + np.log(self.shares))

    def log_odds(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(n,)`` log odds of the spare kinds against the annotated ones."""
        from scipy.special import logsumexp

        likelihoods = self.log_likelihoods(points)
        spare, known = likelihoods[:, self.known :], likelihoods[:, : self.known]
        return np.asarray(logsumexp(spare, axis=1) - logsumexp(known, axis=1))


def _fit_mixture(
    points: NDArray[np.float64],
    anchors: NDArray[np.float64],
    owners: NDArray[np.intp],
    spare: int,
    random: np.random.Generator,
) -> _Mixture:
    """Return the annotated kinds and `spare` others, fitted to the cells."""
    from scipy.special import softmax

    known = int(owners.max()) + 1
    means = np.stack([anchors[owners == kind].mean(axis=0) for kind in range(known)])
    nearest = _squared(points, means).min(axis=1)
    for _ in range(spare):  # as k-means++ chooses its first centres
        chances = nearest + LEAST * (nearest.mean() + LEAST)
        centre = points[random.choice(len(points), p=chances / chances.sum())]
        means = np.vstack([means, centre])
        nearest = np.minimum(nearest, np.square(points - centre).sum(axis=1))
    closest = means[_squared(points, means).argmin(axis=1)]
    floor = LEAST * float(points.var(axis=0).mean()) + LEAST**2
    variance = np.square(points - closest).mean(axis=0) + floor
    mixture = _Mixture(means, variance, np.full(len(means), 1 / len(means)), known)
    everything = np.vstack([points, anchors])
    fixed = np.zeros((len(anchors), len(means)))
    fixed[np.arange(len(anchors)), owners] = ANCHOR
    for _ in range(STEPS):
        belongs = np.vstack([softmax(mixture.log_likelihoods(points), axis=1), fixed])
        counts = belongs.sum(axis=0) + LEAST
        means = (belongs.T @ everything) / counts[:, np.newaxis]
        variance = belongs.sum(axis=1) @ everything**2 - counts @ means**2
        variance = np.maximum(variance / counts.sum(), 0) + floor
        mixture = _Mixture(means, variance, counts / counts.sum(), known)
    return mixture


def _squared(points: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = (points**2).sum(axis=1)[:, np.newaxis] + (means**2).sum(axis=1)
    return np.asarray(np.maximum(lengths - 2 * points @ means.T, 0))
