"""Domain shift: how far the image lies from the data that the classifier was fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.classify import DomainShift, Head, Reference
    from napari_hemacells.core.classify.projection import CellProjection
    from napari_hemacells.core.types import Embeddings

SAMPLE_SIZE = 300  # cells of another image that are remembered, to compare with
MIN_REFERENCE_CELLS = (
    30  # of them: held against 15 cells, another laboratory's slide did not stand out
)
MIN_CLICKS = 5  # in this image: from then on the classifier knows it as well


@dataclass(frozen=True, eq=False)
class ShiftRequest:
    """An image, and its reference: a loaded model's head, or annotated cells of other images."""

    embeddings: Embeddings
    head: Head | None
    others: tuple[NDArray[np.float32], ...] = ()


@dataclass(frozen=True, eq=False)
class ShiftMeasurement:
    """The measured domain shift of an image.

    Attributes
    ----------
    embeddings
        Embeddings of the image's cells, as the encoder gave them.
    shift, after
        The shift as it is, and as it would be after re-standardisation.
    reference
        The data that the image is compared with.
    """

    embeddings: Embeddings
    shift: DomainShift
    after: DomainShift
    reference: Reference


def measure_shift(request: ShiftRequest) -> ShiftMeasurement | None:
    """The domain shift; ``None`` where the image or the reference has too few cells."""
    from napari_hemacells.core.classify.domain_shift import measure_shift, restandardise

    known = _reference_of_request(request)
    if known is None:
        return None
    reference, places = known
    shift = measure_shift(request.embeddings, reference, places)
    after = measure_shift(restandardise(request.embeddings, reference), reference, places)
    if shift is None or after is None:
        return None
    return ShiftMeasurement(request.embeddings, shift, after, reference)


def sample_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Evenly spaced rows of ``(n, dim)`` vectors, as a copy."""
    return vectors[:: max(1, -(-len(vectors) // SAMPLE_SIZE))].copy()


def _reference_of_request(request: ShiftRequest) -> tuple[Reference, CellProjection] | None:
    head = request.head
    if head is not None:
        if head.reference is None or head.novelty is None:
            return None
        return head.reference, head.novelty.map
    return _reference_of_images(request.others)


def _reference_of_images(
    images: Sequence[NDArray[np.float32]],
) -> tuple[Reference, CellProjection] | None:
    from napari_hemacells.core.classify.projection import CellProjection, pca_basis
    from napari_hemacells.core.classify.reference import fit_reference

    vectors = np.concatenate(images) if images else np.zeros((0, 1), np.float32)
    if len(vectors) < MIN_REFERENCE_CELLS:
        return None
    centre, basis = pca_basis(vectors)
    points = np.asarray(vectors @ basis - centre @ basis, dtype=np.float32)
    places = CellProjection(centre, basis, points, spacing=1.0)
    return fit_reference(vectors, places), places
