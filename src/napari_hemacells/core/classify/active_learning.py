"""The review queue: active learning by transductive experimental design, and diversity.

The unknown part of the cells is modelled as a Gaussian process over their projection: similar
cells have similar classes, so a click also informs about its neighbourhood. The next cell is the
one whose click leaves the least weighted variance, each cell weighted by its worth (Yu, Bi and
Tresp 2006, *Active learning via transductive experimental design*, with weights). The first clicks
therefore cover the kinds of cells, large groups first; later ones go to groups of doubtful cells
of classes with few clicks, never twice to the same place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify.contradictions import rare_cells
from napari_hemacells.core.classify.knn_graph import get_knn_graph
from napari_hemacells.core.classify.projection import squared_distances

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from napari_hemacells.core.params import QueueOrder
    from napari_hemacells.core.types import Embeddings, Prediction

MAX_DESIGN_CELLS = 800  # candidates of an image
# Tuned on the ImageNet encoder's vectors of PBC and the bundled one's of Chula's held-out blocks,
# three draws each: widths of 1 to 2.5 spacings and noises of 0.1 to 1 do equally well.
WIDTH = 1.0  # length scale of the Gaussian process, in spacings of the projection
NOISE = 0.1  # variance of an answer
DENSITY_EXPONENT = (
    0.5  # power of the number of like cells by which a cell counts less; 1: groups alike
)


def transductive_design(
    vectors: NDArray[np.float32],
    worth: NDArray[np.floating],
    taken: NDArray[np.intp],
    count: int,
) -> NDArray[np.intp]:
    """Indices of up to `count` cells to click next, the most informative first.

    Parameters
    ----------
    vectors
        ``(n, dim)`` of an image's cells.
    worth
        ``(n,)`` weight of each cell, 0 or more.
    taken
        Indices of the annotated cells.
    """
    pool = get_knn_graph(vectors)
    if pool is None:
        ranked = np.argsort(-worth, kind="stable")
        return ranked[~np.isin(ranked, taken)][:count]
    rows = _weighed(worth, taken)
    points = pool.map.places(vectors[rows])
    squared = squared_distances(points, points).astype(np.float64)
    np.fill_diagonal(squared, 0.0)
    like = np.exp(-squared / (2 * (WIDTH * pool.map.spacing) ** 2))
    weight = worth[rows] * like.sum(axis=1) ** -DENSITY_EXPONENT
    known = np.flatnonzero(np.isin(rows, taken))
    return rows[_greedy(_posterior_covariance(like, known), weight, known, count)]


def _weighed(worth: NDArray[np.floating], taken: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the candidates: all; of many those of most worth, and a regular sample."""
    if len(worth) <= MAX_DESIGN_CELLS:
        return np.arange(len(worth))
    best = np.argsort(-worth, kind="stable")[: MAX_DESIGN_CELLS // 2]
    everywhere = np.arange(0, len(worth), -(-len(worth) // (MAX_DESIGN_CELLS // 2)))
    clicked = taken[:: -(-len(taken) // MAX_DESIGN_CELLS) or 1]
    return np.unique(np.concatenate([best, everywhere, clicked]))


def _posterior_covariance(
    like: NDArray[np.float64], known: NDArray[np.intp]
) -> NDArray[np.float64]:
    """``(n, n)`` posterior covariance of the cells given the annotated ones."""
    if len(known) == 0:
        return like.copy()
    among = like[np.ix_(known, known)] + NOISE * np.eye(len(known))
    return np.asarray(like - like[:, known] @ np.linalg.solve(among, like[known]))


def _greedy(
    covariance: NDArray[np.float64],
    weight: NDArray[np.floating],
    known: NDArray[np.intp],
    count: int,
) -> NDArray[np.intp]:
    """Return the cells that greedily lower the weighted variance most."""
    open_to_it = np.ones(len(covariance), dtype=np.bool_)
    open_to_it[known] = False
    chosen: list[int] = []
    for _ in range(min(count, int(open_to_it.sum()))):
        gain = (weight @ np.square(covariance)) / (covariance.diagonal() + NOISE)
        best = int(np.where(open_to_it, gain, -1.0).argmax())
        chosen.append(best)
        open_to_it[best] = False
        kalman_gain = covariance[:, best] / (covariance[best, best] + NOISE)
        covariance -= np.outer(kalman_gain, covariance[best])
    return np.array(chosen, dtype=np.intp)


SKETCH_DIM = 32  # dimensions in which cells are compared
OUTLIER_QUANTILE = (
    0.98  # quantile of the distance to the fifth neighbour above which a cell is passed over
)
LONERS_SAMPLE, OUTLIER_NEIGHBOUR = 1000, 5


def random_projection(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Random projections of the vectors, which keep distances (Johnson and Lindenstrauss)."""
    projection = np.random.default_rng(0).standard_normal((vectors.shape[1], SKETCH_DIM))
    spread_out = vectors.std(axis=0) + np.float32(1e-6)
    sketch = (vectors - vectors.mean(axis=0)) @ (
        projection.astype(np.float32) / spread_out[:, np.newaxis]
    )
    return np.asarray(sketch, dtype=np.float32)


def select_diverse(
    points: NDArray[np.float32],
    worth: NDArray[np.floating],
    count: int,
    taken: NDArray[np.float32] | None = None,
) -> NDArray[np.intp]:
    """Indices of up to `count` points of high worth that are far from one another.

    Greedy: worth times the distance to the nearest point chosen or `taken` before. Without such a
    point the first is the one of most worth; ties go to the one farthest from the mean.
    """
    lengths = np.einsum("ij,ij->i", points, points)
    chosen: list[int] = []
    weight = np.asarray(worth, dtype=np.float64) + 1e-9
    nearest = np.full(len(points), np.inf)
    for point in () if taken is None else taken:
        np.minimum(nearest, _distances(points, lengths, point), out=nearest)
    started = bool(np.isfinite(nearest).all())
    merit = weight * (nearest if started else 1.0 + 1e-6 * np.sqrt(lengths))
    for _ in range(min(count, len(points))):
        best = int(np.argmax(merit))
        chosen.append(best)
        np.minimum(nearest, _distances(points, lengths, points[best]), out=nearest)
        merit = weight * nearest
        merit[chosen] = -1.0
    return np.array(chosen, dtype=np.intp)


def select_cold_start(vectors: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Indices of up to `count` vectors that differ most, the central one first.

    Outliers (far from their fifth neighbour) come last.
    """
    if len(vectors) == 0 or count < 1:
        return np.zeros(0, dtype=np.intp)
    points = random_projection(vectors)
    middle = int(np.square(points - np.median(points, axis=0)).sum(axis=1).argmin())
    alone = _outlier_distance(points)
    accepted = (alone <= np.quantile(alone, OUTLIER_QUANTILE)).astype(np.float64)
    rest = select_diverse(points, accepted, count, points[middle : middle + 1])
    order = np.concatenate([[middle], rest[rest != middle]])
    return np.asarray(order[:count], dtype=np.intp)


def _outlier_distance(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """``(n,)`` distance to the fifth nearest point of a sample."""
    sample = points[:: -(-len(points) // LONERS_SAMPLE)]
    fifth = min(OUTLIER_NEIGHBOUR, len(sample) - 1)
    fifth_distances = [
        np.partition(squared_distances(block, sample), fifth, axis=1)[:, fifth]
        for block in np.array_split(points, -(-len(points) // LONERS_SAMPLE))
    ]
    return np.sqrt(np.concatenate(fifth_distances).astype(np.float64))


def _distances(
    points: NDArray[np.float32], lengths: NDArray[np.float32], to: NDArray[np.float32]
) -> NDArray[np.float64]:
    squared = lengths + float(to @ to) - 2.0 * (points @ to)
    return np.asarray(np.sqrt(np.maximum(squared, 0)), dtype=np.float64)


DIVERSE_COUNT = 200  # places at the head of the queue that are spread apart
ACTIVE_COUNT = 32  # places at the head of the active queue: what is worth most after these clicks
DIVERSITY_POOL, COLD_START_POOL = (
    2000,
    10_000,
)  # cells among which they are given away; before a prediction


def review_queue(
    cell_ids: Iterable[int],
    prediction: Prediction | None,
    embeddings: Embeddings | None,
    order: QueueOrder,
    *,
    annotated: AbstractSet[int],
    descending: bool = False,
) -> list[int]:
    """Cell ids in review order.

    Parameters
    ----------
    cell_ids
        The cells, in the order of the slide.
    prediction, embeddings
        Prediction and embeddings, if any; cells without them come last.
    order
        ``uncertain``: smallest margin between the two best classes first, without annotated
        cells, near-duplicates spread apart; before any prediction the cells that differ most from
        one another. ``active``: most informative first, without annotated cells. ``rare``: as
        ``active``, first the cells that the detector or the classifier takes for something rare
        on the slide. ``sure``:
        highest confidence first. ``unknown``: highest novelty first, without annotated cells.
        ``class``: by predicted class, highest confidence first in each. ``slide``: as given.
    annotated
        Ids of annotated cells.
    descending
        Reverse the order.
    """
    ids = np.fromiter((int(cell) for cell in cell_ids), dtype=np.int64)
    if order in {"uncertain", "active", "rare", "unknown"}:
        known = ids[np.isin(ids, list(annotated))]
        ids = ids[~np.isin(ids, known)]
        if order == "unknown":
            ranked = _by_novelty(ids, prediction)
        elif order in {"active", "rare"}:
            ranked = _by_design(ids, prediction, embeddings, known, rare=order == "rare")
        else:
            ranked = _by_uncertainty(ids, prediction, embeddings, apart=not descending)
    elif order == "slide" or prediction is None:
        ranked = np.arange(len(ids))
    else:
        ranked = _by_prediction(ids, prediction, by_class=order == "class")
    ordered: list[int] = ids[ranked].tolist()
    return ordered[::-1] if descending else ordered


def cold_start(embeddings: Embeddings, n: int) -> list[int]:
    """Ids of the `n` cells that differ most from one another, to annotate first.

    The first is the central cell, each next one the farthest from those before (k-centre,
    Gonzalez 1985). Outliers such as dust and smudges are skipped.
    """
    places = select_cold_start(embeddings.vectors, n)
    chosen: list[int] = embeddings.ids[places].tolist()
    return chosen


def _by_prediction(
    ids: NDArray[np.int64], prediction: Prediction, *, by_class: bool
) -> NDArray[np.intp]:
    rows = _rows(ids, prediction.ids)
    known = rows >= 0
    sureness = np.where(known, prediction.confidence[rows], -1.0)
    winner = np.where(known, prediction.predicted_column[rows], len(prediction.class_ids))
    return np.lexsort((-sureness, winner) if by_class else (-sureness,))


def _by_novelty(ids: NDArray[np.int64], prediction: Prediction | None) -> NDArray[np.intp]:
    if prediction is None or prediction.unknown is None or len(prediction.ids) == 0:
        return np.arange(len(ids))
    rows = _rows(ids, prediction.ids)
    return np.argsort(-np.where(rows >= 0, prediction.unknown[rows], -np.inf), kind="stable")


def _by_uncertainty(
    ids: NDArray[np.int64],
    prediction: Prediction | None,
    embeddings: Embeddings | None,
    *,
    apart: bool,
) -> NDArray[np.intp]:
    doubt = _doubt(ids, prediction)
    ranked = np.argsort(-doubt, kind="stable")
    if not apart or embeddings is None:
        return ranked
    rows = _rows(ids, embeddings.ids)
    pool = ranked[rows[ranked] >= 0][: COLD_START_POOL if prediction is None else DIVERSITY_POOL]
    if len(pool) == 0:
        return ranked
    first = pool[
        select_diverse(
            random_projection(embeddings.vectors[rows[pool]]), doubt[pool], DIVERSE_COUNT
        )
    ]
    return np.concatenate([first, ranked[~np.isin(ranked, first)]])


def _by_design(
    ids: NDArray[np.int64],
    prediction: Prediction | None,
    embeddings: Embeddings | None,
    annotated: NDArray[np.int64],
    *,
    rare: bool,
) -> NDArray[np.intp]:
    """The most informative cells first, then by uncertainty; if asked for, of rare kinds first.

    The worth of a cell is its uncertainty times the need of its likely classes: those with few
    clicks need more, because every class counts equally in the result.
    """
    doubt = _doubt(ids, prediction)
    if rare:
        asked = _rare(ids, prediction, embeddings)
        doubt = np.where(asked, doubt + LEAST_WORTH, 0.0).astype(np.float32)
    ranked = np.argsort(-doubt, kind="stable")
    if embeddings is None or not len(embeddings) or not doubt.any():
        return ranked
    worth = np.zeros(len(embeddings))
    rows = _rows(ids, embeddings.ids)
    worth[rows[rows >= 0]] = (doubt * _need(ids, prediction, annotated))[rows >= 0]
    taken = _rows(annotated, embeddings.ids)
    gone = np.flatnonzero(~np.isin(embeddings.ids, ids))
    closed = np.unique(np.concatenate([taken[taken >= 0], gone]))
    chosen = transductive_design(embeddings.vectors, worth, closed, ACTIVE_COUNT)
    first = _rows(embeddings.ids[chosen], ids)
    return np.concatenate([first, ranked[~np.isin(ranked, first)]])


LEAST_WORTH = 0.05  # of a cell of a rare kind that the classifier does not doubt


def _rare(
    ids: NDArray[np.int64], prediction: Prediction | None, embeddings: Embeddings | None
) -> NDArray[np.bool_]:
    """``(n,)`` whether each cell is of something rare, for the detector or the classifier."""
    found = np.zeros(len(ids), dtype=np.bool_)
    kinds = None if embeddings is None else embeddings.kinds
    if embeddings is not None and kinds is not None and len(embeddings):
        rows = _rows(ids, embeddings.ids)
        found |= (rows >= 0) & rare_cells(None, kinds)[rows]
    if prediction is not None and len(prediction.ids):
        rows = _rows(ids, prediction.ids)
        found |= (rows >= 0) & rare_cells(prediction, None)[rows]
    return found


def _need(
    ids: NDArray[np.int64], prediction: Prediction | None, annotated: NDArray[np.int64]
) -> NDArray[np.float64]:
    """``(n,)`` reciprocal of the number of clicks of each cell's likely classes."""
    if prediction is None or not len(prediction.ids):
        return np.ones(len(ids))
    rows, mine = _rows(ids, prediction.ids), _rows(annotated, prediction.ids)
    clicks = np.bincount(
        prediction.predicted_column[mine[mine >= 0]], minlength=len(prediction.class_ids)
    )
    need = prediction.probabilities @ (1.0 / (1.0 + clicks))
    return np.asarray(np.where(rows >= 0, need[rows], 0.0))


def _doubt(ids: NDArray[np.int64], prediction: Prediction | None) -> NDArray[np.float32]:
    """``(n,)`` 1 minus the margin between the two best classes; 1 before any prediction."""
    if prediction is None or not len(prediction.ids) or len(prediction.class_ids) < 2:
        return np.ones(len(ids), dtype=np.float32)
    rows = _rows(ids, prediction.ids)
    doubt = np.where(rows >= 0, 1.0 - _margin(prediction.probabilities)[rows], 0.0)
    return np.asarray(doubt, dtype=np.float32)


def _margin(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(n,)`` probability of the best class minus that of the second."""
    best = np.partition(probabilities, -2, axis=1)[:, -2:]
    return np.asarray(best[:, 1] - best[:, 0], dtype=np.float32)


def _rows(ids: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.intp]:
    """Index of each id among the known ones, -1 if missing."""
    if len(known) == 0:
        return np.full(len(ids), -1, dtype=np.intp)
    by_id = np.argsort(known)
    places = by_id[np.minimum(np.searchsorted(known, ids, sorter=by_id), len(known) - 1)]
    return np.where(known[places] == ids, places, -1)
