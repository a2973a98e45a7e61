"""A fitted classification head: prediction, and storage as plain arrays and JSON (no pickle)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.classify.calibration import (
    Calibration,
    softmax,
    too_few_for_percentages,
)
from napari_hemacells.core.classify.detector_prior import (
    DetectorPrior,
    bounded_confidence,
)
from napari_hemacells.core.classify.head_selection import knn_scores
from napari_hemacells.core.classify.novelty import Novelty
from napari_hemacells.core.classify.projection import CellProjection
from napari_hemacells.core.classify.reference import Reference
from napari_hemacells.core.classify.trained_novelty import TrainedNovelty
from napari_hemacells.core.errors import BundleError, BundleMismatchError
from napari_hemacells.core.types import Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.classify.head_selection import HeadKind
    from napari_hemacells.core.types import Embeddings

_ROWS = 128  # of a hundred kilobytes or so, which stay in the processor's cache
HEAD_NAMES: dict[HeadKind, str] = {
    "one class": "one class only",
    "prototype": "nearest prototype",
    "linear": "linear",
    "knn": "nearest annotated cells",
    "two levels": "kind first, then within it",
}


@dataclass(frozen=True, eq=False)
class Head:
    """From embeddings to class probabilities.

    Attributes
    ----------
    kind
        ``prototype``: cosine to each class mean; ``linear``: ridge regression; ``knn``: mean
        cosine to the nearest annotated cells of each class; ``one class``.
    class_ids
        The k annotated classes in the palette's order: the columns of a prediction.
    counts
        Annotations of each class.
    centre, scale
        ``(dim,)`` standardisation: ``(vectors - centre) / scale``.
    weights, bias
        ``(dim, k)`` and ``(k,)`` on standardised vectors; of ``knn`` ``(dim, m)`` and ``(m,)``.
    slope
        Factor of the scores before the softmax (inverse temperature).
    owners
        ``(m,)`` class of each annotated cell for ``knn``, otherwise empty.
    unlabelled
        Number of unlabelled cells used in the fit.
    calibration
        How the confidence was calibrated.
    novelty
        Detects unknown cells; ``None`` in old models and in those of trained networks.
    trained_novelty
        Detects unknown cells of a trained network; ``None`` in others. It goes first.
    reference
        Statistics of the cells it was fitted on, for domain shift; ``None`` if unknown.
    detector
        What the detector's kinds say of the classes; ``None`` where there were none.
    unlike_others
        Indices of the annotated cells that look unlike the others of their class; they taught
        less. Not stored.
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
    trained_novelty: TrainedNovelty | None = None
    detector: DetectorPrior | None = None
    unlike_others: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Short description for the report."""
        total = sum(self.counts)
        cells = "1 annotated cell" if total == 1 else f"{total} annotated cells"
        return f"{HEAD_NAMES[self.kind]}, {cells}"

    def predict(self, embeddings: Embeddings) -> Prediction:
        """Class probabilities of every cell, and which cells are unknown.

        Raises
        ------
        BundleMismatchError
            If the embeddings have another dimension than the head.
        """
        probabilities = self._probabilities(embeddings)
        too_few = too_few_for_percentages(self.counts)
        if len(embeddings) == 0 or (self.novelty is None and self.trained_novelty is None):
            return Prediction(
                embeddings.ids, self.class_ids, probabilities, self.name, too_few=too_few
            )
        if self.trained_novelty is not None:
            threshold = self.trained_novelty.threshold
            unknown = self.trained_novelty.score(embeddings.vectors, probabilities)
        elif self.novelty is not None:
            threshold = self.novelty.threshold
            unknown = self.novelty.score(embeddings.vectors)
        return Prediction(
            embeddings.ids,
            self.class_ids,
            probabilities,
            self.name,
            unknown,
            unknown > threshold,
            too_few=too_few,
        )

    def _probabilities(self, embeddings: Embeddings) -> NDArray[np.float32]:
        """``(n, k)`` class probabilities, with what the detector saw where it is known."""
        scores = self.scores(embeddings.vectors)
        prior, kinds = self.detector, embeddings.kinds
        if prior is None or kinds is None:
            return softmax(scores, self.slope)
        rows = prior.rows_of(kinds)
        counts = np.array(self.counts)
        looks = prior.evidence(softmax(scores, self.slope), counts, rows)
        probabilities = looks * prior.odds(rows)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        support = prior.support(rows, probabilities.argmax(axis=1))
        return bounded_confidence(probabilities, counts, support)

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(n, k)`` scores of ``(n, dim)`` vectors: cosines, or regressed class indicators.

        Raises
        ------
        BundleMismatchError
            If the vectors have another dimension than the head.
        """
        if vectors.ndim != 2 or vectors.shape[1] != len(self.centre):
            raise BundleMismatchError(
                f"This model was fitted on vectors of {len(self.centre)} numbers, "
                f"these have the shape {vectors.shape}: they come from another encoder."
            )
        products = self._products(vectors)
        if self.kind != "linear":
            products /= self._lengths(vectors)
        if self.kind == "knn":
            products = knn_scores(products, self.owners, len(self.class_ids))
        return np.asarray(products, dtype=np.float32)

    def _lengths(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(n, 1)`` lengths of standardised vectors, some rows at a time: no copy of them all."""
        parts = (vectors[first : first + _ROWS] for first in range(0, len(vectors), _ROWS))
        lengths = [_norms((part - self.centre) / self.scale) for part in parts]
        return np.concatenate(lengths) if lengths else np.zeros((0, 1), np.float32)

    def _products(self, vectors: NDArray[np.float32]) -> NDArray[np.floating]:
        """``(n, k)`` products of standardised vectors and weights, without a copy of all cells."""
        folded = self.weights / self.scale[:, np.newaxis]
        offset = self.bias - self.centre @ folded
        if folded.shape[1] > 16:
            return np.asarray(vectors @ folded + offset)
        # Some rows at a time, which stay in the processor's cache: of 50,000 cells that takes
        # half the time of a column at a time, or of one product.
        products = np.empty((len(vectors), folded.shape[1]), np.result_type(vectors, folded))
        for first in range(0, len(vectors), _ROWS):
            part = slice(first, first + _ROWS)
            np.matmul(vectors[part], folded, out=products[part])
        return products + offset

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the arrays, and the rest as plain JSON."""
        return head_to_tensors(self)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Head:
        """Return the head stored in these arrays and this JSON.

        Raises
        ------
        BundleError
            If something is missing or inconsistent.
        """
        return head_from_tensors(tensors, meta)


def _norms(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(n, 1)`` norms, never 0."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.asarray(np.maximum(lengths, 1e-12)[:, np.newaxis], dtype=np.float32)


MAX_SLOPE = 1e4  # of a softmax: beyond, every confidence is 0 or 1
ARRAYS = ("centre", "scale", "weights", "bias")
REFERENCE = ("nearness", "spread", "n")
TRAINED_ARRAYS = ("trained.centre", "trained.basis", "trained.means")
NOVELTY_ARRAYS = ("map.centre", "map.basis", "map.points", "novelty.values")


def head_to_tensors(head: Head) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the arrays of a head, and the rest as plain JSON."""
    meta: dict[str, Any] = {
        "kind": head.kind,
        "name": head.name,
        "class_ids": list(head.class_ids),
        "counts": list(head.counts),
        "slope": head.slope,
        "unlabelled": head.unlabelled,
        "calibration": asdict(head.calibration),
    }
    tensors: dict[str, NDArray[Any]] = {name: getattr(head, name) for name in ARRAYS}
    if len(head.owners):
        tensors["owners"] = head.owners
    if head.novelty is not None:
        known, threshold = head.novelty.map, head.novelty.threshold
        parts = (known.centre, known.basis, known.points, head.novelty.values)
        tensors.update(zip(NOVELTY_ARRAYS, parts, strict=True))
        meta["map"] = {
            "spacing": known.spacing,
            "threshold": threshold if np.isfinite(threshold) else None,
        }
    if head.trained_novelty is not None:
        trained = head.trained_novelty
        arrays = (trained.centre, trained.basis, trained.means)
        tensors.update(zip(TRAINED_ARRAYS, arrays, strict=True))
        meta["trained"] = {
            "usual": list(trained.usual),
            "spread": list(trained.spread),
            "threshold": trained.threshold if np.isfinite(trained.threshold) else None,
            "first": trained.first,
        }
    if head.detector is not None:
        prior = head.detector
        tensors["detector.log_odds"] = prior.log_odds
        meta["detector"] = {
            "kinds": list(prior.kinds),
            "homes": list(prior.homes),
            "frequency": list(prior.frequency),
            "against": [list(row) for row in prior.against],
        }
    if head.reference is not None:
        tensors["reference.mean"] = head.reference.mean
        tensors["reference.std"] = head.reference.std
        meta["reference"] = {key: getattr(head.reference, key) for key in REFERENCE}
    return tensors, meta


def head_from_tensors(tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Head:
    """Return the head stored in these arrays and this JSON; older models have fewer fields.

    Raises
    ------
    BundleError
        If something is missing or inconsistent.
    """
    try:
        head = _read_head(tensors, meta)
        fits = head.kind in HEAD_NAMES and _has_matching_shapes(head)
        wrong = _wrong_number(head) if fits else ""
    except Exception as error:  # values of any other kind
        raise BundleError(f"The model's head is incomplete or damaged ({error!r}).") from error
    if not fits:
        raise BundleError("The model's head is damaged: its arrays do not fit its classes.")
    if wrong:
        raise BundleError(f"The model's head is damaged: {wrong}. Save the model anew.")
    return head


def _wrong_number(head: Head) -> str:
    """Return which number of a head cannot be, in words; empty where all can."""
    arrays = {name: getattr(head, name) for name in ARRAYS}
    conditions = {
        "“scale” holds numbers that are not above 0": not (head.scale > 0).all(),
        f"its slope is {head.slope:g}": not 0 < head.slope <= MAX_SLOPE,
        "it counts fewer than no cells": min((*head.counts, head.unlabelled)) < 0,
    }
    if head.novelty is not None:
        known = head.novelty.map
        arrays |= zip(
            NOVELTY_ARRAYS,
            (known.centre, known.basis, known.points, head.novelty.values),
            strict=True,
        )
        conditions["its map of known cells has no scale"] = not (
            0 < known.spacing < np.inf and head.novelty.threshold > -np.inf
        )
    if head.trained_novelty is not None:
        trained = head.trained_novelty
        own = (trained.centre, trained.basis, trained.means)
        arrays |= dict(zip(TRAINED_ARRAYS, own, strict=True))
        conditions["what its unknown cells are measured by has no scale"] = not (
            np.isfinite((*trained.usual, *trained.spread)).all()
            and min(trained.spread) > 0
            and trained.threshold > -np.inf
        )
    if head.detector is not None:
        arrays["detector.log_odds"] = head.detector.log_odds
    if head.reference is not None:
        reference = head.reference
        arrays |= {"reference.mean": reference.mean, "reference.std": reference.std}
        conditions["its reference cells have no spread"] = not (
            np.isfinite(reference.nearness) and 0 < reference.spread < np.inf and reference.n >= 0
        )
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            return f"“{name}” holds numbers that are none"
    return next((words for words, wrong in conditions.items() if wrong), "")


def _read_head(tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Head:
    centre, scale, weights, bias = (np.asarray(tensors[name], np.float32) for name in ARRAYS)
    novelty = _novelty(tensors, meta["map"]) if "map" in meta else None
    return Head(
        meta["kind"],
        tuple(str(class_id) for class_id in meta["class_ids"]),
        tuple(int(count) for count in meta["counts"]),
        centre,
        scale,
        weights,
        bias,
        slope=float(meta["slope"]),
        owners=np.asarray(tensors.get("owners", ()), dtype=np.intp),
        unlabelled=int(meta.get("unlabelled", 0)),
        calibration=_calibration(meta.get("calibration", {})),
        novelty=novelty,
        reference=_reference(tensors, meta["reference"]) if "reference" in meta else None,
        trained_novelty=_trained(tensors, meta["trained"]) if "trained" in meta else None,
        detector=_detector(tensors, meta["detector"]) if "detector" in meta else None,
    )


def _calibration(meta: Mapping[str, Any]) -> Calibration:
    """Return the calibration with its curve as tuples, which JSON lacks."""
    curve = tuple((float(sure), float(right), int(n)) for sure, right, n in meta.get("curve", ()))
    return Calibration(**{**meta, "curve": curve})


def _reference(tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Reference:
    mean, std = (np.asarray(tensors[f"reference.{name}"], np.float32) for name in ("mean", "std"))
    return Reference(mean, std, float(meta["nearness"]), float(meta["spread"]), int(meta["n"]))


def _trained(tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> TrainedNovelty:
    centre, basis, means = (np.asarray(tensors[name], np.float32) for name in TRAINED_ARRAYS)
    usual, spread = (_three(meta[name]) for name in ("usual", "spread"))
    threshold = np.inf if meta["threshold"] is None else float(meta["threshold"])
    first = int(meta.get("first", 0))
    return TrainedNovelty(centre, basis, means, usual, spread, threshold, first)


def _detector(tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> DetectorPrior:
    return DetectorPrior(
        tuple(str(kind) for kind in meta["kinds"]),
        tuple(int(home) for home in meta["homes"]),
        tuple(float(share) for share in meta["frequency"]),
        np.asarray(tensors["detector.log_odds"], np.float32),
        tuple(tuple(float(count) for count in row) for row in meta.get("against", ())),
    )


def _three(numbers: Sequence[float]) -> tuple[float, float, float]:
    first, second, third = (float(number) for number in numbers)
    return first, second, third


def _novelty(tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Novelty:
    centre, basis, points, values = (
        np.asarray(tensors[name], np.float32) for name in NOVELTY_ARRAYS
    )
    threshold = np.inf if meta["threshold"] is None else float(meta["threshold"])
    return Novelty(
        CellProjection(centre, basis, points, float(meta["spacing"])), values, threshold
    )


def _has_matching_shapes(head: Head) -> bool:
    """Whether the shapes of the arrays are consistent."""
    dim, k = len(head.centre), len(head.class_ids)
    columns = len(head.owners) if head.kind == "knn" else k
    wanted = [(dim,), (dim, columns), (columns,)]
    shapes = [head.scale.shape, head.weights.shape, head.bias.shape]
    whole = len(head.counts) == k and shapes == wanted
    if len(head.owners) and (head.owners.min() < 0 or head.owners.max() >= k):
        return False
    if head.reference is not None and head.reference.mean.shape != head.centre.shape:
        return False
    if head.trained_novelty is not None:
        trained = head.trained_novelty
        own = dim - trained.first
        shapes = [trained.centre.shape, trained.basis.shape, trained.means.shape]
        if not 0 <= trained.first < dim or shapes != [(own,), (own, own), (k, own)]:
            return False
    if head.detector is not None and not head.detector.fits(k):
        return False
    if head.novelty is None or not whole:
        return whole
    known = head.novelty.map
    sketched = known.basis.shape[1] if known.basis.ndim == 2 else -1
    places = (len(head.novelty.values), sketched)
    return (
        known.centre.shape == (dim,) and len(known.basis) == dim and known.points.shape == places
    )
