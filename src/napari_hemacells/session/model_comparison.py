"""Comparison of a fine-tuned model with the classifier in use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_hemacells.core.types import UNKNOWN, CellRef
from napari_hemacells.session.live_classifier import run_classification

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from napari_hemacells.core.train.classifier.model_store import TrainedCell
    from napari_hemacells.core.types import Prediction
    from napari_hemacells.session.live_classifier import ClassifyRequest
    from napari_hemacells.session.session import Session


class ClassChange(NamedTuple):
    """A cell that would change its class: class ids, and the new model's confidence."""

    cell: int
    before: str
    after: str
    confidence: float


@dataclass(frozen=True, eq=False)
class HeldOutRequest:
    """A fair request to the classifier in use, fitted without the held-out cells.

    Attributes
    ----------
    request
        To be answered in a thread; its last cells are the held-out ones.
    cells
        The held-out cells and their class ids.
    """

    request: ClassifyRequest
    cells: Mapping[CellRef, str]


def changes_between(
    before: Prediction | None, after: Prediction, annotated: Collection[int]
) -> tuple[ClassChange, ...]:
    """Return the cells that would change, highest confidence first; annotated ones never do."""
    if before is None:
        return ()
    old, new = _classes(before), _classes(after)
    sure = dict(zip(after.ids.tolist(), after.confidence.tolist(), strict=True))
    changes = [
        ClassChange(cell, old[cell], class_id, float(sure[cell]))
        for cell, class_id in new.items()
        if cell in old and old[cell] != class_id and cell not in annotated
    ]
    return tuple(sorted(changes, key=lambda change: -change.confidence))


def held_out_request(
    session: Session, taught: Mapping[CellRef, TrainedCell]
) -> HeldOutRequest | None:
    """Return a fair comparison for the classifier in use; ``None`` where that is impossible.

    It is fitted anew on the new model's training cells and predicts the new model's held-out
    cells, as far as their embeddings are known and their class is unchanged.
    """
    live, labels = session.live, session.class_of_cell()
    ids = {cell_class.name: cell_class.id for cell_class in session.palette}
    same = {ref: ids[trained_cell.name] for ref, trained_cell in taught.items()
            if labels.get(ref) == ids.get(trained_cell.name)}  # fmt: skip
    request = live.request(
        {ref: class_id for ref, class_id in same.items() if taught[ref].part == "train"},
        session.palette.ids,
        session.palette.parents,
    )
    vectors, cells = [], dict[CellRef, str]()
    for key, known in live.images().items():
        for row, cell in enumerate(known.ids.tolist()):
            ref = CellRef(key, cell)
            if ref in same and taught[ref].part != "train":
                vectors.append(known.vectors[row])
                cells[ref] = same[ref]
    if request is None or not cells:
        return None
    here = request.embeddings
    joined = np.concatenate([here.vectors, np.stack(vectors)])
    asked = replace(here, ids=np.arange(1, len(joined) + 1), vectors=joined)
    return HeldOutRequest(replace(request, embeddings=asked), cells)


def held_out_correct(asked: HeldOutRequest) -> dict[CellRef, bool]:
    """Return, for each held-out cell, whether the classifier in use predicts its class."""
    prediction = run_classification(asked.request).prediction
    winners = prediction.predicted_column[-len(asked.cells) :].tolist()
    return {
        ref: prediction.class_ids[column] == class_id
        for (ref, class_id), column in zip(asked.cells.items(), winners, strict=True)
    }


def _classes(prediction: Prediction) -> dict[int, str]:
    """Return the class id of each cell, ``UNKNOWN`` for those too far from all."""
    ids = prediction.class_ids
    return {
        cell: UNKNOWN if unknown else ids[column]
        for cell, column, unknown in zip(
            prediction.ids.tolist(),
            prediction.predicted_column.tolist(),
            prediction.verdict.tolist(),
            strict=True,
        )
    }
