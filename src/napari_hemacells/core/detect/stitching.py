"""Stitching of the parts' cells to those of the image: each once, in reading order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_hemacells.core.cell_masks import CellMask, LazyLabels, PackedMasks
from napari_hemacells.core.detect.cell_table import empty_cells
from napari_hemacells.core.detect.learned.metadata import first_vectors_info
from napari_hemacells.core.image import MAX_IN_MEMORY_PIXELS
from napari_hemacells.core.types import (
    BOX_COLUMNS,
    CELL_COLUMNS,
    PLATELET,
    WBC,
    Cells,
    CropSpec,
    Embeddings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.detect.plan import Plan
    from napari_hemacells.core.types import PartCells

MAX_EAGER_PIXELS = (
    MAX_IN_MEMORY_PIXELS  # pixels: above it a label image is painted only where it is looked at
)
SAME_CELL = 0.5  # intersection over union of two boxes of two parts: one cell, seen twice
IN_FRONT = {PLATELET: 0, WBC: 1}  # who keeps the pixels that two parts give to two cells


def stitch(plan: Plan, parts: Sequence[PartCells]) -> Cells:
    """Return the cells with ids 1 to n in reading order (row, column).

    The result does not depend on the order of the parts. A cell found by two parts is kept once,
    with the better score; a pixel of two cells goes to the one in front.
    """
    parts = sorted(parts, key=lambda part_cells: part_cells.part)
    table = (
        pd.concat([part_cells.table for part_cells in parts], ignore_index=True) if parts else None
    )
    if table is None or table.empty:
        return _with_method(plan, empty_cells(plan.shape, plan.diameter))
    masks = PackedMasks.concatenate([part_cells.masks for part_cells in parts])
    owner = np.repeat(
        [part_cells.part for part_cells in parts], [len(part_cells) for part_cells in parts]
    )
    gone, cut = _resolve_overlaps(table, masks, _pairs(plan, table, masks, owner))
    lost = {index: masks[index].area - mask.area for index, mask in cut.items()}
    table.loc[list(lost), "area"] -= list(lost.values())
    kept = np.setdiff1d(np.arange(len(table)), [*gone, *(p for p, m in cut.items() if not m.area)])
    order = kept[np.lexsort((table["col"].to_numpy()[kept], table["row"].to_numpy()[kept]))]
    labelled = table.iloc[order].assign(label=np.arange(1, len(order) + 1, dtype=np.int64))
    labels = _labels(plan.shape, _replace_masks(masks, cut), order)
    labelled = labelled.reset_index(drop=True)[list(CELL_COLUMNS)]
    cells = _with_method(plan, Cells(labels, labelled, plan.diameter))
    first = _first_vectors(plan, parts, order)
    if first is not None:
        first = replace(first, kinds=cells.kinds)
    return replace(cells, first_vectors=first)


def _first_vectors(
    plan: Plan, parts: Sequence[PartCells], order: NDArray[np.int64]
) -> Embeddings | None:
    """Return the vectors of the detector's network, where every part has them."""
    vectors = [part_cells.vectors for part_cells in parts if len(part_cells)]
    if plan.method != "learned" or any(part is None for part in vectors):
        return None
    whole = np.concatenate([part for part in vectors if part is not None])[order]
    ids, info = np.arange(1, len(order) + 1), first_vectors_info()
    return Embeddings(ids, whole.astype(np.float32), info, CropSpec(), plan.image_key)


def _with_method(plan: Plan, cells: Cells) -> Cells:
    labels = cells.labels
    if not len(cells):
        labels = _labels(plan.shape, PackedMasks.of([]), np.empty(0, np.int64))
    return replace(cells, labels=labels, detector=plan.method, other_diameter=plan.other_diameter)


def _pairs(
    plan: Plan, table: pd.DataFrame, masks: PackedMasks, owner: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """Yield the indices of overlapping cells of two parts, the one in front first."""
    if len(plan.parts) < 2:
        return
    boxes = table[BOX_COLUMNS].to_numpy(np.int32)
    index = LazyLabels(plan.shape, np.arange(len(table)), PackedMasks(boxes, masks.bits[:0]))
    rank = table["class"].map(IN_FRONT).fillna(2).to_numpy()
    front = np.lexsort((owner, table["col"], table["row"], rank))
    standing = np.empty(len(front), np.int64)
    standing[front] = np.arange(len(front))
    for cell in front[_touches_core_border(plan, boxes, owner)[front]].tolist():
        top, left, bottom, right = boxes[cell].tolist()
        near = index.masks_in_window((top, bottom), (left, right))
        behind = near[(owner[near] != owner[cell]) & (standing[near] > standing[cell])]
        yield from ((cell, other) for other in behind.tolist())


def _touches_core_border(
    plan: Plan, boxes: NDArray[np.int32], owner: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which cells touch the edge of their part's core."""
    ratio = 1 / plan.scale
    cores = {part.index: (*part.core_rows, *part.core_cols) for part in plan.parts}
    ends = np.array([cores[int(part_index)] for part_index in owner], np.float64) * ratio
    slack = 8 * max(1.0, ratio)
    low = boxes[:, :2] <= ends[:, [0, 2]] + slack
    high = boxes[:, 2:] >= ends[:, [1, 3]] - slack
    return np.asarray((low | high).any(axis=1))


def _resolve_overlaps(
    table: pd.DataFrame, masks: PackedMasks, pairs: Iterator[tuple[int, int]]
) -> tuple[set[int], dict[int, CellMask]]:
    """Return the duplicate cells, and the masks that lose pixels."""
    boxes = table[BOX_COLUMNS].to_numpy(np.int64)
    scores, kinds = table["score"].to_numpy(), table["class"].to_numpy()
    overlapping = list(pairs)
    gone: set[int] = set()
    for cell, other in overlapping:
        if kinds[cell] == kinds[other] and _overlap(boxes[cell], boxes[other]) > SAME_CELL:
            gone.add(other if scores[cell] >= scores[other] else cell)
    cut: dict[int, CellMask] = {}
    for cell, other in overlapping:
        if cell not in gone and other not in gone:
            front, behind = cut.get(cell, masks[cell]), cut.get(other, masks[other])
            if behind.touches(front):
                cut[other] = behind.without(front)
    return gone, cut


def _overlap(box: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Return the intersection over union of two boxes."""
    sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    return shared / float(np.prod(box[2:] - box[:2]) + np.prod(other[2:] - other[:2]) - shared)


def _replace_masks(masks: PackedMasks, cut: dict[int, CellMask]) -> PackedMasks:
    """Return the masks with some of them changed; a changed one keeps its box."""
    bits = masks.bits.copy()
    for index, mask in cut.items():
        bits[masks.starts[index] : masks.starts[index + 1]] = np.packbits(mask.bits)
    return PackedMasks(masks.boxes, bits)


def _labels(
    shape: tuple[int, int], masks: PackedMasks, order: NDArray[np.int64]
) -> NDArray[np.int32] | LazyLabels:
    """Return the label image, in memory if it is small, else lazy."""
    lazy = LazyLabels(shape, np.arange(1, len(order) + 1), masks.pick(order))
    return lazy if lazy.size > MAX_EAGER_PIXELS else np.asarray(lazy)
