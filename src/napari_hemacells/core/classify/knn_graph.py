"""The k-nearest-neighbour graph of an image's cells, and random walks on it.

Random walks carry an annotation to similar cells, and on to cells similar to these (Zhou et al.
2003, local and global consistency). The graph is built once per image; a click costs one walk.
"""

from __future__ import annotations

import weakref
from collections import deque
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.classify.projection import CellProjection, pca_basis, squared_distances
from napari_hemacells.core.classify.reference import fit_reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.classify.reference import Reference

LARGEST = 2000  # cells in the graph; of more, every second, third, ... is taken
# Tuned on PBC, Chula and BCCD, balanced and not: 4 to 10 neighbours score alike; 10 let a
# thousand red cells drown twenty platelets. A restart of 0.05 to 0.2 scores alike.
NEIGHBOURS = 6
RESTART, STEPS = 0.05, 40


@dataclass(frozen=True, eq=False)
class KNNGraph:
    """Cells of an image with their nearest neighbours.

    Attributes
    ----------
    map
        Projection of the cells of the graph.
    reference
        Their statistics, for domain shift.
    rows
        ``(n,)`` indices of the image's cells in the graph.
    graph
        ``(n, n)`` sparse, symmetric, normalised: the transition matrix of a walk.
    """

    map: CellProjection
    reference: Reference
    rows: NDArray[np.intp]
    graph: Any
    _walks: dict[int, NDArray[np.float32]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def reach(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """``(m, n)`` how often a walk from each of the cells passes each cell of the graph.

        A cell outside the graph starts at its nearest neighbours there, with less weight the
        farther they are.
        """
        near, weight = self.map.near(vectors)
        self._walk_from(np.unique(near[weight > 0]))
        reached = np.zeros((len(vectors), len(self)), dtype=np.float32)
        for row, column in np.argwhere(weight > 0):
            reached[row] += np.float32(weight[row, column]) * self._walks[int(near[row, column])]
        return reached

    def _walk_from(self, cells: NDArray[np.intp]) -> None:
        """Compute and cache the walks from these cells."""
        new = [int(cell) for cell in cells if int(cell) not in self._walks]
        start = np.zeros((len(self), len(new)), dtype=np.float32)
        start[new, np.arange(len(new))] = RESTART
        passed = start.copy()
        for _ in range(STEPS if new else 0):
            passed = (1.0 - RESTART) * (self.graph @ passed) + start
        self._walks.update(zip(new, passed.T.copy(), strict=True))


def get_knn_graph(vectors: NDArray[np.float32] | None) -> KNNGraph | None:
    """Return the graph of an image's cells, ``None`` if there are too few.

    The most recent graphs are cached: clicks on one image share one.
    """
    if vectors is None or len(vectors) <= 2 * NEIGHBOURS:
        return None
    with _MAKING:  # two threads that ask for one graph make it once
        for known, pool in _LAST:
            if known() is vectors:
                return pool
        pool = build_knn_graph(vectors)
        for gone in [entry for entry in _LAST if entry[0]() is None]:
            _LAST.remove(gone)
        _LAST.appendleft((weakref.ref(vectors), pool))
        return pool


_MAKING = Lock()
_LAST: deque[tuple[weakref.ref[NDArray[np.float32]], KNNGraph]] = deque(maxlen=4)


def build_knn_graph(vectors: NDArray[np.float32]) -> KNNGraph:
    """Return the graph of ``(n, dim)`` vectors, n more than twice the number of neighbours."""
    rows = np.arange(0, len(vectors), -(-len(vectors) // LARGEST))
    centre, basis = pca_basis(vectors[rows])
    points = np.asarray(vectors[rows] @ basis - centre @ basis, dtype=np.float32)
    graph, spacing = _graph(points)
    known = CellProjection(centre, basis, points, spacing)
    return KNNGraph(known, fit_reference(vectors[rows], known), rows, graph)


def _graph(points: NDArray[np.float32]) -> tuple[Any, float]:
    """Return the normalised graph of nearest neighbours, and the median distance to them."""
    from scipy.sparse import csr_matrix, diags

    squared = squared_distances(points, points)
    np.fill_diagonal(squared, np.inf)
    near = np.argpartition(squared, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    distance = np.take_along_axis(squared, near, axis=1).astype(np.float64)
    spacing = float(np.sqrt(np.median(distance))) or 1.0
    weight = np.exp(-distance / spacing**2) + 1e-9
    starts = np.arange(0, near.size + 1, NEIGHBOURS)
    one_way = csr_matrix((weight.ravel(), near.ravel(), starts), shape=squared.shape)
    both = one_way.maximum(one_way.T)
    root = diags(1.0 / np.sqrt(np.asarray(both.sum(axis=1)).ravel()))
    return (root @ both @ root).astype(np.float32).tocsr(), spacing
