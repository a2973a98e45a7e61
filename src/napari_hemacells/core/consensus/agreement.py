"""How far annotators agree: on where cells are, and on what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.consensus.points import AnnotatorPoints

DRAWS = 1000


class WithInterval(NamedTuple):
    """A figure, and between which values the middle 95 % of draws of the images lie.

    ``None`` where there is nothing to compare.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


def krippendorff_alpha(
    coincidences: NDArray[np.float64], values: NDArray[np.float64] | None = None
) -> float:
    """Return Krippendorff's alpha.

    Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability". Own code, as the
    package of that name may not be distributed under this program's licence.

    Parameters
    ----------
    coincidences
        ``(c, c)`` symmetric: how often two values stand for one cell, each cell divided by its
        number of values less one (:func:`coincidence_tables`).
    values
        ``(c,)`` numbers for the interval scale; without them, the classes are names.

    Returns
    -------
    alpha
        1 for full agreement, 0 for chance; NaN with nothing to compare, or with one value only.
    """
    totals = coincidences.sum(axis=1)
    n = float(totals.sum())
    if n <= 1:
        return float("nan")
    if values is None:
        apart = 1.0 - np.eye(len(totals))
    else:
        apart = (values[:, None] - values[None, :]) ** 2
    expected = float((np.outer(totals, totals) * apart).sum()) / (n - 1)
    if expected <= 0:
        return float("nan")
    return 1.0 - float((coincidences * apart).sum()) / expected


def coincidence_tables(
    cell: NDArray[np.int64],
    response: NDArray[np.int64],
    image_of_cell: NDArray[np.int64],
    images: int,
    classes: int,
) -> NDArray[np.float64]:
    """Return ``(images, classes, classes)``: which values stand for one cell, of each image.

    Parameters
    ----------
    cell, response
        ``(n,)`` of each point that was named.
    """
    m = len(image_of_cell)
    votes = np.zeros((m, classes))
    np.add.at(votes, (cell, response), 1.0)
    total = votes.sum(axis=1)
    pairable = np.flatnonzero(total > 1)
    votes, weight = votes[pairable], 1 / (total[pairable] - 1)
    tables = np.zeros((images, classes, classes))
    for first in range(classes):
        for second in range(classes):
            both = votes[:, first] * (votes[:, second] - (first == second)) * weight
            tables[:, first, second] = np.bincount(image_of_cell[pairable], both, minlength=images)
    return tables


def alpha_with_interval(
    tables: NDArray[np.float64], values: NDArray[np.float64] | None = None, seed: int = 0
) -> WithInterval:
    """Return Krippendorff's alpha with the middle 95 % of draws of the images."""
    value = krippendorff_alpha(tables.sum(axis=0), values)
    used = np.flatnonzero(tables.sum(axis=(1, 2)) > 0)
    if not np.isfinite(value):
        return WithInterval(None)
    if len(used) < 2:
        return WithInterval(value)
    random = np.random.default_rng(seed)
    draws = random.multinomial(len(used), np.full(len(used), 1 / len(used)), size=DRAWS)
    drawn = np.einsum("di,ijk->djk", draws, tables[used])
    alphas = [krippendorff_alpha(table, values) for table in drawn]
    return WithInterval(value, *_middle(np.array(alphas)))


def detection_agreement(
    points: AnnotatorPoints,
    cell: NDArray[np.int64],
    image_of_cell: NDArray[np.int64],
    seed: int = 0,
) -> WithInterval:
    """Return how often a cell that one annotator marked is marked by another who looked.

    The F1 of each annotator against each other, pooled: twice the cells that both have marked,
    of all points of both, over all pairs on all images.
    """
    marked = np.zeros((len(image_of_cell), len(points.annotators)), bool)
    marked[cell, points.annotator] = True
    votes = marked.sum(axis=1)
    others = np.maximum(points.lookers.sum(axis=1) - 1, 0)
    both = np.bincount(image_of_cell, votes * (votes - 1), minlength=len(points.images))
    counts = np.bincount(points.image, minlength=len(points.images)) * others
    if not counts.sum():
        return WithInterval(None)
    value = float(both.sum() / counts.sum())
    used = np.flatnonzero(counts > 0)
    if len(used) < 2:
        return WithInterval(value)
    random = np.random.default_rng(seed)
    draws = random.multinomial(len(used), np.full(len(used), 1 / len(used)), size=DRAWS)
    return WithInterval(
        value, *_middle((draws @ both[used]) / np.maximum(draws @ counts[used], 1))
    )


def _middle(values: NDArray[np.float64]) -> tuple[float | None, float | None]:
    values = values[np.isfinite(values)]
    if not len(values):
        return None, None
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)
