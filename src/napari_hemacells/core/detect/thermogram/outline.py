"""The outline of a breast within its box: down to the fold below it, out to the body's edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ANGLES, RADII = 72, 41
CORNER = 3  # every third is a corner: few enough to be moved by hand, one by one
ABOVE = 5  # angles above the middle, on both sides, where the fold may begin
NEAREST, FARTHEST = 0.5, 1.06  # where the edge is looked for, in radii of the rounded box
ROUNDNESS = 2.6  # exponent of the superellipse: 2 an ellipse, more a rounded box
PULL = 0.5  # how much staying on the rounded box counts beside a warm fold
EDGE = 2.0  # σ of the rise of temperature outwards, in steps of the radius
SMOOTH = 1.5  # of the radii, in angles


def outline(
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
    for place, index in enumerate(lower):
        factor[index] = reach[steps[steps[:, 0] == place, 1]].mean()
    return factor


def _on_body(
    points: NDArray[np.float64], middle: NDArray[np.float64], body: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the points drawn towards the middle until they lie on the body."""
    along = np.linspace(1, 0.3, 36)
    tried = middle + (points - middle)[None] * along[:, None, None]
    last = np.array(body.shape) - 1
    index = np.clip(np.rint(tried), 0, last).astype(int)
    inside = body[index[..., 0], index[..., 1]] & ((tried >= -0.5) & (tried <= last + 0.5)).all(-1)
    first = np.where(inside.any(axis=0), inside.argmax(axis=0), 0)
    return np.clip(tried[first, np.arange(len(points))], -0.5, last + 0.5)
