"""Live few-shot classification as request and answer, so that a late answer can be dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.params import ClassifyParams

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_hemacells.core.classify import Head, Support
    from napari_hemacells.core.types import CellRef, Embeddings, Prediction


@dataclass(frozen=True, eq=False)
class ClassifyRequest:
    """Everything one refit needs, frozen when it is asked for.

    ``generation`` grows with every change of cells, annotations or classes; an answer to an older
    one is dropped by :meth:`Session.accept`. With a ``support`` the head is fitted anew; without
    one, the given ``head`` (of a loaded model) is used as it is.
    """

    generation: int
    embeddings: Embeddings
    support: Support | None
    class_ids: tuple[str, ...]
    head: Head | None = None
    params: ClassifyParams = field(default_factory=ClassifyParams)


@dataclass(frozen=True, eq=False)
class ClassifyAnswer:
    """The prediction of every cell of the image, and the head that made it."""

    generation: int
    prediction: Prediction
    head: Head


def answer(request: ClassifyRequest) -> ClassifyAnswer:
    """The answer to a request; touches no shared state, so it may run in any thread."""
    from napari_hemacells.core import classify

    head = request.head
    if request.support is not None:
        head = classify.fit(
            request.support,
            request.class_ids,
            context=request.embeddings.vectors,
            params=request.params,
        )
    if head is None:
        raise ValueError("a request needs annotated cells (support) or a fitted head")
    return ClassifyAnswer(request.generation, head.predict(request.embeddings), head)


def gather_support(
    labels: Mapping[CellRef, str], images: Mapping[str, Embeddings], known: Support | None
) -> Support | None:
    """The annotated cells of all images that have embeddings, after those of a loaded model.

    Parameters
    ----------
    labels
        Class id of each annotated cell.
    images
        Embeddings by image key; annotated cells of other images wait until theirs are there.
    known
        The support set of a loaded model, so that clicking goes on where the model stopped.
    """
    from napari_hemacells.core.classify import Support

    vectors: list[np.ndarray] = [] if known is None else [known.vectors]
    classes: list[str] = [] if known is None else list(known.labels)
    for key, embeddings in images.items():
        rows = {int(cell): row for row, cell in enumerate(embeddings.ids)}
        mine = [
            (rows[ref.cell], class_id)
            for ref, class_id in labels.items()
            if ref.image_key == key and ref.cell in rows
        ]
        if mine:
            vectors.append(embeddings.vectors[[row for row, _ in mine]])
            classes.extend(class_id for _, class_id in mine)
    if not classes:
        return None
    return Support(np.concatenate(vectors), tuple(classes))
