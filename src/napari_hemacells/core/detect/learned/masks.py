"""Boxes and the foreground map → a label image in which overlapping cells are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage as ndi

from napari_hemacells.core.detect.learned.kinds import KINDS
from napari_hemacells.core.types import PLATELET

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.detect.learned.decode import Found

REACH = 1.12  # from the centre, in half axes: a slanted cell's tips lie outside the ellipse
SURE = 0.5  # nearer than this a pixel belongs to the cell even where the stain is pale
ON_TOP = 4.0  # taken off a platelet's distance: it lies on the red cell, not under it
FAR = 60000.0


def paint(
    found: Found, foreground: NDArray[np.uint8], step: float, shape: tuple[int, int]
) -> NDArray[np.int32]:
    """Return ``shape`` int32 labels: cell i of `found` is i + 1.

    A pixel belongs to the cell whose centre is nearest, measured in that cell's half axes.

    Parameters
    ----------
    foreground
        Map of the chance of being part of any cell, 0 to 255, over the whole image.
    step
        Image pixels to one cell of that map.
    """
    labels = np.zeros(shape, np.int32)
    nearest = np.full(shape, FAR, np.float16)
    picture = Image.fromarray(foreground)
    platelet = KINDS.index(PLATELET)
    for place, (box, kind) in enumerate(zip(found.boxes, found.kinds, strict=True)):
        window = _window(box, shape)
        rows, cols = window
        if rows.start >= rows.stop or cols.start >= cols.stop:
            continue
        distance = _distance(box, window)
        own = _inside(distance, _sample(picture, window, step))
        if kind == platelet:
            distance = distance - np.float16(ON_TOP)
        own &= distance < nearest[window]
        labels[window][own] = place + 1
        nearest[window][own] = distance[own]
    for place, box in enumerate(found.boxes):
        _keep_one_piece(labels[_window(box, shape)], place + 1)
    return labels


def _keep_one_piece(labels: NDArray[np.int32], cell: int) -> None:
    """Erase all but the largest connected piece of a cell: the rest are shreds of neighbours."""
    pieces, count = ndi.label(labels == cell)
    if count > 1:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        labels[(pieces > 0) & (pieces != sizes.argmax())] = 0


def _window(box: NDArray[np.float64], shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the pixels that the box touches, within the image."""
    low = np.maximum(np.floor(box[:2]), 0).astype(int)
    high = np.minimum(np.ceil(box[2:]), shape).astype(int)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def _distance(box: NDArray[np.float64], window: tuple[slice, slice]) -> NDArray[np.float16]:
    """Return the distance from the box's middle, 1 on the ellipse in the box."""
    axes = [
        (np.arange(part.start, part.stop) + 0.5 - (box[i] + box[i + 2]) / 2)
        / (max(box[i + 2] - box[i], 1.0) / 2)
        for i, part in enumerate(window)
    ]
    return np.asarray(np.hypot(axes[0][:, None], axes[1][None]), dtype=np.float16)


def _inside(distance: NDArray[np.float16], chance: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (distance < REACH) & (chance > 127) | (distance < SURE)


def _sample(
    foreground: Image.Image, window: tuple[slice, slice], step: float
) -> NDArray[np.uint8]:
    """Return the foreground at the pixels of the window, interpolated."""
    rows, cols = window
    box = [cols.start / step, rows.start / step, cols.stop / step, rows.stop / step]
    limits = [foreground.width, foreground.height] * 2
    inside = tuple(min(value, limit) for value, limit in zip(box, limits, strict=True))
    size = (cols.stop - cols.start, rows.stop - rows.start)
    return np.asarray(foreground.resize(size, Image.Resampling.BILINEAR, box=inside))
