"""Fitting a head on a support set of a few annotated cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify import head_selection, label_propagation
from napari_hemacells.core.classify.calibration import calibrate, softmax
from napari_hemacells.core.classify.detector_view import Annotated, look_with_detector
from napari_hemacells.core.classify.head import Head
from napari_hemacells.core.classify.knn_graph import get_knn_graph
from napari_hemacells.core.classify.novelty import novelty_from_distances, novelty_from_walks
from napari_hemacells.core.classify.ridge import PseudoLabels
from napari_hemacells.core.errors import AnnotationError
from napari_hemacells.core.params import ClassifyParams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.classify.detector_view import DetectorView
    from napari_hemacells.core.classify.head_selection import HeadCandidate, HeadKind
    from napari_hemacells.core.classify.knn_graph import KNNGraph
    from napari_hemacells.core.classify.label_propagation import RandomWalks
    from napari_hemacells.core.classify.novelty import Novelty
    from napari_hemacells.core.types import CellRef

CONTEXT_ROWS = 4.0  # what the unlabelled cells count for in the spread, in annotated cells
CONTEXT_SAMPLE = 500  # unlabelled cells looked at: a click must not wait for thousands
LEAST_SPREAD = 0.3  # of the typical one: a number that hardly varies must not be blown up
MAX_PSEUDO_LABELLED = 400  # unlabelled cells that teach: more cost time and change nothing
MAX_ANNOTATED = 400  # with more annotated cells the others have nothing to add


def fit(
    support: SupportSet,
    class_ids: Sequence[str],
    *,
    context: NDArray[np.float32] | None = None,
    context_kinds: NDArray[np.str_] | None = None,
    names: Mapping[str, str] | None = None,
    params: ClassifyParams | None = None,
) -> Head:
    """Fit a head on annotated cells; deterministic.

    A single class takes every cell, and the head says so. More classes give a class-balanced ridge
    regression on standardised vectors in closed form, unless another head has a better
    leave-one-out accuracy. The confidence is calibrated on the leave-one-out predictions.

    Parameters
    ----------
    support
        The annotated cells.
    class_ids
        The classes in the palette's order; those without annotations are ignored.
    context
        ``(n, dim)`` vectors of all cells of the image. They stabilise the standardisation, serve
        label propagation and define novelty.
    context_kinds
        ``(n,)`` kinds that the detector found them to be. With the kinds of the annotated cells
        they are a prior for the first annotations, and tell which annotation looks unlike the
        others of its class. ``None``: every class is as likely as another.
    names
        Names of the classes by id, where they are not the ids: a class with a kind's name is
        expected among the cells of that kind.
    params
        Which head, and whether unlabelled cells are used (label propagation).

    Raises
    ------
    AnnotationError
        No annotation, or one of a class that is not among `class_ids`.
    """
    params = params or ClassifyParams()
    present = _present(support, class_ids)
    vectors = support.vectors.astype(np.float64)
    column = {class_id: index for index, class_id in enumerate(present)}
    targets = np.array([column[label] for label in support.labels], dtype=np.intp)
    counts = np.bincount(targets, minlength=len(present))
    centre, scale = standardisation(vectors, targets, context)
    pool = get_knn_graph(context)
    asked = head_selection.representative_rows(targets)
    seen = look_with_detector(
        Annotated(support.vectors, support.kinds, support.confirmed),
        targets,
        present,
        names or {},
        context=context,
        kinds=context_kinds,
        pool=pool,
    )
    trust = None if seen is None else seen.trust
    walks = (
        None
        if pool is None
        else label_propagation.RandomWalks(
            pool.reach(support.vectors[asked]),
            targets[asked],
            None if trust is None else trust[asked],
        )
    )
    supposed = None
    if pool is not None and walks is not None and context is not None and params.unlabelled:
        supposed = _propagate_labels(pool, walks, (context, centre, scale), seen)
    chosen = _choose((vectors - centre) / scale, targets, supposed, params, trust)
    slope, calibration = calibrate(chosen, targets)
    head = Head(
        kind=chosen.kind,
        class_ids=present,
        counts=tuple(counts.tolist()),
        centre=centre.astype(np.float32),
        scale=scale.astype(np.float32),
        weights=chosen.weights.astype(np.float32),
        bias=chosen.bias.astype(np.float32),
        slope=slope,
        owners=chosen.owners,
        unlabelled=0 if supposed is None or chosen.kind != "linear" else len(supposed.rows),
        calibration=calibration,
        novelty=_novelty(
            pool,
            walks,
            support.vectors[asked],
            np.bincount(targets[asked], minlength=len(present)),
        ),
        reference=None if pool is None else pool.reference,
    )
    if seen is None or context is None:
        return head
    balanced = softmax(head.scores(context[seen.rows]), slope)
    prior = seen.fitted_prior(balanced, counts)
    return replace(head, detector=prior, unlike_others=seen.unlike)


def standardisation(
    vectors: NDArray[np.float64],
    targets: NDArray[np.intp],
    context: NDArray[np.float32] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``(dim,)`` centre and scale of the annotated cells, each class with the same weight.

    Equal weights keep the centre in place when 90 % of the cells are red.
    """
    share = 1.0 / np.bincount(targets)[targets]
    centre = np.average(vectors, axis=0, weights=share)
    variance = np.average(np.square(vectors - centre), axis=0, weights=share)
    if context is not None and len(context) > 1:
        rows = len(vectors)
        around = context[:: -(-len(context) // CONTEXT_SAMPLE)].var(axis=0, dtype=np.float64)
        variance = (rows * variance + CONTEXT_ROWS * around) / (rows + CONTEXT_ROWS)
    typical = float(variance.mean()) or 1.0
    return centre, np.sqrt(variance + LEAST_SPREAD**2 * typical)


def _standard(
    vectors: NDArray[np.float32], centre: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Standardised vectors in single precision."""
    return np.asarray((vectors - centre.astype(np.float32)) / scale.astype(np.float32))


def _present(support: SupportSet, class_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that have annotations, in the palette's order."""
    if len(support) == 0:
        raise AnnotationError("No cell is annotated yet: click one and give it a class.")
    unknown = sorted(set(support.labels).difference(class_ids))
    if unknown:
        raise AnnotationError(
            f"Annotations of unknown classes: {', '.join(unknown)}. Add them to the palette."
        )
    used = set(support.labels)
    return tuple(class_id for class_id in dict.fromkeys(class_ids) if class_id in used)


def _propagate_labels(
    pool: KNNGraph,
    walks: RandomWalks,
    standard: tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]],
    seen: DetectorView | None,
) -> PseudoLabels | None:
    """Return pseudo-labelled cells; `standard` holds vectors, centre and scale."""
    if len(walks.targets) > MAX_ANNOTATED or walks.targets.max() == 0:
        return None
    context, centre, scale = standard
    taught = np.arange(0, len(pool), -(-len(pool) // MAX_PSEUDO_LABELLED))
    by_class = walks.by_class
    indicators = label_propagation.class_shares(by_class[taught], by_class.sum(axis=0))
    without = label_propagation.leave_one_out_shares(walks, taught)
    if seen is not None:
        affinity = seen.affinity(pool.rows[taught])
        indicators, without = _times(indicators, affinity), _times(without, affinity)
    return PseudoLabels(
        rows=_standard(context[pool.rows[taught]], centre, scale),
        indicators=indicators,
        weights=label_propagation.class_balanced_weights(indicators),
        without=without,
    )


def _times(shares: NDArray[np.float64], affinity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return class probabilities times how well each class fits what the detector saw."""
    product = shares * affinity
    return np.asarray(product / product.sum(axis=-1, keepdims=True))


def _choose(
    rows: NDArray[np.float64],
    targets: NDArray[np.intp],
    supposed: PseudoLabels | None,
    params: ClassifyParams,
    trust: NDArray[np.float64] | None,
) -> HeadCandidate:
    """Return the requested head, or the one with the best leave-one-out accuracy."""
    if targets.max() == 0:
        return head_selection.fit_candidate("one class", rows, targets, None)
    if params.head != "auto":
        return head_selection.fit_candidate(params.head, rows, targets, supposed, trust)
    kinds: tuple[HeadKind, ...] = ("linear", "knn", "prototype")
    if np.bincount(targets).min() < head_selection.MIN_SHOTS_TO_SELECT:
        kinds = kinds[:1]
    made = [head_selection.fit_candidate(kind, rows, targets, supposed, trust) for kind in kinds]
    return head_selection.select_candidate(made, targets)


def _novelty(
    pool: KNNGraph | None,
    walks: RandomWalks | None,
    vectors: NDArray[np.float32],
    counts: NDArray[np.intp],
) -> Novelty:
    if pool is None or walks is None:
        return novelty_from_distances(vectors, counts)
    return novelty_from_walks(pool, walks, vectors, counts)


@dataclass(frozen=True, eq=False)
class SupportSet:
    """The support set: annotated cells of this image, of others, or of a loaded model.

    Attributes
    ----------
    vectors
        ``(m, dim)`` float32 embeddings.
    labels
        ``(m,)`` class ids.
    kinds
        ``(m,)`` what the detector found each cell to be, ``""`` where nobody knows; empty where
        it is known of none.
    confirmed
        ``(m,)`` whether the user has said once more that an annotation is right; empty: of none.
    cells
        ``(m,)`` which cell of which image each is, ``None`` where nobody knows; empty: of none.
    """

    vectors: NDArray[np.float32]
    labels: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    confirmed: tuple[bool, ...] = ()
    cells: tuple[CellRef | None, ...] = ()

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.labels):
            raise AnnotationError(
                f"{len(self.labels)} annotations need as many vectors, but the array has the "
                f"shape {self.vectors.shape}."
            )

    def __len__(self) -> int:
        return len(self.labels)
