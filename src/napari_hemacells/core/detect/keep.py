"""Detecting again without losing a cell that somebody annotated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.types import Cells

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from napari_hemacells.core.masks import CellMask

SAME_CELL = 0.5  # of a new cell's pixels on one annotated cell: it is that cell, found again


def keep_annotated(
    old: Cells,
    ids: Collection[int],
    new: Cells,
    *,
    refused: Collection[CellMask] = (),
    above: int = 0,
) -> Cells:
    """Return the new cells with the annotated ones of before among them, under their ids.

    A new cell that lies mostly on an annotated one is that cell found again and is dropped; the
    others get fresh ids above all old ones, so that no annotation can slip to another cell. An
    annotated cell keeps its row of the table and, on the label image, its pixels.

    Parameters
    ----------
    ids
        Of the cells that stay: annotated, or made by hand.
    refused
        Places where the user has said that no cell is: new cells mostly on them are dropped.
    above
        Fresh ids start above this, too.

    Raises
    ------
    CellsError
        The two are of images of different size.
    """
    if old.labels.shape != new.labels.shape:
        raise CellsError("Cells of two images of different size cannot be joined.")
    kept_ids = np.intersect1d(old.ids, np.fromiter(ids, dtype=np.int64, count=len(ids)))
    kept = np.where(np.isin(old.labels, kept_ids), old.labels, 0)
    taken = kept > 0
    for mask in refused:
        taken[mask.window] |= mask.bits
    fresh = new.ids[~np.isin(new.ids, _found_again(new, taken))]
    start = int(max(old.ids.max(initial=0), kept_ids.max(initial=0), above)) + 1
    renamed = np.zeros(int(new.ids.max(initial=0)) + 1, np.int32)
    renamed[fresh] = np.arange(start, start + len(fresh), dtype=np.int32)
    table = new.table[np.isin(new.ids, fresh)].assign(label=renamed[fresh].astype(np.int64))
    rows = old.table[np.isin(old.ids, kept_ids)]
    parts = [part for part in (rows, table) if len(part)]
    joined = pd.concat(parts, ignore_index=True) if parts else new.table
    labels = np.where(kept > 0, kept, renamed[new.labels]).astype(np.int32)
    return Cells(labels, joined, new.diameter, new.source, new.detector)


def _found_again(new: Cells, taken: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the ids of new cells with most of their pixels on these places."""
    length = int(new.ids.max(initial=0)) + 1
    pixels = np.bincount(new.labels.ravel(), minlength=length)
    covered = np.bincount(new.labels[taken], minlength=length)
    again = np.flatnonzero(covered > SAME_CELL * np.maximum(pixels, 1))
    return again[again > 0]
