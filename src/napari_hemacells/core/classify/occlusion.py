"""Where a class comes from in a crop, for any encoder and head: occlusion.

Zeiler & Fergus 2014 (doi 10.1007/978-3-319-10590-1_53): parts of the picture are covered one after
the other, and what speaks for the class becomes weaker where they mattered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.classify.head import Head
    from napari_hemacells.core.encode.protocol import Encoder

GRID = 7  # covers along each side
COVER = 0.25  # side of a cover, of the crop's
_BATCH = 16


def occlusion_map(
    encoder: Encoder, head: Head, crop: NDArray[np.uint8], class_index: int
) -> NDArray[np.float32]:
    """``(size, size)`` heat, 0 to 1: how much a class loses where the crop is covered.

    Covers have the colour of the crop's border. All zero where covering never weakens the class.

    Parameters
    ----------
    crop
        ``(size, size, 3)``.
    class_index
        Place of the class in ``head.class_ids``.
    """
    from scipy.ndimage import gaussian_filter

    size = len(crop)
    side = max(2, round(COVER * size))
    starts = np.rint(np.linspace(0, size - side, GRID)).astype(int)
    border = np.concatenate([crop[0], crop[-1], crop[:, 0], crop[:, -1]])
    glass = np.median(border, axis=0).astype(crop.dtype)
    covered = np.repeat(crop[np.newaxis], GRID * GRID + 1, axis=0)
    windows = [
        (slice(row, row + side), slice(col, col + side)) for row in starts for col in starts
    ]
    for picture, window in zip(covered[1:], windows, strict=True):
        picture[window] = glass
    batches = [
        encoder.encode(covered[start : start + _BATCH]) for start in range(0, len(covered), _BATCH)
    ]
    vectors = np.concatenate(batches)
    margins = _margins(head.scores(vectors), class_index)
    lost = np.clip(margins[0] - margins[1:], 0, None)
    heat, seen = np.zeros((2, size, size), dtype=np.float64)
    for amount, window in zip(lost, windows, strict=True):
        heat[window] += amount
        seen[window] += 1
    heat = gaussian_filter(heat / np.maximum(seen, 1), side / 4)
    return np.asarray(heat / (heat.max() or 1.0), dtype=np.float32)


def _margins(scores: NDArray[np.floating], class_index: int) -> NDArray[np.float64]:
    """How far the class is above the best of the others; its own score where it is alone."""
    own = np.asarray(scores[:, class_index], dtype=np.float64)
    others = np.delete(scores, class_index, axis=1)
    return own - others.max(axis=1) if others.shape[1] else own
