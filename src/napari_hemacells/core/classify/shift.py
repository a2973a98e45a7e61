"""How far the cells of an image are from those that a head was fitted beside.

Another stain, lamp or scanner moves all cells at once. The score is the distance of the two
clouds' means, in the spread of the reference (Fréchet's distance takes the spreads' difference
beside it; both are given in one number). It is measured along the reference's principal
directions, where a shift of colour shows, not in hundreds of directions of noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.classify.cellmap import CellMap
    from napari_hemacells.core.classify.head import Head

DIRECTIONS = 16  # of the map: the later ones tell cells apart, not slides
DRAWS, QUANTILE = 100, 0.99
OTHER_CELLS = 1.0  # score that another mixture of cells alone may reach; see benchmarks/shift.py
LEAST_CELLS = 10


@dataclass(frozen=True, eq=False)
class Reference:
    """What the cells looked like beside which a head was fitted.

    Attributes
    ----------
    points
        ``(n, d)`` float32 places of some of them on the head's map.
    """

    points: NDArray[np.float32]


@dataclass(frozen=True)
class Shift:
    """How far an image is from the reference.

    Attributes
    ----------
    score
        Distance between the clouds of cells, in standard deviations of the reference.
    level
        Up to this the image counts as alike; it rises where there are few cells.
    is_large
        Whether the score is above the level.
    """

    score: float
    level: float
    is_large: bool


def reference_of(known: CellMap) -> Reference:
    """Return the reference that the cells of a map are."""
    return Reference(known.points)
