"""Re-detection that keeps the annotated cells."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.cell_ops import relabel_cells, replace_cells
from napari_hemacells.core.errors import CellsError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

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
    """Return the new cells together with the old annotated ones, which keep their ids.

    A new cell mostly on an annotated one is the same cell and is dropped; the others get new ids
    above all old ones, so that no annotation moves to another cell. An annotated cell keeps its
    table row and its pixels in the label image.

    Parameters
    ----------
    ids
        Ids of the cells to keep: annotated, or made by hand.
    refused
        Masks of cells the user deleted: new cells mostly on them are dropped.
    above
        New ids are also above this one.

    Raises
    ------
    CellsError
        If the images differ in size.
    """
    if old.labels.shape != new.labels.shape:
        raise CellsError(
            "The old cells belong to an image of another size: detect without keeping them."
        )
    kept_ids = np.intersect1d(old.ids, np.fromiter(ids, dtype=np.int64, count=len(ids)))
    kept = [old.mask_of(cell) for cell in kept_ids.tolist()]
    # Cells inside an annotated whole picture are not that picture, found again.
    same = kept if new.source == "whole" else [mask for mask in kept if not _is_whole(mask, old)]
    fresh = np.setdiff1d(new.ids, _redetected_ids(new, [*same, *refused]))
    start = int(max(old.ids.max(initial=0), kept_ids.max(initial=0), above)) + 1
    others = relabel_cells(new, dict(zip(fresh.tolist(), count(start))))
    rows = _rows(old, kept_ids)
    added = list(zip(kept_ids.tolist(), rows, kept, strict=True))
    whole = [row for row in added if _is_whole(row[2], old)]
    if not whole:
        return replace_cells(others, (), added)
    below = replace_cells(others, others.ids.tolist(), whole)
    above_it = [(cell, row, others.mask_of(cell)) for cell, row in
                zip(others.ids.tolist(), _rows(others, others.ids), strict=True)]  # fmt: skip
    return replace_cells(below, (), [*above_it, *(row for row in added if row not in whole)])


def _rows(cells: Cells, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
    rows = cells.table[np.isin(cells.ids, ids)].to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _is_whole(mask: CellMask, cells: Cells) -> bool:
    """Whether a cell is the whole picture: the cells in it are others."""
    return mask.box == (0, 0, *cells.labels.shape)


def _redetected_ids(new: Cells, masks: Sequence[CellMask]) -> list[int]:
    """Return the ids of new cells with most of their pixels in these masks."""
    left: dict[int, CellMask] = {}
    for mask in masks:
        for cell in np.unique(new.labels[mask.window][mask.bits]).tolist():
            if cell:
                left[cell] = left.get(cell, new.mask_of(cell)).without(mask)
    return [
        cell for cell, mask in left.items() if mask.area < (1 - SAME_CELL) * new.mask_of(cell).area
    ]
