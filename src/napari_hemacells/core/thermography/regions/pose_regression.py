"""Two breast boxes by a cascade of ridge regressions (Cascaded Pose Regression).

Each stage samples a coarse grid of temperatures and of the body's mask around the present
estimate of both boxes, and predicts by how much to move it. As everything is seen relative to the
estimate, neither frame size nor distance matter; only differences of temperature are looked at,
so neither does the camera's offset.

Sources: Dollár, Welinder, Perona 2010 (cascaded pose regression); Xiong, De la Torre 2013
(supervised descent).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.thermography.regions.body import TorsoExtent

GRID = (16, 24)  # places in a stage's view, down and across
VIEW = (2.4, 1.6)  # the view's height and width: of the mean height of the boxes, of their span
OUTSIDE = 0.5  # of the mask, beyond the frame: neither body nor background
CLIP = 3.0


class CascadeInput(NamedTuple):
    """Input of the cascade.

    Attributes
    ----------
    levels
        ``(2, rows, cols)`` float32: temperature in spreads of the body's from its median, and
        the body's mask.
    step
        Pixels of the thermogram that a pixel of it stands for.
    """

    levels: NDArray[np.float32]
    step: float


class Cascade(NamedTuple):
    """Stages, each ``(features, 8)``, and the first estimate relative to the torso, ``(8,)``."""

    stages: tuple[NDArray[np.float32], ...]
    start: NDArray[np.float32]


def prepare_input(
    celsius: NDArray[np.float32], body: NDArray[np.bool_], width: float
) -> CascadeInput:
    """Return the cascade's input: the thermogram smoothed and reduced."""
    from scipy import ndimage

    step = max(1, int(width / 96))
    smooth = ndimage.gaussian_filter(celsius, width / 80)[::step, ::step]
    mask = ndimage.gaussian_filter(body.astype(np.float32), width / 80)[::step, ::step]
    skin = smooth[mask > 0.5]
    middle, spread = (np.median(skin), np.std(skin) + 0.1) if len(skin) else (0.0, 1.0)
    levels = np.where(mask > 0.5, np.clip((smooth - middle) / spread, -CLIP, CLIP), 0)
    return CascadeInput(np.stack([levels, mask]).astype(np.float32), float(step))


def initial_boxes(torso: TorsoExtent, start: NDArray[np.float32]) -> NDArray[np.float64]:
    """``(2, 4)`` centre row, centre column, height, width of both boxes from the torso alone."""
    boxes = np.asarray(start, np.float64).reshape(2, 4) * torso.width
    boxes[:, :2] += (torso.row, torso.col)
    return boxes


def encode_offsets(
    boxes: NDArray[np.float64], seen_from: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ``(8,)`` shifts (by the span of the estimate) and log ratios of sizes of boxes."""
    span = _span(seen_from)
    moved = (boxes[:, :2] - seen_from[:, :2]) / span
    grown = np.log(boxes[:, 2:] / seen_from[:, 2:])
    return np.concatenate([moved, grown], axis=1).ravel()


def apply_offsets(estimate: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply offsets of :func:`encode_offsets` to an estimate."""
    moves = np.clip(by.reshape(2, 4), -0.5, 0.5)
    centres = estimate[:, :2] + moves[:, :2] * _span(estimate)
    return np.concatenate([centres, estimate[:, 2:] * np.exp(moves[:, 2:])], axis=1)


def extract_features(seen: CascadeInput, estimate: NDArray[np.float64]) -> NDArray[np.float32]:
    """``(2 · 16 · 24 + 1,)`` float32 features of a stage around an estimate, and a constant 1."""
    from scipy import ndimage

    row, col = estimate[:, 0].mean(), estimate[:, 1].mean()
    height, width = estimate[:, 2].mean() * VIEW[0], _span(estimate) * VIEW[1]
    rows = row + height * (np.arange(GRID[0]) + 0.5 - GRID[0] / 2) / GRID[0]
    cols = col + width * (np.arange(GRID[1]) + 0.5 - GRID[1] / 2) / GRID[1]
    places = np.stack(np.meshgrid(rows, cols, indexing="ij")) / seen.step
    level = ndimage.map_coordinates(seen.levels[0], places, order=1, cval=0.0)
    mask = ndimage.map_coordinates(seen.levels[1], places, order=1, cval=OUTSIDE)
    return np.concatenate([level.ravel(), mask.ravel(), [1.0]]).astype(np.float32)


def regress_boxes(
    seen: CascadeInput, estimate: NDArray[np.float64], stages: Sequence[NDArray[np.float32]]
) -> NDArray[np.float64]:
    """Return the boxes after all stages."""
    for stage in stages:
        estimate = apply_offsets(
            estimate, np.asarray(extract_features(seen, estimate) @ stage, np.float64)
        )
    return estimate


def mirror_boxes(vector: NDArray[np.float64], columns: float = 0.0) -> NDArray[np.float64]:
    """Return ``(2, 4)`` boxes mirrored in a frame of the given width."""
    turned = vector.reshape(2, 4)[::-1].copy()
    turned[:, 1] = columns - turned[:, 1]
    return turned


def _span(estimate: NDArray[np.float64]) -> float:
    """Distance between the outer edges of both boxes, pixels."""
    low = (estimate[:, 1] - estimate[:, 3] / 2).min()
    high = (estimate[:, 1] + estimate[:, 3] / 2).max()
    return float(max(high - low, 1.0))
