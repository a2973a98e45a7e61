"""Embeddings on a plane, to be looked at: cells that look alike lie close together."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify.cellmap import sketch

if TYPE_CHECKING:
    from numpy.typing import NDArray

UMAP_NEIGHBOURS = 15
FEWEST = 5  # cells that a plane is worth while for


def pca_plane(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(n, 2)`` places of ``(n, dim)`` vectors on their two leading principal directions.

    Examples
    --------
    >>> pca_plane(np.eye(6, 4, dtype=np.float32)).shape
    (6, 2)
    """
    if len(vectors) < FEWEST:
        return np.zeros((len(vectors), 2), dtype=np.float32)
    centre, basis = sketch(vectors)
    places = (vectors - centre) @ basis[:, :2]
    missing = 2 - places.shape[1]  # all cells alike, but for one direction
    return np.asarray(np.pad(places, ((0, 0), (0, missing))), dtype=np.float32)


def has_umap() -> bool:
    """Whether the extra ``umap`` is installed."""
    return find_spec("umap") is not None


def umap_plane(vectors: NDArray[np.float32], seed: int = 0) -> NDArray[np.float32]:
    """``(n, 2)`` places by UMAP (McInnes et al. 2018), the same for the same seed.

    It keeps neighbourhoods, not distances; takes seconds for thousands of cells.
    """
    if len(vectors) <= FEWEST:
        return pca_plane(vectors)
    from umap import UMAP

    centre, basis = sketch(vectors)
    neighbours = min(UMAP_NEIGHBOURS, len(vectors) - 1)
    found = UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1)
    return np.asarray(found.fit_transform((vectors - centre) @ basis), dtype=np.float32)
