"""Instance masks: a label image from boxes and the foreground map, overlapping cells separated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage as ndi

from napari_hemacells.core.detect.learned.metadata import KINDS
from napari_hemacells.core.types import PLATELET

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.detect.learned.postprocess import Detections

    Window = tuple[slice, slice]

REACH = 1.12  # from the centre, in half axes: a slanted cell's tips lie outside the ellipse
INNER_RADIUS = 0.5  # nearer than this a pixel belongs to the cell even where the stain is pale
ON_TOP = 4.0  # taken off a platelet's distance: it lies on the red cell, not under it
MAX_DISTANCE = 60000.0


@dataclass(frozen=True, eq=False)
class ForegroundMap:
    """Foreground probabilities over a part of an image.

    Attributes
    ----------
    chance
        ``(rows, cols)`` uint8, 0 to 255.
    step
        Image pixels per element of the map, along rows and columns.
    origin
        Origin of the map, (row, column) in pixels of the image.
    """

    chance: NDArray[np.uint8]
    step: tuple[float, float]
    origin: tuple[float, float] = (0.0, 0.0)

    @cached_property
    def _picture(self) -> Image.Image:
        return Image.fromarray(self.chance)

    def at(self, window: Window) -> NDArray[np.uint8]:
        """Return the map interpolated at the pixels of a window; its edge goes on beyond it."""
        inside, box, pads = [], [], []
        for part, start, step, limit in zip(
            window, self.origin, self.step, self.chance.shape, strict=True
        ):
            low = min(max(part.start, math.ceil(start)), part.stop - 1)
            high = max(min(part.stop, math.floor(start + limit * step)), low + 1)
            inside.append(high - low)
            box.append([min(max(edge - start, 0.0) / step, limit) for edge in (low, high)])
            pads.append((low - part.start, part.stop - high))
        (top, bottom), (left, right) = box
        near = self._picture.resize(
            (inside[1], inside[0]), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
        )
        return np.pad(np.asarray(near), pads, mode="edge")


def paint_labels(
    found: Detections,
    foreground: ForegroundMap,
    canvas: Window,
    wanted: NDArray[np.int64] | None = None,
) -> NDArray[np.int32]:
    """Return the int32 labels of a window of the image: cell i of `found` is i + 1.

    A pixel belongs to the cell whose centre is nearest, measured in that cell's half axes.

    Parameters
    ----------
    found
        Cells in pixels of the image; they may reach beyond the window.
    canvas
        The window.
    wanted
        Indices of the cells to draw, all by default; the others only keep their pixels.
    """
    rows, cols = canvas
    labels = np.zeros((rows.stop - rows.start, cols.stop - cols.start), np.int32)
    if not labels.size:
        return labels
    nearest = np.full(labels.shape, MAX_DISTANCE, np.float16)
    chances = foreground.at(canvas)
    platelet = KINDS.index(PLATELET)
    for index, (box, kind) in enumerate(zip(found.boxes, found.kinds, strict=True)):
        window = window_of(box, canvas)
        if is_empty(window):
            continue
        distance = _distance(box, window)
        here = window_in_canvas(window, canvas)
        own = _inside(distance, chances[here])
        if kind == platelet:
            distance = distance - np.float16(ON_TOP)
        own &= distance < nearest[here]
        labels[here][own] = index + 1
        nearest[here][own] = distance[own]
    for index in range(len(found)) if wanted is None else wanted.tolist():
        window = window_of(found.boxes[index], canvas)
        _keep_one_piece(labels[window_in_canvas(window, canvas)], index + 1)
    return labels


def window_of(box: NDArray[np.float64], canvas: Window) -> Window:
    """Return the pixels of the canvas that the box touches."""
    rows, cols = (
        slice(max(int(np.floor(low)), part.start), min(int(np.ceil(high)), part.stop))
        for low, high, part in zip(box[:2], box[2:], canvas, strict=True)
    )
    return rows, cols


def window_in_canvas(window: Window, canvas: Window) -> Window:
    """Return a window of the image as slices of the canvas."""
    rows, cols = (
        slice(part.start - whole.start, max(part.start, part.stop) - whole.start)
        for part, whole in zip(window, canvas, strict=True)
    )
    return rows, cols


def is_empty(window: Window) -> bool:
    """Whether a window has no pixel."""
    return any(part.start >= part.stop for part in window)


def _keep_one_piece(labels: NDArray[np.int32], cell: int) -> None:
    """Erase all but the largest connected component of a cell."""
    pieces, count = ndi.label(labels == cell)
    if count > 1:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        labels[(pieces > 0) & (pieces != sizes.argmax())] = 0


def _distance(box: NDArray[np.float64], window: Window) -> NDArray[np.float16]:
    """Return the distance from the box's middle, 1 on the ellipse in the box."""
    axes = [
        (np.arange(part.start, part.stop) + 0.5 - (box[i] + box[i + 2]) / 2)
        / (max(box[i + 2] - box[i], 1.0) / 2)
        for i, part in enumerate(window)
    ]
    return np.asarray(np.hypot(axes[0][:, None], axes[1][None]), dtype=np.float16)


def _inside(distance: NDArray[np.float16], chance: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (distance < REACH) & (chance > 127) | (distance < INNER_RADIUS)
