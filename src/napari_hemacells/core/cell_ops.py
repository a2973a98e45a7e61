"""Masks of cells, and cells with some taken out and others put in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_hemacells.core.cell_masks import CellMask, LazyLabels, PackedMasks, look_up
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.types import Cells, PartCells

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    Added = Sequence[tuple[int, Mapping[str, Any], CellMask]]

__all__ = ["CellMask", "LazyLabels", "PackedMasks", "PartCells", "relabel_cells", "replace_cells"]


def replace_cells(cells: Cells, removed: Collection[int], added: Added) -> Cells:
    """Return the cells without those removed and with those added, which lie on top.

    The rows of the other cells stay as they are, also where an added cell covers pixels of
    theirs. The cells given are not changed.

    Parameters
    ----------
    removed
        Ids; those that are not there are passed over.
    added
        Id, row of the table (its ``label`` may be left out) and mask of each. An id that is
        there must be removed in the same step.

    Raises
    ------
    CellsError
        An id given twice, or a mask that reaches beyond the image.
    """
    gone = np.intersect1d(cells.ids, np.fromiter(removed, np.int64, len(removed)))
    stays = ~np.isin(cells.ids, gone)
    ids = [number for number, _, _ in added]
    if len(set(ids)) < len(ids) or np.isin(ids, cells.ids[stays]).any():
        raise CellsError("Two cells cannot have the same id.")
    for number, _, mask in added:
        if min(mask.box) < 0 or (np.array(mask.box[2:]) > cells.labels.shape).any():
            raise CellsError(f"Cell {number} reaches beyond the image.")
    table = _table(cells.table[stays], added)
    if isinstance(cells.labels, LazyLabels):
        return replace(cells, labels=_lazy(cells.labels, gone, added), table=table)
    return replace(cells, labels=_painted(cells, gone, added), table=table)


def _table(kept: pd.DataFrame, added: Added) -> pd.DataFrame:
    """Return the rows in the order of their labels, with the columns and dtypes of `kept`."""
    if not added:
        return kept.reset_index(drop=True)
    rows = pd.DataFrame([{**row, "label": number} for number, row, _ in added])
    rows = rows.reindex(columns=kept.columns)
    known = [str(name) for name in kept if not rows[str(name)].hasnans]
    typed = rows.astype({name: kept[name].dtype for name in known})
    table = pd.concat([kept, typed], ignore_index=True) if len(kept) else typed
    return table.sort_values("label", ignore_index=True)


def _painted(cells: Cells, gone: NDArray[np.int64], added: Added) -> NDArray[np.int32]:
    labels = np.array(cells.labels)
    for cell in gone.tolist():
        mask = cells.mask_of(cell)
        labels[mask.window][mask.bits] = 0
    for number, _, mask in added:
        labels[mask.window][mask.bits] = number
    return labels


def _lazy(labels: LazyLabels, gone: NDArray[np.int64], added: Added) -> LazyLabels:
    """Return the masks anew; of those that stay only the ones under an added cell are cut."""
    masks = _remove_overlaps([mask for _, _, mask in added], labels.shape)
    cut: dict[int, CellMask] = {}
    for mask in masks:
        for position in _masks_near(labels, mask):
            cut[position] = cut.get(position, labels.masks[position]).without(mask)
    stays = ~np.isin(labels.ids, gone)
    whole = np.flatnonzero(stays & ~np.isin(np.arange(len(stays)), list(cut)))
    under = [position for position in cut if stays[position]]
    packed = [
        labels.masks.pick(whole),
        PackedMasks.of([cut[position] for position in under]),
        PackedMasks.of(masks),
    ]
    numbers = [number for number, _, _ in added]
    ids = np.concatenate([labels.ids[whole], labels.ids[under], np.array(numbers, np.int32)])
    return LazyLabels(labels.shape, ids, PackedMasks.concatenate(packed))


def _remove_overlaps(masks: Sequence[CellMask], shape: tuple[int, int]) -> list[CellMask]:
    """Return the masks less what later ones cover."""
    index = LazyLabels(shape, np.arange(len(masks)), PackedMasks.of(masks))
    cut = list(masks)
    for position, mask in enumerate(masks):
        for later in _masks_near(index, mask):
            if later > position:
                cut[position] = cut[position].without(masks[later])
    return cut


def _masks_near(labels: LazyLabels, mask: CellMask) -> list[int]:
    """Return the places of the masks whose boxes reach into that of another."""
    top, left, bottom, right = mask.box
    return [int(position) for position in labels.masks_in_window((top, bottom), (left, right))]


def relabel_cells(cells: Cells, numbers: Mapping[int, int]) -> Cells:
    """Return only the cells that have a new id, under it.

    Parameters
    ----------
    numbers
        New id by old id; the new ones differ.
    """
    kept = np.isin(cells.ids, list(numbers))
    fresh = np.array([numbers[cell] for cell in cells.ids[kept].tolist()], np.int64)
    table = cells.table[kept].assign(label=fresh).sort_values("label", ignore_index=True)
    if isinstance(cells.labels, LazyLabels):
        places = np.flatnonzero(np.isin(cells.labels.ids, list(numbers)))
        ids = np.array([numbers[cell] for cell in cells.labels.ids[places].tolist()], np.int32)
        masks = cells.labels.masks.pick(places)
        return replace(cells, labels=LazyLabels(cells.labels.shape, ids, masks), table=table)
    renumbered = look_up(
        cells.labels, np.array(list(numbers), np.int64), np.array([*numbers.values()], np.int64)
    )
    return replace(cells, labels=renumbered.astype(np.int32), table=table)
