"""A picture as one cell: whole thermograms are classified as cells of a smear are."""

from __future__ import annotations

import numpy as np

from napari_hemacells.core.detect.measure import table_of
from napari_hemacells.core.types import Cells


def whole_frame(shape: tuple[int, int]) -> Cells:
    """Return the one cell, with the id 1, that is all of a picture; its crop has no margin.

    Examples
    --------
    >>> whole_frame((480, 640)).boxes.tolist()
    [[0, 0, 480, 640]]
    """
    rows, cols = shape
    row = (1, "", 1.0, (rows - 1) / 2, (cols - 1) / 2, 0, 0, rows, cols, rows * cols)
    return Cells(np.ones(shape, np.int32), table_of([row]), float(max(shape)), source="whole")
