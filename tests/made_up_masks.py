"""Made-up masks of cells for tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from napari_hemacells.core.cell_masks import CellMask

SHAPE = (37, 53)


@st.composite
def masks(draw) -> list[CellMask]:
    """Masks of any form anywhere, also at the border; they may overlap."""
    found = []
    for _ in range(draw(st.integers(0, 7))):
        top, left = draw(st.integers(0, SHAPE[0] - 1)), draw(st.integers(0, SHAPE[1] - 1))
        bottom = draw(st.integers(top + 1, min(SHAPE[0], top + 15)))
        right = draw(st.integers(left + 1, min(SHAPE[1], left + 15)))
        seed = draw(st.integers(0, 99))
        bits = np.random.default_rng(seed).random((bottom - top, right - left)) < 0.6
        found.append(CellMask((top, left, bottom, right), bits))
    return found


def painted(found: list[CellMask]) -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    for place, mask in enumerate(found):
        labels[mask.window][mask.bits] = 10 * place + 3
    return labels
