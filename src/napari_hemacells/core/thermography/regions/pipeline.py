"""Finding body, breasts and hot spots in a thermogram.

A breast's outline reaches down to the inframammary fold and out to the edge of the body.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.thermography.regions.body import body_mask, validate_celsius
from napari_hemacells.core.thermography.regions.breasts import find_boxes
from napari_hemacells.core.thermography.regions.hotspots import HotSpot, find_hot_spots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

ANGLES, RADII = 72, 41
CORNER = 3  # every third is a corner: few enough to be moved by hand, one by one
ABOVE = 5  # angles above the middle, on both sides, where the fold may begin
NEAREST, FARTHEST = 0.5, 1.06  # where the edge is looked for, in radii of the rounded box
ROUNDNESS = 2.6  # exponent of the superellipse: 2 an ellipse, more a rounded box
PULL = 0.5  # how much staying on the rounded box counts beside a warm fold
EDGE = 2.0  # σ of the rise of temperature outwards, in steps of the radius
SMOOTH = 1.5  # of the radii, in angles


def trace_outline(
    celsius: NDArray[np.float32], body: NDArray[np.bool_], box: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``(24, 2)`` corners (row, column) of the breast in a half-open box.

    A rounded box is the start. Below, the outline follows the rise of temperature towards the
    warm fold under the breast (the cheapest path through what lies around the rounded box); it
    ends where the body ends.
    """
    from scipy import ndimage

    middle, half = (box[:2] + box[2:]) / 2 - 0.5, (box[2:] - box[:2]) / 2
    angle = np.arange(ANGLES) * 2 * np.pi / ANGLES
    aside = np.stack([np.sin(angle), np.cos(angle)])
    radius = (np.abs(aside) ** ROUNDNESS).sum(axis=0) ** (-1 / ROUNDNESS)
    reach = np.linspace(NEAREST, FARTHEST, RADII)
    factor = _fold(celsius, middle, half, aside * radius, reach)
    factor = ndimage.gaussian_filter1d(factor, SMOOTH, mode="wrap")
    points = middle[:, None] + half[:, None] * aside * radius * factor
    return _on_body(points.T, middle, body)[::CORNER]


def _fold(
    celsius: NDArray[np.float32],
    middle: NDArray[np.float64],
    half: NDArray[np.float64],
    rim: NDArray[np.float64],
    reach: NDArray[np.float64],
) -> NDArray[np.float64]:
    """``(72,)`` by what the rounded box is to be multiplied so that its lower half is warm."""
    from scipy import ndimage
    from skimage.graph import route_through_array

    lower = np.arange(-ABOVE, ANGLES // 2 + ABOVE + 1) % ANGLES
    places = middle[:, None, None] + (half[:, None] * rim[:, lower])[..., None] * reach
    warmth = ndimage.map_coordinates(celsius, places, order=1, mode="nearest")
    rise = ndimage.gaussian_filter1d(warmth, EDGE, axis=1, order=1, mode="nearest")
    rise = np.clip(rise / (np.quantile(rise, 0.95) + 1e-3), -1, 2)
    away = np.abs(reach - 1) / (FARTHEST - NEAREST)
    cost = np.exp(-3 * rise) + PULL * away
    on_rim = int(np.abs(reach - 1).argmin())
    path, _ = route_through_array(cost, (0, on_rim), (len(lower) - 1, on_rim))
    steps = np.array(path)
    factor = np.ones(rim.shape[1])
    for position, index in enumerate(lower):
        factor[index] = reach[steps[steps[:, 0] == position, 1]].mean()
    return factor


def _on_body(
    points: NDArray[np.float64], middle: NDArray[np.float64], body: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Move points towards the centre until they lie on the body."""
    along = np.linspace(1, 0.3, 36)
    tried = middle + (points - middle)[None] * along[:, None, None]
    last = np.array(body.shape) - 1
    index = np.clip(np.rint(tried), 0, last).astype(int)
    inside = body[index[..., 0], index[..., 1]] & ((tried >= -0.5) & (tried <= last + 0.5)).all(-1)
    first = np.where(inside.any(axis=0), inside.argmax(axis=0), 0)
    return np.clip(tried[first, np.arange(len(points))], -0.5, last + 0.5)


Side: TypeAlias = Literal["right", "left"]
SIDES: tuple[Side, Side] = ("right", "left")
"""The patient's; her right breast is at the left of a frontal frame."""


@dataclass(frozen=True, eq=False)
class BreastRegion:
    """Region of a breast.

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
    """Regions of a thermogram.

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
        """Hot spots of both breasts, the strongest contrast first."""
        all_spots = [spot for breast in self.breasts.values() for spot in breast.hot_spots]
        return tuple(sorted(all_spots, key=lambda spot: -spot.contrast))


def find_regions(celsius: ArrayLike) -> ThermogramRegions:
    """Return body, both breasts and their hot spots of a frontal thermogram of any size.

    Raises
    ------
    ImageError
        Not one plane of temperatures.
    """
    array = validate_celsius(celsius)
    body = body_mask(array)
    boxes = find_boxes(array, body)
    breasts = {
        side: _region(array, side, trace_outline(array, body, box), box)
        for side, box in zip(SIDES, boxes, strict=True)
    }
    return ThermogramRegions(array, body, breasts)


def regions_from_outlines(
    celsius: ArrayLike, outlines: Mapping[Side, ArrayLike]
) -> ThermogramRegions:
    """Return the regions of outlines drawn or moved by hand.

    Raises
    ------
    CellsError
        An outline of fewer than three corners, or one that encloses no pixel.
    ImageError
        Not one plane of temperatures.
    """
    array = validate_celsius(celsius)
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
