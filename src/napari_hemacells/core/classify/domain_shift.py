"""Domain shift: how far the cells of an image are from the cells that a head was fitted on.

Another stain, lamp or scanner moves all cells at once; another mixture of the same kinds does not
count. So each cell is compared with its nearest reference cells: in a similar image they are as
near as the reference cells are to one another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify.projection import squared_distances
from napari_hemacells.core.classify.reference import (
    Reference,
    leading_directions,
    log_nearest_distance,
)

if TYPE_CHECKING:
    from napari_hemacells.core.classify.head import Head
    from napari_hemacells.core.classify.projection import CellProjection
    from napari_hemacells.core.types import Embeddings

SAMPLE = 800  # largest number of cells compared
# With the ImageNet encoder other smears of a laboratory score up to 0.6, other mixtures of the
# same kinds below 0, kinds of cells never seen 1.2, other laboratories 1.9 and more.
SHIFT_THRESHOLD = 1.0
SHIFT_Z_SCORE = 2.33  # standard errors: one similar image in a hundred is called shifted
LEAST_CELLS = 10


@dataclass(frozen=True)
class DomainShift:
    """Distance of an image from the reference.

    Attributes
    ----------
    score
        How much farther its cells are from the reference cells than these are from one another,
        in standard deviations: about 0 for another image of the same slide.
    level
        Threshold of the score; higher for images with few cells.
    is_large
        Whether the score is above the threshold: check the result with care.
    """

    score: float
    level: float
    is_large: bool


def head_shift(embeddings: Embeddings, head: Head) -> DomainShift | None:
    """Return the domain shift of an image against a head's reference.

    ``None`` if the head has no reference, or the image too few cells.
    """
    if head.reference is None or head.novelty is None:
        return None
    return measure_shift(embeddings, head.reference, head.novelty.map)


def measure_shift(
    embeddings: Embeddings, reference: Reference, known: CellProjection
) -> DomainShift | None:
    """Return the domain shift of an image against a reference and its projection.

    ``None`` if the image has too few cells.
    """
    if len(embeddings) < LEAST_CELLS:
        return None
    step = -(-len(embeddings) // SAMPLE)
    vectors = embeddings.vectors[::step]
    directions = leading_directions(known.points).shape[1]
    places = known.places(vectors)[:, :directions]
    log_distances = log_nearest_distance(
        squared_distances(places, leading_directions(known.points))
    )
    score = float(log_distances.mean() - reference.nearness) / reference.spread
    level = SHIFT_THRESHOLD + SHIFT_Z_SCORE / float(np.sqrt(len(vectors)))
    return DomainShift(score, level, score > level)


def restandardise(embeddings: Embeddings, reference: Reference) -> Embeddings:
    """Return the embeddings with each dimension's mean and spread matched to the reference.

    This removes the common effect of a stain or scanner. It assumes the same mixture of cells in
    both: do not use it for an image with other kinds of cells.
    """
    vectors = embeddings.vectors
    if len(vectors) < LEAST_CELLS:
        return embeddings
    stretch = reference.std / np.maximum(vectors.std(axis=0), 1e-6 + 0.1 * reference.std)
    moved = (vectors - vectors.mean(axis=0)) * stretch + reference.mean
    return replace(embeddings, vectors=moved.astype(np.float32))
