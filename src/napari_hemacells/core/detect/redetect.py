"""Detecting again without losing a cell that somebody annotated."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.cell_ops import relabel_cells, replace_cells
from napari_hemacells.core.errors import CellsError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from napari_hemacells.core.cell_masks import CellMask
    from napari_hemacells.core.types import Cells

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
    kept = [old.mask_of(cell) for cell in kept_ids.tolist()]
    fresh = np.setdiff1d(new.ids, _redetected_ids(new, [*kept, *refused]))
    start = int(max(old.ids.max(initial=0), kept_ids.max(initial=0), above)) + 1
    others = relabel_cells(new, dict(zip(fresh.tolist(), count(start))))
    rows = old.table[np.isin(old.ids, kept_ids)].to_dict("records")
    added = [
        (cell, {str(name): value for name, value in row.items()}, mask)
        for cell, row, mask in zip(kept_ids.tolist(), rows, kept, strict=True)
    ]
    return replace_cells(others, (), added)


def _redetected_ids(new: Cells, masks: Sequence[CellMask]) -> list[int]:
    """Return the ids of new cells with most of their pixels on these places."""
    left: dict[int, CellMask] = {}
    for mask in masks:
        for cell in np.unique(new.labels[mask.window][mask.bits]).tolist():
            if cell:
                left[cell] = left.get(cell, new.mask_of(cell)).without(mask)
    return [
        cell for cell, mask in left.items() if mask.area < (1 - SAME_CELL) * new.mask_of(cell).area
    ]
