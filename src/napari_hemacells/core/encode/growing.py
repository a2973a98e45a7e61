"""Embeddings of an image's cells while they are being made, shared by two threads.

One thread adds vectors; another takes what is there, and says which cells it wants next.
"""

from __future__ import annotations

from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_hemacells.core.types import Embeddings

RENEWED_AT = 1.3  # times as many vectors as at the last look make another look worth while
FIRST_LOOK = 64  # vectors: with fewer, statistics of an image mean little


class GrowingEmbeddings:
    """The vectors that are there so far.

    Attributes
    ----------
    first
        Vectors that the detector made in passing, of the cells that have one; ``None`` where no
        cell has.
    """

    def __init__(self) -> None:
        self.first: Embeddings | None = None
        self._all: Embeddings | None = None
        self._known: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._looked: Embeddings | None = None
        self._wanted: tuple[int, ...] = ()
        self._lock = Lock()

    def begin(self, embeddings: Embeddings, known: NDArray[np.bool_]) -> None:
        """Share the arrays that a thread fills: vectors of all cells, and which are known."""
        with self._lock:
            self._all, self._known = embeddings, known

    def add(self, rows: NDArray[np.intp], vectors: NDArray[np.float32]) -> None:
        """Set the vectors of some cells."""
        if self._all is None:
            raise ValueError("begin with the arrays of all cells")
        with self._lock:
            self._all.vectors[rows] = vectors
            self._known[rows] = True

    @property
    def image_key(self) -> str:
        """The image's key; empty before anything is known."""
        known = self._all or self.first
        return "" if known is None else known.image_key

    @property
    def done(self) -> int:
        """How many cells have their vector."""
        return int(self._known.sum())

    def want(self, cells: Iterable[int]) -> None:
        """Say which cells should be embedded next, the most important first."""
        self._wanted = tuple(cells)

    def of(self, cells: Iterable[int]) -> Embeddings | None:
        """Return the embeddings of those of these cells that have one; ``None`` before any."""
        with self._lock:
            whole = self._all
            if whole is None:
                return None
            rows = whole.rows
            here = [rows[cell] for cell in cells if cell in rows and self._known[rows[cell]]]
            return whole.of(np.array(sorted(here), np.intp))

    def look(self) -> Embeddings | None:
        """Return a copy of what is there; the same one until much more is there.

        ``None`` before there is anything to speak of.
        """
        with self._lock:
            whole, known = self._all, self.done
            if whole is None or known < min(FIRST_LOOK, len(self._known)):
                return None
            if self._looked is None or known >= RENEWED_AT * len(self._looked):
                self._looked = whole.of(np.flatnonzero(self._known))
            return self._looked

    @property
    def has_news(self) -> bool:
        """Whether :meth:`look` would return more than before."""
        known = self.done
        before = FIRST_LOOK if self._looked is None else RENEWED_AT * len(self._looked)
        return self._all is not None and known >= before

    def batches(self, pending: NDArray[np.intp], size: int) -> Iterator[NDArray[np.intp]]:
        """Yield rows of cells in batches: wanted ones first, the others in the order given.

        What is wanted is asked for before each batch. Few wanted cells are a batch of their own,
        so that nobody waits for others.
        """
        waiting = dict.fromkeys(pending.tolist())
        while waiting:
            batch = [row for row in self._wanted_rows() if row in waiting][:size]
            batch = batch or list(islice(waiting, size))
            for row in batch:
                del waiting[row]
            yield np.array(sorted(batch), np.intp)

    def _wanted_rows(self) -> Iterator[int]:
        rows = {} if self._all is None else self._all.rows
        return (rows[cell] for cell in self._wanted if cell in rows)
