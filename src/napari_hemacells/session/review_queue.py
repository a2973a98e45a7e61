"""The review queue as request and answer: all inputs of a ranking are frozen in the request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_hemacells.core.types import UNKNOWN
from napari_hemacells.layers import known_classes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_hemacells.core.params import QueueOrder
    from napari_hemacells.core.types import Cells, Embeddings, Prediction

_EMBEDDING_ORDERS = {
    "active",
    "rare",
    "uncertain",
}  # orders for which cells are held against one another


@dataclass(frozen=True, eq=False)
class QueueRequest:
    """The input of a ranking."""

    order: QueueOrder
    descending: bool
    cells: Cells
    prediction: Prediction | None
    embeddings: Embeddings | None
    annotated: Mapping[int, str]
    class_ids: tuple[str, ...]

    @property
    def slow(self) -> bool:
        """Whether the ranking takes longer than a user should wait after a key."""
        known = self.embeddings is not None and len(self.embeddings) > 0
        return known and self.order in _EMBEDDING_ORDERS

    @property
    def without_embeddings(self) -> QueueRequest:
        """The same ranking at once, by each cell's own uncertainty alone."""
        return replace(self, embeddings=None)

    def has_inputs_of(self, other: QueueRequest) -> bool:
        """Whether two requests have the same ranking."""
        return (
            self.cells is other.cells
            and self.prediction is other.prediction
            and self.embeddings is other.embeddings
            and self.annotated == other.annotated
        )


def rank_cells(request: QueueRequest) -> list[int]:
    """Return the ranked cell ids; this touches no shared state, so it may run in any thread."""
    from napari_hemacells.core.classify import review_queue

    cells, descending = request.cells, request.descending
    queue = review_queue(
        cells.ids,
        request.prediction,
        request.embeddings,
        request.order,
        annotated=set(request.annotated),
        descending=descending,
    )
    if request.order == "class":  # the user's word counts, of which the classifier knows nothing
        known = known_classes(cells, request.annotated, request.prediction)
        rank_of_class = {
            class_id: rank for rank, class_id in enumerate((*request.class_ids, UNKNOWN))
        }
        ranks = [rank_of_class.get(class_id or "", len(rank_of_class)) for class_id in known]
        queue.sort(key=lambda cell: ranks[cells.position[cell]], reverse=descending)
    return queue
