"""How far the cells of an image are from those that a head was fitted beside.

Another stain, lamp or scanner moves all cells at once; another mixture of the same kinds of cells
does not count. So each cell is held against the reference cells nearest to it: in an image like
the reference they are as near as the reference's own cells are to one another.
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

SAMPLE = 800  # cells of an image that are looked at
# With the ImageNet encoder other smears of a laboratory score up to 0.6, other mixtures of the
# same kinds below 0, kinds of cells never seen 1.2, other laboratories 1.9 and more.
SHIFT_THRESHOLD = 1.0
SHIFT_Z_SCORE = 2.33  # standard errors: one alike image in a hundred is called shifted by chance
LEAST_CELLS = 10


@dataclass(frozen=True)
class DomainShift:
    """How far an image is from the reference.

    Attributes
    ----------
    score
        How much farther its cells are from the reference's than these from one another, in their
        standard deviation: about 0 for another image of the same slide.
    level
        Up to this an image counts as alike; it rises where there are few cells.
    is_large
        Whether the score is above the level: look at the result with care.
    """

    score: float
    level: float
    is_large: bool


def head_shift(embeddings: Embeddings, head: Head) -> DomainShift | None:
    """Return how far an image's cells are from those that the head was fitted beside.

    ``None`` where the head knows no reference, or the image has too few cells to say.
    """
    if head.reference is None or head.novelty is None:
        return None
    return measure_shift(embeddings, head.reference, head.novelty.map)


def measure_shift(
    embeddings: Embeddings, reference: Reference, known: CellProjection
) -> DomainShift | None:
    """Return how far an image's cells are from a reference and its map.

    ``None`` where the image has too few cells to say.
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
    """Return the embeddings moved and stretched, number by number, onto the reference's.

    Takes a stain's or scanner's common effect away. It takes the mixture of cells for the same
    in both: an image with quite other cells must not be treated so.
    """
    vectors = embeddings.vectors
    if len(vectors) < LEAST_CELLS:
        return embeddings
    stretch = reference.std / np.maximum(vectors.std(axis=0), 1e-6 + 0.1 * reference.std)
    moved = (vectors - vectors.mean(axis=0)) * stretch + reference.mean
    return replace(embeddings, vectors=moved.astype(np.float32))
