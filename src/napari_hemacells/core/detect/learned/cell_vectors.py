"""A vector for each cell from the features that the detector's network has made anyway.

Mean and deviation of the backbone's features over the cell's box, weighted by a Gaussian around
its centre. They cost a few milliseconds for a part of an image, and no run of a network: every
cell has them as soon as it is found, minutes before the encoder has looked at all cells. They tell
kinds of cells and coarse types apart; for finer ones the encoder's vectors are better
(``benchmarks/detector_vectors.py``). Imports torch: import this module inside functions only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_hemacells.core.detect.learned.metadata import (
    CONTEXT,
    FIRST_DIM,
    GRID,
    SIGMA,
    TAPS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STRIDES = {1: 4, 2: 8, 4: 16}  # pixels at scale to one element of each of the network's taps


def pool_cell_vectors(
    features: Sequence[NDArray[np.floating]], boxes: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return ``(n, FIRST_DIM)`` vectors of cells.

    Parameters
    ----------
    features
        ``(channels, rows, cols)`` of each of the network's taps, finest first.
    boxes
        ``(n, 4)`` (min_row, min_col, max_row, max_col) in pixels of the picture at scale.
    """
    # Where it is used: the dock imports this file, and torchvision with triton ends a viewer.
    from torchvision.ops import roi_align

    if not len(boxes):
        return np.zeros((0, FIRST_DIM), np.float32)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = CONTEXT * (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    low, high = (centres - half)[:, ::-1], (centres + half)[:, ::-1]  # roi_align wants x first
    squares = torch.from_numpy(np.concatenate([low, high], axis=1).astype(np.float32))
    weights = _window()
    pooled = []
    with torch.inference_mode():
        for tap, maps in zip(sorted(TAPS), features, strict=True):
            part = torch.from_numpy(np.ascontiguousarray(maps, dtype=np.float32))[None]
            grid = roi_align(part, [squares], GRID, 1 / STRIDES[tap], 2, aligned=True)
            mean = (grid * weights).sum(dim=(2, 3))
            second = (grid.square() * weights).sum(dim=(2, 3))
            pooled += [mean, (second - mean.square()).clamp_min(0).sqrt()]
    return np.asarray(torch.cat(pooled, dim=1).numpy(), dtype=np.float32)


def _window() -> torch.Tensor:
    """Return the ``(GRID, GRID)`` weights, which sum to 1."""
    places = (torch.arange(GRID) + 0.5) / GRID * 2 - 1
    line = torch.exp(-0.5 * (places / SIGMA).square())
    weights = line[:, None] * line
    return weights / weights.sum()
