"""The table of the cells of a label image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_hemacells.core.types import BOX_COLUMNS, CELL_COLUMNS, Cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

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
    return cell_table(
        [
            (
                region.label,
                kinds.get(region.label, ""),
                scores.get(region.label, 1.0),
                *region.centroid,
                *region.bbox,
                int(region.area),
            )
            for region in regionprops(labels)
        ]
    )


def empty_cells(shape: tuple[int, int], diameter: float, source: CellSource = "detector") -> Cells:
    """Return zero cells, with every column there is."""
    return Cells(np.zeros(shape, np.int32), cell_table([]), diameter, source)


def typical_diameter(table: pd.DataFrame, otherwise: float = 0.0) -> float:
    """Return the median diameter (px) of discs of the cells' areas, `otherwise` without cells."""
    if table.empty:
        return otherwise
    return float(2 * np.sqrt(table["area"].median() / np.pi))
