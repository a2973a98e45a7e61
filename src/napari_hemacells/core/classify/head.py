"""A fitted head: plain arrays and JSON, nothing to unpickle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.classify.calibrate import Calibration, softmax
from napari_hemacells.core.classify.candidates import by_neighbours
from napari_hemacells.core.errors import BundleMismatchError
from napari_hemacells.core.types import Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_hemacells.core.classify.candidates import HeadKind
    from napari_hemacells.core.classify.novelty import Novelty
    from napari_hemacells.core.classify.shift import Reference
    from napari_hemacells.core.types import Embeddings

NAMES: dict[HeadKind, str] = {
    "one class": "one class only",
    "prototype": "nearest prototype",
    "linear": "linear",
    "knn": "nearest annotated cells",
}


@dataclass(frozen=True, eq=False)
class Head:
    """From embeddings to class probabilities.

    Attributes
    ----------
    kind
        ``prototype``: cosine to each class's mean; ``linear``: ridge regression; ``knn``: mean
        cosine to the nearest annotated cells of each class; ``one class``.
    class_ids
        The k classes that had annotations, in the palette's order: the columns of a prediction.
    counts
        Annotations of each class.
    centre, scale
        ``(dim,)`` standardisation: ``(vectors - centre) / scale``.
    weights, bias
        ``(dim, k)`` and ``(k,)`` on standardised vectors; of ``knn`` ``(dim, m)`` and ``(m,)``.
    slope
        What scores are multiplied by before the softmax.
    owners
        ``(m,)`` class of each annotated cell, of ``knn``; otherwise empty.
    unlabelled
        How many cells without annotation taught as well.
    calibration
        What the confidence stands on.
    novelty
        What tells unknown cells; ``None`` in models saved before there was such a thing.
    reference
        What the cells looked like that it was fitted beside; ``None`` where none were known.
    """

    kind: HeadKind
    class_ids: tuple[str, ...]
    counts: tuple[int, ...]
    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    slope: float
    owners: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    unlabelled: int = 0
    calibration: Calibration = field(default_factory=Calibration)
    novelty: Novelty | None = None
    reference: Reference | None = None

    @property
    def name(self) -> str:
        """In words, for the report."""
        total = sum(self.counts)
        cells = "1 annotated cell" if total == 1 else f"{total} annotated cells"
        return f"{NAMES[self.kind]}, {cells}"

    def predict(self, embeddings: Embeddings) -> Prediction:
        """Class probabilities of every cell, and which cells are unknown.

        Raises
        ------
        BundleMismatchError
            The embeddings have another dimension than those of the fit.
        """
        probabilities = softmax(self.scores(embeddings.vectors), self.slope)
        if self.novelty is None or len(embeddings) == 0:
            return Prediction(embeddings.ids, self.class_ids, probabilities, self.name)
        unknown = self.novelty.score(embeddings.vectors)
        return Prediction(
            embeddings.ids,
            self.class_ids,
            probabilities,
            self.name,
            unknown,
            unknown > self.novelty.threshold,
        )

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(n, k)`` scores of ``(n, dim)`` vectors: cosines, or regressed class indicators.

        Raises
        ------
        BundleMismatchError
            Vectors of another dimension than those of the fit.
        """
        if vectors.ndim != 2 or vectors.shape[1] != len(self.centre):
            raise BundleMismatchError(
                f"This model was fitted on vectors of {len(self.centre)} numbers, "
                f"these have the shape {vectors.shape}: they come from another encoder."
            )
        products = self._products(vectors)
        if self.kind != "linear":
            products /= _norms((vectors - self.centre) / self.scale)
        if self.kind == "knn":
            products = by_neighbours(products, self.owners, len(self.class_ids))
        return np.asarray(products, dtype=np.float32)

    def _products(self, vectors: NDArray[np.float32]) -> NDArray[np.floating]:
        """``(n, k)`` products of standardised vectors and weights, without a copy of all cells."""
        folded = self.weights / self.scale[:, np.newaxis]
        offset = self.bias - self.centre @ folded
        if folded.shape[1] > 16:
            return np.asarray(vectors @ folded + offset)
        # A column at a time: with few classes that is twice as fast as one product of matrices.
        return np.stack([vectors @ column for column in folded.T.copy()], axis=1) + offset

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the arrays, and the rest as plain JSON."""
        from napari_hemacells.core.classify.stored import to_tensors

        return to_tensors(self)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Head:
        """Return the head that gave these arrays and this JSON.

        Raises
        ------
        BundleError
            Something is missing or does not fit together.
        """
        from napari_hemacells.core.classify.stored import from_tensors

        return from_tensors(tensors, meta)


def _norms(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(n, 1)`` lengths, never 0."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.asarray(np.maximum(lengths, 1e-12)[:, np.newaxis], dtype=np.float32)
