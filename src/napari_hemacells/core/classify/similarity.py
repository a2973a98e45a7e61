"""Which cells look like some others: nearest in the embedding, every number counting alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def most_similar(vectors: NDArray[np.float32], rows: Sequence[int]) -> NDArray[np.intp]:
    """``(n,)`` all rows, ordered by their cosine to the nearest of these rows, the highest first.

    Each dimension is standardised over all cells first.

    Parameters
    ----------
    vectors
        ``(n, dim)`` embeddings.
    rows
        The cells to be like; several may be of several kinds.
    """
    spread = vectors.std(axis=0)
    moved = (vectors - vectors.mean(axis=0)) / np.where(spread > 0, spread, 1)
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    moved = moved / np.where(length > 0, length, 1)
    likeness = (moved @ moved[list(rows)].T).max(axis=1)
    return np.argsort(-likeness, kind="stable")
