"""A few annotated cells → a head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify.calibrate import COSINE_SLOPE, linear_slope
from napari_hemacells.core.classify.head import Head, HeadKind
from napari_hemacells.core.classify.ridge import fit_ridge
from napari_hemacells.core.errors import AnnotationError
from napari_hemacells.core.params import ClassifyParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.classify.support import Support

PROTOTYPE_SHOTS = 1  # from two a class on the linear head is better (PBC 0.49 against 0.46)
CONTEXT_ROWS = 4.0  # what the unlabelled cells count for in the spread, in annotated cells
CONTEXT_SAMPLE = 500  # unlabelled cells looked at: a click must not wait for thousands
LEAST_SPREAD = 0.3  # of the typical one: a number that hardly varies must not be blown up


def fit(
    support: Support,
    class_ids: Sequence[str],
    *,
    context: NDArray[np.float32] | None = None,
    params: ClassifyParams | None = None,
) -> Head:
    """Return the head for these annotated cells, the same for the same input.

    One class alone takes every cell and the head says so. One cell a class makes prototypes,
    compared by cosine; more make a class-balanced ridge regression on standardised vectors, in
    closed form. Its confidence is calibrated on its leave-one-out answers.

    Parameters
    ----------
    support
        The annotated cells.
    class_ids
        The known classes in the palette's order; those without annotation take no part.
    context
        ``(n, dim)`` vectors of unlabelled cells of the same image; they steady the
        standardisation while annotations are few.
    params
        Which head; ``auto`` by the number of annotations.

    Raises
    ------
    AnnotationError
        No annotation, or one of a class that is not among `class_ids`.
    """
    present = _present(support, class_ids)
    vectors = support.vectors.astype(np.float64)
    column = {class_id: place for place, class_id in enumerate(present)}
    targets = np.array([column[label] for label in support.labels], dtype=np.intp)
    counts = np.bincount(targets, minlength=len(present))
    centre, scale = standardisation(vectors, targets, context)
    rows = (vectors - centre) / scale
    kind = _choose(counts, params or ClassifyParams())
    if kind == "linear":
        ridge = fit_ridge(rows, targets, len(present))
        weights, bias, slope = ridge.weights, ridge.bias, linear_slope(ridge.left_out, targets)
    else:
        weights, bias, slope = _prototypes(rows, targets), np.zeros(len(present)), COSINE_SLOPE
    return Head(
        kind=kind,
        class_ids=present,
        counts=tuple(counts.tolist()),
        centre=centre.astype(np.float32),
        scale=scale.astype(np.float32),
        weights=weights.astype(np.float32),
        bias=bias.astype(np.float32),
        slope=slope,
    )


def standardisation(
    vectors: NDArray[np.float64],
    targets: NDArray[np.intp],
    context: NDArray[np.float32] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``(dim,)`` centre and scale: of the annotated cells, each class with the same weight.

    Classes and not cells make the centre, so that 90 % of red cells do not move it.
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


def _present(support: Support, class_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that have annotations, in the palette's order."""
    if len(support) == 0:
        raise AnnotationError("No cell is annotated yet: click one and give it a class.")
    unknown = sorted(set(support.labels).difference(class_ids))
    if unknown:
        raise AnnotationError(f"Annotations of unknown classes: {', '.join(unknown)}.")
    used = set(support.labels)
    return tuple(class_id for class_id in dict.fromkeys(class_ids) if class_id in used)


def _choose(counts: NDArray[np.intp], params: ClassifyParams) -> HeadKind:
    if len(counts) == 1:
        return "one class"
    if params.head == "auto":
        return "prototype" if counts.max() <= PROTOTYPE_SHOTS else "linear"
    return params.head


def _prototypes(rows: NDArray[np.float64], targets: NDArray[np.intp]) -> NDArray[np.float64]:
    """``(dim, k)`` mean of each class, of length 1."""
    means = np.stack([rows[targets == one].mean(axis=0) for one in range(targets.max() + 1)])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return np.asarray((means / np.maximum(lengths, 1e-12)).T)
