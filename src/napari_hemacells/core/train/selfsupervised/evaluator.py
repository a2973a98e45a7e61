"""Whether an adapted encoder serves the user's own clicks at least as well as before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify import head_selection
from napari_hemacells.core.classify.fit import standardisation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.encode.protocol import Encoder
    from napari_hemacells.core.train.selfsupervised.dataset import AdaptTrainingSet

BACKGROUND_CROPS = (
    500  # crops without a click that steady the standardisation, as they do in the dock
)
BATCH = 64


def evaluable_clicks(labels: Sequence[str]) -> NDArray[np.intp]:
    """Return the places of the clicks of classes with two or more; none of fewer than two classes.

    A class's only cell cannot be recognised without itself.
    """
    names, owners, counts = np.unique(labels, return_inverse=True, return_counts=True)
    kept = np.flatnonzero(counts[owners] > 1) if len(names) else np.zeros(0, np.intp)
    return kept if np.count_nonzero(counts > 1) > 1 else kept[:0]


def leave_one_out_accuracy(
    vectors: NDArray[np.float32],
    labels: Sequence[str],
    around: NDArray[np.float32] | None = None,
) -> float:
    """Return the balanced part of cells that the linear head recognises without themselves.

    Parameters
    ----------
    vectors, labels
        ``(m, dim)`` and ``(m,)``; two classes or more, two cells of each or more.
    around
        ``(n, dim)`` vectors of cells without a click.
    """
    _, targets = np.unique(labels, return_inverse=True)
    rows = vectors.astype(np.float64)
    centre, scale = standardisation(rows, targets, around)
    head = head_selection.fit_candidate("linear", (rows - centre) / scale, targets, None)
    right = head.left_out.argmax(axis=1) == targets
    return float(np.mean([right[targets == target].mean() for target in np.unique(targets)]))


def accuracy_on_clicks(encoder: Encoder, material: AdaptTrainingSet) -> float | None:
    """Return the leave-one-out accuracy on the clicks; None where there are too few."""
    kept = evaluable_clicks(material.clicks.labels)
    if not len(kept):
        return None
    around = material.crops[:: -(-len(material.crops) // BACKGROUND_CROPS)]
    vectors = _encode(encoder, material.clicks.crops[kept])
    labels = [material.clicks.labels[index] for index in kept]
    return leave_one_out_accuracy(vectors, labels, _encode(encoder, around))


def _encode(encoder: Encoder, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    starts = range(0, len(crops), BATCH)
    return np.concatenate([encoder.encode(crops[start : start + BATCH]) for start in starts])
