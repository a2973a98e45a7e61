"""A thermogram → body, right and left breast, hot spots."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from napari_hemacells.core.detect.thermogram.body import body_mask, checked
from napari_hemacells.core.detect.thermogram.breasts import find_boxes
from napari_hemacells.core.detect.thermogram.hotspots import HotSpot, find_hot_spots
from napari_hemacells.core.detect.thermogram.outline import outline
from napari_hemacells.core.errors import CellsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

Side: TypeAlias = Literal["right", "left"]
SIDES: tuple[Side, Side] = ("right", "left")
"""The patient's; her right breast is at the left of a frontal frame."""


@dataclass(frozen=True, eq=False)
class BreastRegion:
    """One breast.

    Attributes
    ----------
    side
        The patient's side.
    outline
        ``(k, 2)`` corners (row, column), pixels whole at their middles, as a Shapes layer has it.
    mask
        ``(rows, cols)`` True on pixels whose middle the outline encloses.
    box
        ``(min_row, min_col, max_row, max_col)`` half-open, float: where the breast was found, or
        around an outline drawn by hand.
    hot_spots
        The strongest contrast first.
    """

    side: Side
    outline: NDArray[np.float64]
    mask: NDArray[np.bool_]
    box: NDArray[np.float64]
    hot_spots: tuple[HotSpot, ...] = ()


@dataclass(frozen=True, eq=False)
class ThermogramRegions:
    """What was found in a thermogram.

    Attributes
    ----------
    celsius
        ``(rows, cols)`` float32, the temperatures as they came.
    body
        ``(rows, cols)`` True on the body.
    breasts
        By side; one may be missing where regions were drawn by hand.
    """

    celsius: NDArray[np.float32]
    body: NDArray[np.bool_]
    breasts: Mapping[Side, BreastRegion] = field(default_factory=dict)

    @property
    def hot_spots(self) -> tuple[HotSpot, ...]:
        """Those of both breasts, the strongest contrast first."""
        all_spots = [spot for one in self.breasts.values() for spot in one.hot_spots]
        return tuple(sorted(all_spots, key=lambda spot: -spot.contrast))


def find_regions(celsius: ArrayLike) -> ThermogramRegions:
    """Return body, both breasts and their hot spots of a frontal thermogram of any size.

    Raises
    ------
    ImageError
        Not one plane of temperatures.
    """
    array = checked(celsius)
    body = body_mask(array)
    boxes = find_boxes(array, body)
    breasts = {
        side: _region(array, side, outline(array, body, box), box)
        for side, box in zip(SIDES, boxes, strict=True)
    }
    return ThermogramRegions(array, body, breasts)


def regions_from_outlines(
    celsius: ArrayLike, outlines: Mapping[Side, ArrayLike]
) -> ThermogramRegions:
    """Return the same for outlines drawn or moved by hand.

    Raises
    ------
    CellsError
        An outline of fewer than three corners, or one that encloses no pixel.
    ImageError
        Not one plane of temperatures.
    """
    array = checked(celsius)
    breasts = {}
    for side, drawn in outlines.items():
        corners = np.asarray(drawn, dtype=np.float64)
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
            raise CellsError(f"The {side} breast's outline needs three corners: draw it again.")
        box = np.concatenate([corners.min(axis=0) + 0.5, corners.max(axis=0) + 0.5])
        breasts[side] = _region(array, side, corners, box)
    return ThermogramRegions(array, body_mask(array), breasts)


def _region(
    celsius: NDArray[np.float32],
    side: Side,
    corners: NDArray[np.float64],
    box: NDArray[np.float64],
) -> BreastRegion:
    from skimage.draw import polygon2mask

    mask = np.asarray(polygon2mask(celsius.shape, corners), dtype=np.bool_)
    if not mask.any():
        raise CellsError(f"The {side} breast's outline encloses no pixel: draw it again.")
    return BreastRegion(side, corners, mask, box, find_hot_spots(celsius, mask))
