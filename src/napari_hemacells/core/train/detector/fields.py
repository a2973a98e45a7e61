"""Annotated fields: what a detector learns from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from napari_hemacells.core.detect.stain import read_stain

if TYPE_CHECKING:
    from numpy.typing import NDArray

Box = tuple[int, int, int, int]  # half-open (min_row, min_col, max_row, max_col)


@dataclass(frozen=True, eq=False)
class Field:
    """One annotated picture.

    Attributes
    ----------
    pixels
        ``(rows, cols, 3)`` uint8.
    boxes
        ``(n, 4)`` float32, half-open (min_row, min_col, max_row, max_col).
    kinds
        ``(n,)`` index into :data:`KINDS`.
    sized
        ``(n,)`` bool: the box is an annotation, or good enough to learn a size from.
    foreground
        ``(rows, cols)`` uint8: 255 stained, 0 glass; from colour, holes filled.
    trust
        ``(rows, cols, kinds)`` uint8: 255 where "no such cell here" is certain, 0 unknown.
    diameter
        Typical red cell, pixels.
    key, group
        The image's identity, and what a split must keep together with it.
    """

    name: str
    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    kinds: NDArray[np.int64]
    sized: NDArray[np.bool_]
    foreground: NDArray[np.uint8]
    trust: NDArray[np.uint8]
    diameter: float
    key: str = ""
    group: str = ""

    def part(self, box: Box) -> Field:
        """Return a part of it; cells that its border cuts reach beyond it."""
        top, left, bottom, right = box
        area = (slice(top, bottom), slice(left, right))
        inside = (self.boxes[:, :2] < (bottom, right)) & (self.boxes[:, 2:] > (top, left))
        there = inside.all(axis=1)
        return replace(
            self,
            pixels=self.pixels[area],
            boxes=self.boxes[there] - np.array([top, left, top, left], np.float32),
            kinds=self.kinds[there],
            sized=self.sized[there],
            foreground=self.foreground[area],
            trust=self.trust[area],
        )


def stained(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return what is not glass (holes filled) and how blue-violet each pixel is."""
    from skimage.filters import threshold_otsu
    from skimage.morphology import remove_small_objects

    stain = read_stain(pixels)
    density = ndi.gaussian_filter(stain.density, 1.0)
    limit = threshold_otsu(np.clip(density, 0, np.percentile(density, 90)))
    solid = ndi.binary_fill_holes(density > max(0.6 * limit, 0.02))
    blue = ndi.gaussian_filter(stain.basophilia, 1.0)
    return remove_small_objects(solid, max_size=30), blue


def ellipses(boxes: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the inner part of the ellipses in the boxes: pale cells are foreground too."""
    inside = np.zeros(shape, bool)
    for box in boxes:
        top, left, bottom, right = box.astype(int)
        y = (np.arange(top, bottom) + 0.5 - (box[0] + box[2]) / 2) / (box[2] - box[0])
        x = (np.arange(left, right) + 0.5 - (box[1] + box[3]) / 2) / (box[3] - box[1])
        part = inside[top:bottom, left:right]
        part |= (y[:, None] ** 2 + x[None] ** 2 < 0.4**2)[: part.shape[0], : part.shape[1]]
    return inside


def as_grey(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return 255 where the mask is true, else 0."""
    return mask.astype(np.uint8) * 255
