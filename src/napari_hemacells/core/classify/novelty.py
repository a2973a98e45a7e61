"""How far a cell is from everything annotated: what no class should be forced on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify.projection import (
    SAME_CELL_TOLERANCE,
    CellProjection,
    random_basis,
    squared_distances,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.classify.knn_graph import KNNGraph
    from napari_hemacells.core.classify.label_propagation import RandomWalks

LEAST = 1e-12  # what counts as never passed by a walk, and as nothing said
SHARED = 3.0  # clicks: how much the classes' usual reach is drawn towards what all share
QUANTILE = 0.95  # of the annotated cells, each asked without itself, are no unknowns
LEAST_CLICKS, LEAST_SHOTS = 8, 2  # before, nothing is called unknown


@dataclass(frozen=True, eq=False)
class Novelty:
    """A score of every cell on the map, and from where on a cell is unknown.

    Attributes
    ----------
    map
        Where known cells lie.
    values
        ``(n,)`` float32 score of each: how much rarer the walks of the class that passes it most
        pass it than they pass a clicked cell of that class, as a logarithm.
    threshold
        Above it a cell is unknown; infinite while there are too few clicks to say.
    """

    map: CellProjection
    values: NDArray[np.float32]
    threshold: float

    def score(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(n,)`` float32 score of ``(n, dim)`` vectors: about 0 for clicked cells."""
        near, weight = self.map.cached_neighbours(vectors)
        return _interpolate(self.values, near, weight, self.map.typical_gap)


def novelty_from_walks(
    pool: KNNGraph, walks: RandomWalks, vectors: NDArray[np.floating], counts: NDArray[np.intp]
) -> Novelty:
    """Return the novelty of an image's cells, by the walks from the annotated ones.

    A cell is as novel as the walks of its likeliest class miss it, against how the other clicks of
    a class reach a click of it: so a rare class is not novel for being rare.

    Parameters
    ----------
    vectors
        ``(m, dim)`` the annotated cells, in the order of `walks`.
    counts
        ``(k,)`` how many there are of each class.
    """
    by_class = np.log(walks.by_class + LEAST)
    near, weight = pool.map.near(vectors)
    back = np.take_along_axis(walks.without, near, axis=1)
    back = np.log(np.einsum("ij,ij->i", back, weight) + LEAST)
    asked = counts[walks.targets] >= LEAST_SHOTS
    usual = _class_baseline(
        back[asked], walks.targets[asked], np.log(np.exp(by_class).sum(axis=0))
    )
    left_out = usual[walks.targets] - back
    values = (usual - by_class).min(axis=1)
    return Novelty(pool.map, values.astype(np.float32), _threshold(left_out[asked]))


def novelty_from_distances(vectors: NDArray[np.floating], counts: NDArray[np.intp]) -> Novelty:
    """Return the novelty by distance to the annotated cells alone, where no others are known."""
    centre, basis = random_basis(vectors)
    points = np.asarray(vectors @ basis - centre @ basis, dtype=np.float32)
    squared = squared_distances(points, points).astype(np.float64)
    np.fill_diagonal(squared, np.inf)
    closest = squared.min(axis=1)
    few = len(points) < 2
    spacing = 1.0 if few else float(np.sqrt(np.median(closest))) or 1.0
    enough = not few and counts.min() >= LEAST_SHOTS
    known = CellProjection(centre, basis, points, spacing)
    threshold = _threshold(closest / spacing**2 - known.typical_gap) if enough else np.inf
    return Novelty(known, np.zeros(len(points), dtype=np.float32), threshold)


def allowing_held_out(novelty: Novelty, vectors: NDArray[np.float32]) -> Novelty:
    """Return the novelty with a threshold that few cells of the known classes exceed.

    A trained network draws the cells it learned from closer together than it does new ones of
    the same classes: asked without themselves, they would call too many of these unknown.

    Parameters
    ----------
    vectors
        ``(m, dim)`` cells of the known classes that nothing was learned from; fewer than 8 say
        nothing.
    """
    if len(vectors) < LEAST_CLICKS:
        return novelty
    held_out = float(np.quantile(novelty.score(vectors), QUANTILE))
    return replace(novelty, threshold=max(novelty.threshold, held_out))


def _class_baseline(
    back: NDArray[np.float64], targets: NDArray[np.intp], total: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``(k,)`` logarithm of how often walks of a class pass a clicked cell of it.

    Each class's own mean, drawn towards what follows from all of them.
    """
    above = back - total[targets]
    counts = np.bincount(targets, minlength=len(total))
    own = np.bincount(targets, above, minlength=len(total))
    shared = float(above.mean()) if len(above) else 0.0
    return np.asarray(total + (own + SHARED * shared) / (counts + SHARED))


def _threshold(left_out: NDArray[np.float64]) -> float:
    """Return the score that few annotated cells exceed when asked without themselves."""
    if len(left_out) < LEAST_CLICKS:
        return float(np.inf)
    return float(np.quantile(left_out, QUANTILE))


def _interpolate(
    values: NDArray[np.float32], near: NDArray[np.intp], weight: NDArray[np.float64], gap: float
) -> NDArray[np.float32]:
    """``(m,)`` score between known cells; far from all of them it grows with the distance.

    A new cell is never as near to a known one as this is to itself: that much, the `gap`, is
    nothing novel. Without it a quarter of another image's cells were unknown (measured on PBC).
    """
    lowest = values[near].min(axis=1)
    passed = np.exp(lowest[:, np.newaxis] - values[near].astype(np.float64))
    mean_passed = np.einsum("ij,ij->i", passed, weight)
    new = weight[:, 0] <= 1.0 - SAME_CELL_TOLERANCE
    mean_passed[new] = np.minimum(mean_passed[new] * np.exp(gap), 1.0)
    return np.asarray(lowest - np.log(mean_passed + LEAST), dtype=np.float32)
