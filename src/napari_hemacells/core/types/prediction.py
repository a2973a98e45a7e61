"""Predictions of a classifier."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOT_A_CELL, NOT_A_CELL_ID = "Not a cell", "not_a_cell"
"""Name and id of the standing class of what is no cell: in no count and no differential."""
UNKNOWN = "(unknown)"
"""In place of a class: a cell too far from everything annotated to be called any of them."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Class probabilities of cells.

    Attributes
    ----------
    ids
        ``(n,)`` int64 cell ids.
    class_ids
        The ``k`` classes, in the order of the columns.
    probabilities
        ``(n, k)`` float32, rows sum to 1.
    head
        Which head gave them, in words for the report.
    unknown
        ``(n,)`` float32 how far each cell is from everything annotated, higher is farther;
        ``None`` where the head cannot tell.
    is_unknown
        ``(n,)`` whether that is too far for any class; ``None`` where the head cannot tell.
    nearest
        Whether the user wants such cells in their nearest class all the same.
    kinds
        ``(k,)`` the kind that each class is within, where there are two levels; otherwise empty.
    restandardised
        Whether the image's embeddings were moved onto those that the head was fitted beside.
    too_few
        Whether a class has so few annotations that the confidence means nothing as a percentage.
    """

    ids: NDArray[np.int64]
    class_ids: tuple[str, ...]
    probabilities: NDArray[np.float32]
    head: str = ""
    unknown: NDArray[np.float32] | None = None
    is_unknown: NDArray[np.bool_] | None = None
    nearest: bool = False
    restandardised: bool = False
    kinds: tuple[str, ...] = ()
    too_few: bool = False

    @cached_property
    def verdict(self) -> NDArray[np.bool_]:
        """``(n,)`` True for cells called unknown."""
        if self.is_unknown is None or self.nearest:
            return np.zeros(len(self.ids), dtype=np.bool_)
        return self.is_unknown

    def of(self, rows: NDArray[np.bool_]) -> Prediction:
        """Return the predictions of the cells where ``(n,)`` is True."""
        return replace(
            self,
            ids=self.ids[rows],
            probabilities=self.probabilities[rows],
            unknown=None if self.unknown is None else self.unknown[rows],
            is_unknown=None if self.is_unknown is None else self.is_unknown[rows],
        )

    @cached_property
    def predicted_column(self) -> NDArray[np.int64]:
        """``(n,)`` column of the most probable class; of two levels, in the most probable kind."""
        if not self.kinds or not len(self.ids):
            return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)
        kinds, column = np.unique(self.kinds, return_inverse=True)
        sums = np.stack(
            [self.probabilities[:, column == place].sum(axis=1) for place in range(len(kinds))],
            axis=1,
        )
        inside = column[np.newaxis] == sums.argmax(axis=1)[:, np.newaxis]
        shown = np.where(inside, self.probabilities, -1.0)
        return np.asarray(shown.argmax(axis=1), dtype=np.int64)

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """``(n,)`` probability of the predicted class; NaN where there is one class alone.

        Of a single class the probability is always 1, which says nothing of any cell.
        """
        if len(self.class_ids) == 1:
            return np.full(len(self.ids), np.nan, dtype=np.float32)
        if self.kinds:
            rows = np.arange(len(self.ids))
            return np.asarray(self.probabilities[rows, self.predicted_column], dtype=np.float32)
        return np.asarray(self.probabilities.max(axis=1), dtype=np.float32)
