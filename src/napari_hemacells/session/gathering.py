"""The cells that teach: clicked ones of several images, and those of a loaded model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_hemacells.core.classify import Support
    from napari_hemacells.core.types import CellRef, Embeddings


def gather_support(
    labels: Mapping[CellRef, str], images: Mapping[str, Embeddings]
) -> Support | None:
    """The annotated cells of all images that have embeddings; ``None`` where there are none.

    Parameters
    ----------
    labels
        Class id of each annotated cell.
    images
        Embeddings by image key; annotated cells of other images wait until theirs are there.
    """
    from napari_hemacells.core.classify import Support

    vectors: list[np.ndarray] = []
    classes: list[str] = []
    for key, embeddings in images.items():
        rows = {int(cell): row for row, cell in enumerate(embeddings.ids)}
        mine = [
            (rows[ref.cell], class_id)
            for ref, class_id in labels.items()
            if ref.image_key == key and ref.cell in rows
        ]
        vectors.append(embeddings.vectors[[row for row, _ in mine]])
        classes.extend(class_id for _, class_id in mine)
    return Support(np.concatenate(vectors), tuple(classes)) if classes else None


def joined(known: Support, clicked: Support) -> Support:
    """The cells of a loaded model, then the user's own: clicking goes on where it stopped."""
    from napari_hemacells.core.classify import Support

    return Support(
        np.concatenate([known.vectors, clicked.vectors]), (*known.labels, *clicked.labels)
    )
