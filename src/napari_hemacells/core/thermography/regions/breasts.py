"""Locating right and left breast in a frontal thermogram."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.thermography.regions.body import TorsoExtent, find_torso
from napari_hemacells.core.thermography.regions.pose_regression import (
    Cascade,
    CascadeInput,
    initial_boxes,
    mirror_boxes,
    prepare_input,
    regress_boxes,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WEIGHTS = "breasts.safetensors"
SMALLEST = 2.0  # pixels a side: a box never vanishes


def find_boxes(
    celsius: NDArray[np.float32], body: NDArray[np.bool_], cascade: Cascade | None = None
) -> NDArray[np.float64]:
    """``(2, 4)`` half-open boxes in pixels: the patient's right breast (left in the frame) first.

    The cascade is run on the frame and on its mirror image, and the two answers are averaged: a
    mirrored frame gives exactly the mirrored boxes. Boxes end at the frame.

    Parameters
    ----------
    celsius
        ``(rows, cols)`` °C, a value in every pixel (:func:`~.body.validate_celsius`).
    body
        ``(rows, cols)`` True on the body.
    cascade
        Another cascade than the bundled one.
    """
    learned = bundled_cascade() if cascade is None else cascade
    torso, columns = find_torso(body), celsius.shape[1]
    ahead = _boxes(prepare_input(celsius, body, torso.width), torso, learned)
    turned = torso._replace(col=columns - torso.col)
    behind = _boxes(prepare_input(celsius[:, ::-1], body[:, ::-1], torso.width), turned, learned)
    return corners((ahead + mirror_boxes(behind, columns)) / 2, celsius.shape)


def corners(boxes: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """``(2, 4)`` half-open boxes within the frame, of centres and sizes."""
    half = np.maximum(boxes[:, 2:], SMALLEST) / 2
    low = np.clip(boxes[:, :2] - half, 0, np.array(shape) - SMALLEST)
    high = np.clip(boxes[:, :2] + half, low + SMALLEST, np.array(shape))
    return np.concatenate([low, high], axis=1)


@cache
def bundled_cascade() -> Cascade:
    """Return the cascade that comes with the package, loaded once.

    Raises
    ------
    ImageError
        Its file is missing or damaged.
    """
    with as_file(files("napari_hemacells") / "weights" / WEIGHTS) as file:
        return load_cascade(file)


def load_cascade(file: Path) -> Cascade:
    """Return the cascade of a file that ``training/train_breasts.py`` wrote.

    Raises
    ------
    ImageError
        The file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        stored = load_file(file)
        names = sorted(name for name in stored if name.startswith("stage"))
        stages = tuple(stored[name].astype(np.float32) for name in names)
        return Cascade(stages, stored["start"].astype(np.float32))
    except (OSError, SafetensorError, KeyError) as error:
        raise ImageError(f"{file.name} cannot be read: reinstall the package.") from error


def _boxes(seen: CascadeInput, torso: TorsoExtent, learned: Cascade) -> NDArray[np.float64]:
    return regress_boxes(seen, initial_boxes(torso, learned.start), learned.stages)
