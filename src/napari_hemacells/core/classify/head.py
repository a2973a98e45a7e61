"""A fitted head: plain arrays and JSON, nothing to unpickle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from napari_hemacells.core.classify.calibrate import softmax
from napari_hemacells.core.errors import BundleError, BundleMismatchError
from napari_hemacells.core.types import Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_hemacells.core.types import Embeddings

HeadKind: TypeAlias = Literal["one class", "prototype", "linear"]
NAMES: dict[HeadKind, str] = {
    "one class": "one class only",
    "prototype": "nearest prototype",
    "linear": "linear",
}
ARRAYS = ("centre", "scale", "weights", "bias")


@dataclass(frozen=True, eq=False)
class Head:
    """From embeddings to class probabilities.

    Attributes
    ----------
    kind
        ``prototype``: cosine to each class's mean; ``linear``: ridge regression; ``one class``.
    class_ids
        The k classes that had annotations, in the palette's order: the columns of a prediction.
    counts
        Annotations of each class.
    centre, scale
        ``(dim,)`` standardisation: ``(vectors - centre) / scale``.
    weights, bias
        ``(dim, k)`` and ``(k,)`` on standardised vectors.
    slope
        What scores are multiplied by before the softmax.
    """

    kind: HeadKind
    class_ids: tuple[str, ...]
    counts: tuple[int, ...]
    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    slope: float

    @property
    def name(self) -> str:
        """In words, for the report."""
        total = sum(self.counts)
        cells = "1 annotated cell" if total == 1 else f"{total} annotated cells"
        return f"{NAMES[self.kind]}, {cells}"

    def predict(self, embeddings: Embeddings) -> Prediction:
        """Class probabilities of every cell.

        Raises
        ------
        BundleMismatchError
            The embeddings have another dimension than those of the fit.
        """
        probabilities = softmax(self.scores(embeddings.vectors), self.slope)
        return Prediction(embeddings.ids, self.class_ids, probabilities, self.name)

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
        folded = self.weights / self.scale[:, np.newaxis]  # no standardised copy of all cells
        # A column at a time: with few classes that is twice as fast as one product of matrices.
        products = np.stack([vectors @ column for column in folded.T.copy()], axis=1)
        products += self.bias - self.centre @ folded
        if self.kind == "prototype":
            products /= _norms((vectors - self.centre) / self.scale)
        return np.asarray(products, dtype=np.float32)

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the arrays, and the rest as plain JSON."""
        meta = {
            "kind": self.kind,
            "name": self.name,
            "class_ids": list(self.class_ids),
            "counts": list(self.counts),
            "slope": self.slope,
        }
        return {name: getattr(self, name) for name in ARRAYS}, meta

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Head:
        """Return the head that gave these arrays and this JSON.

        Raises
        ------
        BundleError
            Something is missing or does not fit together.
        """
        try:
            arrays = {name: np.asarray(tensors[name], dtype=np.float32) for name in ARRAYS}
            classes = tuple(str(one) for one in meta["class_ids"])
            counts = tuple(int(one) for one in meta["counts"])
            head = cls(meta["kind"], classes, counts, slope=float(meta["slope"]), **arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"The model's head is incomplete or damaged ({error!r}).") from error
        dim, k = len(head.centre), len(classes)
        shapes = [arrays[name].shape for name in ARRAYS] + [(len(counts),)]
        if head.kind not in NAMES or shapes != [(dim,), (dim,), (dim, k), (k,), (k,)]:
            raise BundleError("The model's head is damaged: its arrays do not fit its classes.")
        return head


def _norms(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(n, 1)`` lengths, never 0."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.asarray(np.maximum(lengths, 1e-12)[:, np.newaxis], dtype=np.float32)
