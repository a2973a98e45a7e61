"""What to look at next: the review queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify.design import most_telling
from napari_hemacells.core.classify.spread import cold_start_places, sketched, spread

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from napari_hemacells.core.params import QueueOrder
    from napari_hemacells.core.types import Embeddings, Prediction

SPREAD = 200  # places at the head of the queue that are spread apart
HEAD = 32  # places at the head of the active queue: what is worth most after these clicks
POOL, POOL_AT_FIRST = 2000, 10_000  # cells among which they are given away; before a prediction


def review_queue(
    cell_ids: Iterable[int],
    prediction: Prediction | None,
    embeddings: Embeddings | None,
    order: QueueOrder,
    *,
    annotated: AbstractSet[int],
    descending: bool = False,
) -> list[int]:
    """Cell ids in the order in which to look at them.

    Parameters
    ----------
    cell_ids
        The cells, in the order of the slide.
    prediction, embeddings
        What is known of them, if anything yet; cells that are not among them come last.
    order
        ``uncertain``: the smallest margin between the two best classes first, without annotated
        cells, near-duplicates spread apart; before any prediction the cells that differ most from
        one another. ``active``: what teaches most, standing for many doubtful cells unlike
        everything annotated; without annotated cells. ``sure``: the highest confidence first.
        ``unknown``: the farthest from everything annotated first, without annotated cells.
        ``class``: by predicted class, in each the surest first. ``slide``: as given.
    annotated
        Ids of annotated cells.
    descending
        The other way round.
    """
    ids = np.fromiter((int(cell) for cell in cell_ids), dtype=np.int64)
    if order in {"uncertain", "active", "unknown"}:
        known = ids[np.isin(ids, list(annotated))]
        ids = ids[~np.isin(ids, known)]
        if order == "unknown":
            ranked = _by_novelty(ids, prediction)
        elif order == "active":
            ranked = _by_worth(ids, prediction, embeddings, known)
        else:
            ranked = _by_uncertainty(ids, prediction, embeddings, apart=not descending)
    elif order == "slide" or prediction is None:
        ranked = np.arange(len(ids))
    else:
        ranked = _by_prediction(ids, prediction, by_class=order == "class")
    ordered: list[int] = ids[ranked].tolist()
    return ordered[::-1] if descending else ordered


def cold_start(embeddings: Embeddings, n: int) -> list[int]:
    """Ids of the `n` cells that differ most from one another: what to label before any label.

    The first is the one in the middle of all cells, each next one the farthest from those before
    (k-centre, Gonzalez 1985). Cells that resemble no others at all, such as dust and smudges, are
    passed over.
    """
    places = cold_start_places(embeddings.vectors, n)
    chosen: list[int] = embeddings.ids[places].tolist()
    return chosen


def _by_prediction(
    ids: NDArray[np.int64], prediction: Prediction, *, by_class: bool
) -> NDArray[np.intp]:
    rows = _rows(ids, prediction.ids)
    known = rows >= 0
    sureness = np.where(known, prediction.confidence[rows], -1.0)
    winner = np.where(known, prediction.winner[rows], len(prediction.class_ids))
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
    pool = ranked[rows[ranked] >= 0][: POOL_AT_FIRST if prediction is None else POOL]
    if len(pool) == 0:
        return ranked
    first = pool[spread(sketched(embeddings.vectors[rows[pool]]), doubt[pool], SPREAD)]
    return np.concatenate([first, ranked[~np.isin(ranked, first)]])


def _by_worth(
    ids: NDArray[np.int64],
    prediction: Prediction | None,
    embeddings: Embeddings | None,
    annotated: NDArray[np.int64],
) -> NDArray[np.intp]:
    """The cells whose click tells most, then by doubt.

    To know a cell is worth its doubt times the need of its likely classes: those with few clicks
    need more, since every class counts alike in the end.
    """
    doubt = _doubt(ids, prediction)
    ranked = np.argsort(-doubt, kind="stable")
    if embeddings is None or not len(embeddings):
        return ranked
    worth = np.zeros(len(embeddings))
    rows = _rows(ids, embeddings.ids)
    worth[rows[rows >= 0]] = (doubt * _need(ids, prediction, annotated))[rows >= 0]
    taken = _rows(annotated, embeddings.ids)
    gone = np.flatnonzero(~np.isin(embeddings.ids, ids))
    closed = np.unique(np.concatenate([taken[taken >= 0], gone]))
    told = most_telling(embeddings.vectors, worth, closed, HEAD)
    first = _rows(embeddings.ids[told], ids)
    return np.concatenate([first, ranked[~np.isin(ranked, first)]])


def _need(
    ids: NDArray[np.int64], prediction: Prediction | None, annotated: NDArray[np.int64]
) -> NDArray[np.float64]:
    """``(n,)`` one over the number of clicks that the likely classes of each cell have."""
    if prediction is None or not len(prediction.ids):
        return np.ones(len(ids))
    rows, mine = _rows(ids, prediction.ids), _rows(annotated, prediction.ids)
    clicks = np.bincount(prediction.winner[mine[mine >= 0]], minlength=len(prediction.class_ids))
    need = prediction.probabilities @ (1.0 / (1.0 + clicks))
    return np.asarray(np.where(rows >= 0, need[rows], 0.0))


def _doubt(ids: NDArray[np.int64], prediction: Prediction | None) -> NDArray[np.float32]:
    """``(n,)`` 1 less the margin between the two best classes; 1 before any prediction."""
    if prediction is None or not len(prediction.ids) or len(prediction.class_ids) < 2:
        return np.ones(len(ids), dtype=np.float32)
    rows = _rows(ids, prediction.ids)
    doubt = np.where(rows >= 0, 1.0 - _margin(prediction.probabilities)[rows], 0.0)
    return np.asarray(doubt, dtype=np.float32)


def _margin(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(n,)`` probability of the best class less that of the second."""
    best = np.partition(probabilities, -2, axis=1)[:, -2:]
    return np.asarray(best[:, 1] - best[:, 0], dtype=np.float32)


def _rows(ids: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.intp]:
    """Place of each id among the known ones, -1 where it is not."""
    if len(known) == 0:
        return np.full(len(ids), -1, dtype=np.intp)
    by_id = np.argsort(known)
    places = by_id[np.minimum(np.searchsorted(known, ids, sorter=by_id), len(known) - 1)]
    return np.where(known[places] == ids, places, -1)
