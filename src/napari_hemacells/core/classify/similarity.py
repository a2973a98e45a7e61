"""Which cells look like some others, over the cells of one image or of many.

An index is made once from the embeddings; each question after that is one product of a matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.classify.projection import SAMPLE, pca_basis
from napari_hemacells.core.types import CellRef

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.classify.verification import Likeness
    from napari_hemacells.core.types import Embeddings

FIRST = np.float32(1e6)  # above every cosine
_ROWS = 4096  # moved at a time: no second copy of all cells


@dataclass(frozen=True, eq=False)
class LikenessIndex:
    """Cells of one or several images, ready to be ordered by likeness.

    Attributes
    ----------
    images
        Keys of the images.
    owners
        ``(n,)`` which of them each cell is of.
    ids
        ``(n,)`` int64 ids of the cells in their images.
    points
        ``(n, k)`` float32 unit vectors, in which like cells lie close together.
    """

    images: tuple[str, ...]
    owners: NDArray[np.intp]
    ids: NDArray[np.int64]
    points: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    def row_of(self, ref: CellRef) -> int | None:
        """Return the row of a cell; ``None`` where it is not in the index."""
        if ref.image_key not in self.images:
            return None
        owner = self.images.index(ref.image_key)
        rows = np.flatnonzero((self.ids == ref.cell) & (self.owners == owner))
        return int(rows[0]) if len(rows) else None

    def ids_of(self, image_key: str) -> NDArray[np.int64]:
        """Return the ids of the cells of one image; none where it has none here."""
        if image_key not in self.images:
            return np.zeros(0, dtype=np.int64)
        return np.asarray(self.ids[self.owners == self.images.index(image_key)])

    def order(self, rows: Sequence[int]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """``(n,)`` all rows, the most alike first, and their ``(n,)`` cosines in that order.

        Parameters
        ----------
        rows
            The cells to be like; of several kinds, the nearest one counts.
        """
        likeness = (self.points @ self.points[list(rows)].T).max(axis=1)
        # The cells themselves first: an equal picture elsewhere has the same cosine.
        for place, row in enumerate(dict.fromkeys(rows)):
            likeness[row] = FIRST - place
        order = np.argsort(-likeness, kind="stable")
        return order, np.minimum(likeness[order], np.float32(1))

    def refs(self, rows: NDArray[np.intp]) -> list[CellRef]:
        """Return the cells of these rows."""
        keys = self.images
        pairs = zip(self.owners[rows].tolist(), self.ids[rows].tolist(), strict=True)
        return [CellRef(keys[owner], cell) for owner, cell in pairs]


def make_index(parts: Sequence[Embeddings], likeness: Likeness | None = None) -> LikenessIndex:
    """Return the index of images whose cells were embedded alike.

    Cells are compared along the principal directions of all of them, each number of a vector
    standardised first. Of PBC and Jiangxi as many of the twenty nearest cells were of the same
    kind as with whole vectors, and as with a distance learned on annotated cells.

    Parameters
    ----------
    parts
        Embeddings of each image, all of one encoder and crop.
    likeness
        The cells are compared by its distance instead; ``None`` for the directions above.
    """
    total = sum(map(len, parts))
    if total == 0:
        nothing = np.zeros(0, dtype=np.int64)
        return LikenessIndex((), nothing, nothing, np.zeros((0, 0), np.float32))
    transform = _principal_directions(parts, total) if likeness is None else likeness.transform
    width = transform(parts[0].vectors[:1]).shape[1]
    points = np.empty((total, width), dtype=np.float32)
    start = 0
    for part in parts:
        for first in range(0, len(part), _ROWS):
            moved = transform(part.vectors[first : first + _ROWS])
            points[start : start + len(moved)] = moved
            start += len(moved)
    return LikenessIndex(
        tuple(part.image_key for part in parts),
        np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        np.concatenate([part.ids for part in parts]),
        points,
    )


def _principal_directions(
    parts: Sequence[Embeddings], total: int
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return what turns vectors into unit vectors along the principal directions of all."""
    step = -(-total // SAMPLE)
    centre, basis = pca_basis(np.concatenate([part.vectors[::step] for part in parts]))
    offset = centre @ basis

    def transform(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        moved = vectors @ basis - offset
        length = np.linalg.norm(moved, axis=1, keepdims=True)
        return np.asarray(moved / np.where(length > 0, length, 1), dtype=np.float32)

    return transform


NEAREST = 3  # annotated cells of a class that a cell is held against


def class_distances(
    likeness: Likeness,
    vectors: NDArray[np.float32],
    known: NDArray[np.float32],
    labels: Sequence[str],
    class_ids: Sequence[str],
) -> NDArray[np.float32]:
    """``(n, k)`` mean distance of each cell to the three nearest annotated cells of each class.

    Parameters
    ----------
    vectors
        ``(n, dim)`` of the cells that are asked.
    known, labels
        ``(m, dim)`` and class ids of the annotated cells.
    class_ids
        The ``k`` columns; a class without annotated cells is infinitely far.
    """
    result = np.full((len(vectors), len(class_ids)), np.inf, dtype=np.float32)
    if not len(vectors) or not len(known):
        return result
    distances = likeness.distances(vectors, known)
    owners = np.asarray(labels)
    for column, class_id in enumerate(class_ids):
        own = distances[:, owners == class_id]
        if own.shape[1]:
            count = min(NEAREST, own.shape[1])
            result[:, column] = np.partition(own, count - 1, axis=1)[:, :count].mean(axis=1)
    return result
