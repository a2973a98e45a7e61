"""Whether this image looks like those that the classifier knows: asked once, in a thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.classify import Head, Reference, Shift
    from napari_hemacells.core.classify.projection import CellMap
    from napari_hemacells.core.types import Embeddings

SEEN = 300  # cells of another image that are remembered, to compare with
LEAST_KNOWN = 30  # of them: held against 15 cells, another laboratory's slide did not stand out
ENOUGH_CLICKS = 5  # in this image: from then on the classifier knows it as well


@dataclass(frozen=True, eq=False)
class ShiftRequest:
    """An image, and what the classifier knows: a loaded model's head, or cells of other images."""

    embeddings: Embeddings
    head: Head | None
    others: tuple[NDArray[np.float32], ...] = ()


@dataclass(frozen=True, eq=False)
class Measured:
    """How far an image is from what the classifier knows.

    Attributes
    ----------
    embeddings
        The image's cells, as the encoder gave them.
    shift, after
        As it is, and as it would be re-standardised.
    reference
        What it is held against.
    """

    embeddings: Embeddings
    shift: Shift
    after: Shift
    reference: Reference


def measure(request: ShiftRequest) -> Measured | None:
    """How far the image is; ``None`` where too few cells are known or in it to say."""
    from napari_hemacells.core.classify.domain_shift import restandardise, shift_from

    known = _known(request)
    if known is None:
        return None
    reference, places = known
    found = shift_from(request.embeddings, reference, places)
    after = shift_from(restandardise(request.embeddings, reference), reference, places)
    if found is None or after is None:
        return None
    return Measured(request.embeddings, found, after, reference)


def sample(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Some rows of ``(n, dim)`` vectors, evenly spread, as an array of their own."""
    return vectors[:: max(1, -(-len(vectors) // SEEN))].copy()


def _known(request: ShiftRequest) -> tuple[Reference, CellMap] | None:
    head = request.head
    if head is not None:
        if head.reference is None or head.novelty is None:
            return None
        return head.reference, head.novelty.map
    return _of_images(request.others)


def _of_images(images: Sequence[NDArray[np.float32]]) -> tuple[Reference, CellMap] | None:
    from napari_hemacells.core.classify.projection import CellMap, sketch
    from napari_hemacells.core.classify.reference import reference_of

    vectors = np.concatenate(images) if images else np.zeros((0, 1), np.float32)
    if len(vectors) < LEAST_KNOWN:
        return None
    centre, basis = sketch(vectors)
    points = np.asarray(vectors @ basis - centre @ basis, dtype=np.float32)
    places = CellMap(centre, basis, points, spacing=1.0)
    return reference_of(vectors, places), places
