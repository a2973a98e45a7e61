"""The table of the cells of a label image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_hemacells.core.cell_masks import HIGH_ID
from napari_hemacells.core.types import BOX_COLUMNS, CELL_COLUMNS, Cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.cell_masks import PackedMasks
    from napari_hemacells.core.types import CellSource

_DTYPES = {
    **dict.fromkeys(["label", "area", *BOX_COLUMNS], "int64"),
    **dict.fromkeys(["score", "row", "col"], "float64"),
    "class": "str",
}


def cell_table(rows: Sequence[Sequence[object]]) -> pd.DataFrame:
    """Return rows in the order of ``CELL_COLUMNS`` as a table with the right dtypes."""
    frame = pd.DataFrame(list(rows), columns=list(CELL_COLUMNS)).astype(_DTYPES)
    return frame.sort_values("label", ignore_index=True)


def measure_labels(
    labels: NDArray[np.int32],
    kinds: Mapping[int, str] | None = None,
    scores: Mapping[int, float] | None = None,
) -> pd.DataFrame:
    """Return one row per label: centroid, half-open bounding box, area, kind and score.

    Parameters
    ----------
    labels
        ``(rows, cols)``, 0 background.
    kinds, scores
        By label; ``""`` and 1 where nothing is given.
    """
    from skimage.measure import regionprops

    kinds, scores = kinds or {}, scores or {}
    ids, dense = _dense(labels)
    rows = []
    for region in regionprops(dense):
        cell = region.label if ids is None else int(ids[region.label])
        known = (kinds.get(cell, ""), scores.get(cell, 1.0))
        rows.append((cell, *known, *region.centroid, *region.bbox, int(region.area)))
    return cell_table(rows)


def _dense(
    labels: NDArray[np.int32],
) -> tuple[NDArray[np.int32] | None, NDArray[np.int32]]:
    """Return the ids and their places among them, where an id is far above the number of cells.

    What measures regions takes memory by the highest id: 4 GB for one cell called 100 million.
    """
    if not labels.size or labels.max() <= HIGH_ID:
        return None, labels
    ids, places = np.unique(labels, return_inverse=True)
    if ids[0] != 0:  # 0 is glass, also where there is none
        ids, places = np.concatenate([[0], ids]).astype(ids.dtype), places + 1
    return ids, places.reshape(labels.shape).astype(np.int32)


def check_cells(table: pd.DataFrame, masks: PackedMasks | None = None) -> None:
    """Look at a table that comes from a file: whole numbers, finite ones, an id for each cell.

    Parameters
    ----------
    masks
        The pixels of each cell, checked too.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    for name in {*CELL_COLUMNS} & {*table} - {"class"}:
        values = table[name].to_numpy()
        if values.dtype.kind not in ("iu" if _DTYPES[name] == "int64" else "iuf"):
            raise ValueError(f"the column {name} holds no numbers")
        if not np.isfinite(values).all() or (np.abs(values.astype(np.float64)) >= 2**31).any():
            raise ValueError(f"the column {name} holds numbers that no cell has")
    if set(BOX_COLUMNS) <= {*table}:
        boxes = table[BOX_COLUMNS].to_numpy()
        if (boxes[:, 2:] < boxes[:, :2]).any():
            raise ValueError("a box ends before it begins")
    if "label" in table and (not table["label"].is_unique or (table["label"] < 1).any()):
        raise ValueError("cells share an id, or have none")
    if masks is not None:
        masks.check()
        if len(masks) != len(table):
            raise ValueError("masks and table do not fit one another")


def empty_cells(shape: tuple[int, int], diameter: float, source: CellSource = "detector") -> Cells:
    """Return zero cells, with every column there is."""
    return Cells(np.zeros(shape, np.int32), cell_table([]), diameter, source)


def typical_diameter(table: pd.DataFrame, otherwise: float = 0.0) -> float:
    """Return the median diameter (px) of discs of the cells' areas, `otherwise` without cells."""
    if table.empty:
        return otherwise
    return float(2 * np.sqrt(table["area"].median() / np.pi))
