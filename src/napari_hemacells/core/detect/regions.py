"""Polygons that detection is restricted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import CellsError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions to search; a cell belongs to the region of its centre.

    Attributes
    ----------
    polygons
        ``(n, 2)`` float corners each, (row, column) in pixels of the image, as in a Shapes
        layer; their union is searched.

    Raises
    ------
    CellsError
        No polygon, or one of fewer than three corners.
    """

    polygons: tuple[NDArray[np.float64], ...]

    def __post_init__(self) -> None:
        corners = tuple(np.asarray(polygon, np.float64) for polygon in self.polygons)
        if not corners:
            raise CellsError("There is no region: draw one first.")
        for number, polygon in enumerate(corners, start=1):
            if polygon.ndim != 2 or polygon.shape[1] != 2 or len(polygon) < 3:
                raise CellsError(f"Region {number} needs at least three corners: draw it again.")
        object.__setattr__(self, "polygons", corners)

    def contains(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which ``(n, 2)`` points, (row, column), lie in a region."""
        from matplotlib.path import Path

        inside = np.zeros(len(points), bool)
        for polygon in self.polygons:
            inside |= Path(polygon, closed=False).contains_points(points)
        return inside

    def touch(self, low: tuple[float, float], high: tuple[float, float]) -> bool:
        """Whether a rectangle, given by two corners, shares a point with a region."""
        from matplotlib.path import Path
        from matplotlib.transforms import Bbox

        box = Bbox([low, high])
        return any(
            Path(polygon[[*range(len(polygon)), 0]]).intersects_bbox(box, filled=True)
            for polygon in self.polygons
        )

    def to_list(self) -> list[list[list[float]]]:
        """As plain JSON."""
        return [polygon.tolist() for polygon in self.polygons]
