"""Which cells look like some others, over the cells of one image or of many.

An index is made once from the embeddings; each question after that is one product of a matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.types import CellRef

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.classify.verification import Likeness
    from napari_hemacells.core.types import Embeddings

_ROWS = 4096  # turned into unit vectors at a time: no second copy of all cells
STATISTICS_SAMPLE = 5000  # cells that tell the spread of each number


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

    @cached_property
    def rows(self) -> dict[CellRef, int]:
        """From a cell to its row."""
        keys = self.images
        pairs = zip(self.owners.tolist(), self.ids.tolist(), strict=True)
        return {CellRef(keys[owner], cell): row for row, (owner, cell) in enumerate(pairs)}

    def order(self, rows: Sequence[int]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """``(n,)`` all rows, the most alike first, and their ``(n,)`` cosines in that order.

        Parameters
        ----------
        rows
            The cells to be like; of several kinds, the nearest one counts.
        """
        likeness = (self.points @ self.points[list(rows)].T).max(axis=1)
        order = np.argsort(-likeness, kind="stable")
        # The cells themselves first: an equal picture elsewhere has the same cosine.
        first = np.asarray(list(dict.fromkeys(rows)), dtype=np.intp)
        order = np.concatenate([first, order[~np.isin(order, first)]])
        return order, likeness[order]

    def refs(self, rows: NDArray[np.intp]) -> list[CellRef]:
        """Return the cells of these rows."""
        keys = self.images
        pairs = zip(self.owners[rows].tolist(), self.ids[rows].tolist(), strict=True)
        return [CellRef(keys[owner], cell) for owner, cell in pairs]


def make_index(parts: Sequence[Embeddings], likeness: Likeness | None = None) -> LikenessIndex:
    """Return the index of images whose cells were embedded alike.

    Every number of a vector counts alike: each is standardised over all cells. Where a projection
    was learned on annotated cells, the cosine is the mean of that of the standardised vectors and
    that of the projected ones: on Jiangxi and PBC, five kinds annotated, more of the first twenty
    were of the same kind than by either alone, for annotated kinds and for others.

    Parameters
    ----------
    parts
        Embeddings of each image, all of one encoder and crop.
    likeness
        Learned on annotated cells; one without a projection is not used.
    """
    dim = parts[0].vectors.shape[1] if parts else 0
    learned = likeness if likeness is not None and likeness.projection is not None else None
    width = dim
    if learned is not None and learned.projection is not None:
        width += learned.projection.shape[1]
    scale = _statistics([part.vectors for part in parts])
    points = np.empty((sum(len(part) for part in parts), width), dtype=np.float32)
    start = 0
    for part in parts:
        for first in range(0, len(part), _ROWS):
            rows = part.vectors[first : first + _ROWS]
            end = start + len(rows)
            points[start:end, :dim] = _standardised(rows, scale)
            if learned is not None:
                points[start:end, dim:] = learned.transform(rows)
                points[start:end] *= np.float32(0.5**0.5)
            start = end
    return LikenessIndex(
        tuple(part.image_key for part in parts),
        np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        np.concatenate([part.ids for part in parts]) if parts else np.zeros(0, np.int64),
        points,
    )


_Scale = tuple["NDArray[np.float32]", "NDArray[np.float32]"]


def _statistics(parts: Sequence[NDArray[np.float32]]) -> _Scale | None:
    """Return mean and spread of each number, over a regular sample of all cells."""
    total = sum(map(len, parts))
    if total == 0:
        return None
    step = -(-total // STATISTICS_SAMPLE)
    sample = np.concatenate([part[::step] for part in parts])
    spread = sample.std(axis=0)
    return sample.mean(axis=0), np.where(spread > 0, spread, 1).astype(np.float32)


def _standardised(rows: NDArray[np.float32], scale: _Scale | None) -> NDArray[np.float32]:
    if scale is not None:
        rows = (rows - scale[0]) / scale[1]
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1), dtype=np.float32)


NEAREST = 3  # annotated cells of a class that a cell is held against


def likeness_to_classes(
    likeness: Likeness,
    vectors: NDArray[np.float32],
    known: NDArray[np.float32],
    labels: Sequence[str],
    class_ids: Sequence[str],
) -> NDArray[np.float32]:
    """``(n, k)`` how probably each cell is of the same kind as the nearest cells of each class.

    Parameters
    ----------
    vectors
        ``(n, dim)`` of the cells that are asked.
    known, labels
        ``(m, dim)`` and class ids of the annotated cells.
    class_ids
        The ``k`` columns; a class without annotated cells has 0.
    """
    result = np.zeros((len(vectors), len(class_ids)), dtype=np.float32)
    if not len(vectors) or not len(known):
        return result
    distances = likeness.distances(vectors, known)
    owners = np.asarray(labels)
    for column, class_id in enumerate(class_ids):
        own = distances[:, owners == class_id]
        if own.shape[1]:
            count = min(NEAREST, own.shape[1])
            nearest = np.partition(own, count - 1, axis=1)[:, :count]
            result[:, column] = likeness.p_same(nearest).mean(axis=1)
    return result
