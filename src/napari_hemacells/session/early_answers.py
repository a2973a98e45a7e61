"""Answers before every cell is embedded: each cell is classified by the best vector that it has.

Two heads learn from the same annotations: one from the vectors that the detector made in passing,
one from those of the encoder that are there already. A cell with an encoder's vector has the
second one's answer, all others the first one's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from napari_hemacells.session.live_classifier import (
    ClassifyRequest,
    gather_support,
    run_classification,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_hemacells.core.types import CellRef, Cells, Embeddings, Prediction
    from napari_hemacells.session.live_classifier import ClassifyResult, LiveClassifier

_Number = TypeVar("_Number", np.float32, np.bool_)

STEADY = 0.15  # in probability, by which a class must be ahead to replace the one shown
STEADY_AFTER_CLICK = 0.03  # ... by another annotation
_RARE = 0.02  # share of the cells: kinds that are rarer are looked at early
_UNSURE = 400  # cells that are looked at next because they are uncertain, at most


def early_request(
    live: LiveClassifier,
    labels: Mapping[CellRef, str],
    class_ids: tuple[str, ...],
    parents: Mapping[str, str],
) -> ClassifyRequest | None:
    """What to compute before all cells are embedded; ``None`` while nothing can be said."""
    growing = live.growing
    if growing is None:
        return None
    here = {ref.cell for ref in labels if ref.image_key == growing.image_key}
    fine, taught = growing.look(), growing.of(here)
    quick = None if live.model is not None else _quick(live, labels, class_ids, parents)
    if fine is None or taught is None:
        return quick
    head = None if live.model is None else live.model.head
    if head is not None and len(head.centre) != fine.vectors.shape[1]:
        return None  # the model looks at sizes and colours too, which are measured last
    support = None
    if head is None:
        others = {
            key: there for key, there in live.others.items() if live.has_support_from(key, fine)
        }
        support = gather_support(labels, {**others, taught.image_key: taught}, live.confirmed)
        known = set() if support is None else set(support.labels)
        missing = set() if quick is None or quick.support is None else set(quick.support.labels)
        if support is None or missing - known:
            return quick  # a class would be left out: wait for its first cell
    return ClassifyRequest(
        live.generation, fine, support, class_ids, head, live.params, parents, quick
    )


def _quick(
    live: LiveClassifier,
    labels: Mapping[CellRef, str],
    class_ids: tuple[str, ...],
    parents: Mapping[str, str],
) -> ClassifyRequest | None:
    """The same question in the space of the detector's vectors."""
    first = None if live.growing is None else live.growing.first
    if first is None or not len(first):
        return None
    support = gather_support(labels, {first.image_key: first}, live.confirmed)
    if support is None:
        return None
    return ClassifyRequest(live.generation, first, support, class_ids, None, live.params, parents)


def answer_request(request: ClassifyRequest) -> ClassifyResult:
    """Answer a request by each cell's best vector; it may run in any thread."""
    quick = request.quick
    answer = run_classification(replace(request, quick=None))
    if quick is None:
        return answer
    early = run_classification(quick)
    return replace(answer, prediction=overlaid(early.prediction, answer.prediction))


def overlaid(quick: Prediction, fine: Prediction) -> Prediction:
    """Return the second prediction, and that of the first where the second has none.

    The classes are those of the second; one that the first did not know has no chance there.
    """
    alone = quick.of(~np.isin(quick.ids, fine.ids))
    ids = np.concatenate([alone.ids, fine.ids])
    order = np.argsort(ids, kind="stable")
    chances = _in_columns(alone, fine.class_ids)
    return replace(
        fine,
        ids=ids[order],
        probabilities=np.concatenate([chances, fine.probabilities])[order],
        unknown=_joined(alone.unknown, fine.unknown, order),
        is_unknown=_joined(alone.is_unknown, fine.is_unknown, order),
    )


def _in_columns(prediction: Prediction, class_ids: tuple[str, ...]) -> NDArray[np.float32]:
    chances = np.zeros((len(prediction.ids), len(class_ids)), np.float32)
    for column, class_id in enumerate(prediction.class_ids):
        if class_id in class_ids:
            chances[:, class_ids.index(class_id)] = prediction.probabilities[:, column]
    return chances


def _joined(
    early: NDArray[_Number] | None, late: NDArray[_Number] | None, order: NDArray[np.intp]
) -> NDArray[_Number] | None:
    return None if early is None or late is None else np.concatenate([early, late])[order]


def steady(before: Prediction, now: Prediction, margin: float = STEADY) -> Prediction:
    """Return the new prediction; where classes hardly differ, cells keep what they had.

    A cell changes its class when its better vector, or a further annotation, says so clearly, not
    because two classes are as likely as each other.

    Parameters
    ----------
    margin
        By how much a class must be ahead, in probability.
    """
    if before.class_ids != now.class_ids or not len(before.ids):
        return now
    places = np.searchsorted(before.ids, now.ids).clip(0, len(before.ids) - 1)
    there = before.ids[places] == now.ids
    old, new = before.predicted_column[places], now.predicted_column
    rows = np.arange(len(now.ids))
    ahead = now.probabilities[rows, new] - now.probabilities[rows, old]
    kept = there & (old != new) & (ahead < margin)
    if not kept.any():
        return now
    chances = now.probabilities.copy()
    chances[kept] = before.probabilities[places[kept]]
    return replace(now, probabilities=chances)


def embedding_order(
    cells: Cells,
    annotated: Mapping[int, str],
    in_sight: NDArray[np.int64],
    shown: Prediction | None,
) -> list[int]:
    """Return which cells to embed next: annotated, in sight, of a rare kind, uncertain."""
    wanted = dict.fromkeys(annotated)
    wanted |= dict.fromkeys(in_sight.tolist())
    kinds, inverse = np.unique(cells.table["class"].to_numpy(str), return_inverse=True)
    counts = np.bincount(inverse, minlength=len(kinds))
    rare = counts[inverse] < _RARE * len(cells)
    wanted |= dict.fromkeys(cells.ids[rare].tolist())
    if shown is not None and len(shown.class_ids) > 1:
        wanted |= dict.fromkeys(shown.ids[np.argsort(shown.confidence)[:_UNSURE]].tolist())
    return list(wanted)


def warm_up(embeddings: Embeddings) -> None:
    """Load what a fit needs, and make what is made once for these cells, before the first click.

    The answer to two made-up annotations is thrown away.
    """
    from napari_hemacells.core import classify

    if len(embeddings) < 2:
        return
    support = classify.SupportSet(embeddings.vectors[[0, -1]], ("one", "other"))
    classify.fit(support, ("one", "other"), context=embeddings.vectors).predict(embeddings)
