"""What to look at next: the review queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from napari_hemacells.core.params import QueueOrder
    from napari_hemacells.core.types import Embeddings, Prediction

SPREAD = 200  # places at the head of the queue that are spread apart
POOL, POOL_AT_FIRST = 2000, 10_000  # cells among which they are given away; before a prediction
SKETCH = 32  # dimensions in which cells are compared there


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
        one another. ``sure``: the highest confidence first. ``class``: by predicted class, in
        each the surest first. ``slide``: as given.
    annotated
        Ids of annotated cells.
    descending
        The other way round.
    """
    ids = np.fromiter((int(cell) for cell in cell_ids), dtype=np.int64)
    if order == "uncertain":
        ids = ids[~np.isin(ids, list(annotated))]
        ranked = _by_uncertainty(ids, prediction, embeddings, spread=not descending)
    elif order == "slide" or prediction is None:
        ranked = np.arange(len(ids))
    else:
        ranked = _by_prediction(ids, prediction, by_class=order == "class")
    ordered: list[int] = ids[ranked].tolist()
    return ordered[::-1] if descending else ordered


def _by_prediction(
    ids: NDArray[np.int64], prediction: Prediction, *, by_class: bool
) -> NDArray[np.intp]:
    rows = _rows(ids, prediction.ids)
    known = rows >= 0
    sureness = np.where(known, prediction.confidence[rows], -1.0)
    winner = np.where(known, prediction.winner[rows], len(prediction.class_ids))
    return np.lexsort((-sureness, winner) if by_class else (-sureness,))


def _by_uncertainty(
    ids: NDArray[np.int64],
    prediction: Prediction | None,
    embeddings: Embeddings | None,
    *,
    spread: bool,
) -> NDArray[np.intp]:
    doubt = np.ones(len(ids), dtype=np.float32)
    if prediction is not None and len(prediction.ids) and len(prediction.class_ids) > 1:
        rows = _rows(ids, prediction.ids)
        doubt = np.where(rows >= 0, 1.0 - _margin(prediction.probabilities)[rows], 0.0)
    ranked = np.argsort(-doubt, kind="stable")
    if not spread or embeddings is None:
        return ranked
    rows = _rows(ids, embeddings.ids)
    pool = ranked[rows[ranked] >= 0][: POOL_AT_FIRST if prediction is None else POOL]
    if len(pool) == 0:
        return ranked
    first = pool[_spread(_sketch(embeddings.vectors[rows[pool]]), doubt[pool], SPREAD)]
    return np.concatenate([first, ranked[~np.isin(ranked, first)]])


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


def _sketch(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Few random projections of the vectors, which keep distances (Johnson and Lindenstrauss)."""
    projection = np.random.default_rng(0).standard_normal((vectors.shape[1], SKETCH))
    spread = vectors.std(axis=0) + np.float32(1e-6)
    sketch = (vectors - vectors.mean(axis=0)) @ (
        projection.astype(np.float32) / spread[:, np.newaxis]
    )
    return np.asarray(sketch, dtype=np.float32)


def _spread(
    points: NDArray[np.float32], worth: NDArray[np.floating], count: int
) -> NDArray[np.intp]:
    """Places of up to `count` points, each next one worth much and far from those before.

    Greedy: worth times the distance to the nearest chosen point; the first is the one of most
    worth, among equals the one farthest from the mean.
    """
    lengths = np.einsum("ij,ij->i", points, points)
    chosen: list[int] = []
    weight = np.asarray(worth, dtype=np.float64) + 1e-9
    merit = weight * (1.0 + 1e-6 * np.sqrt(lengths))
    nearest = np.full(len(points), np.inf)
    for _ in range(min(count, len(points))):
        best = int(np.argmax(merit))
        chosen.append(best)
        squared = lengths + lengths[best] - 2 * (points @ points[best])
        np.minimum(nearest, np.sqrt(np.maximum(squared, 0)), out=nearest)
        merit = weight * nearest
        merit[chosen] = -1.0
    return np.array(chosen, dtype=np.intp)
