"""Measurements of the classical detector, made once per image and shared by all parts."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from napari_hemacells.core.detect.classical.erythrocytes import find_erythrocytes
from napari_hemacells.core.detect.classical.leukocytes import cytoplasm_floor, find_leukocytes
from napari_hemacells.core.detect.foreground import foreground, foreground_floor
from napari_hemacells.core.detect.outlines import union_mask
from napari_hemacells.core.detect.stain import (
    fit_glass_to,
    log_brightness,
    polynomial,
)
from napari_hemacells.core.detect.stain_thresholds import ErythrocyteThresholds, StainThresholds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.core.detect.stain import Glass, GridCoordinates, Stain
    from napari_hemacells.core.detect.tiling import ScaledImage
    from napari_hemacells.core.types import SmearImage

SMOOTH = 0.7  # pixels, of the foreground
FIT_SIDE = 96  # pixels along an axis that the glass is fitted to
FIT_WINDOWS, FIT_PIXELS = 8, 12  # along an axis, where there is no overview


def relative_coordinates(view: ScaledImage, rows: slice, cols: slice) -> GridCoordinates:
    """Return the relative positions of rows and columns in the image, from 0 to 1."""
    high, wide = view.shape
    return np.arange(rows.start, rows.stop) / high, np.arange(cols.start, cols.stop) / wide


def fit_image_glass(image: SmearImage) -> Glass:
    """Return the background of a large image, from its overview or a grid of pixels."""
    if image.overview is not None:
        whole = image.overview.shape[:2]
        places = [np.unique(np.linspace(0, side - 1, FIT_SIDE).astype(int)) for side in whole]
        small = np.asarray(image.overview[:, :], dtype=np.uint8)[np.ix_(*places)]
        terms = polynomial(places[0] / whole[0], places[1] / whole[1])
        return fit_glass_to(terms, log_brightness(small).reshape(-1, 3).astype(np.float64))
    parts, values = [], []
    for row in _spaced_windows(image.shape[0]):
        for col in _spaced_windows(image.shape[1]):
            pixels = np.asarray(image.pixels[row, col], dtype=np.uint8)[::8, ::8]
            inside = [np.arange(span.start, span.stop, 8) for span in (row, col)]
            parts.append(polynomial(inside[0] / image.shape[0], inside[1] / image.shape[1]))
            values.append(log_brightness(pixels).reshape(-1, 3).astype(np.float64))
    return fit_glass_to(np.concatenate(parts), np.concatenate(values))


def _spaced_windows(extent: int) -> list[slice]:
    """Return small windows spread along an axis."""
    side = min(extent, 8 * FIT_PIXELS)
    count = min(FIT_WINDOWS, max(1, extent // side))
    starts = np.linspace(0, extent - side, 2 * count + 1)[1::2].astype(int).tolist()
    return [slice(start, start + side) for start in starts]


def measure_thresholds(stain: Stain, glass: Glass, diameter: float) -> StainThresholds:
    """Return the levels of one window, measured as on a small image."""
    floor = foreground_floor(stain, ndi.gaussian_filter(stain.density, SMOOTH))
    plasma = cytoplasm_floor(stain, diameter)
    white = find_leukocytes(stain, diameter, 1.0, plasma) if stain.coloured else []
    taken = union_mask(white, stain.density.shape)
    _, red = find_erythrocytes(stain, diameter, 1.0, foreground(stain, SMOOTH, floor), taken)
    return StainThresholds(glass, stain.noise, stain.coloured, floor, plasma, red)


def median_thresholds(seen: Sequence[StainThresholds]) -> StainThresholds:
    """Return the median of the levels of several windows."""
    red = [thresholds.red for thresholds in seen if thresholds.red is not None]
    return StainThresholds(
        glass=seen[0].glass,
        noise=_median([thresholds.noise for thresholds in seen]),
        coloured=any(thresholds.coloured for thresholds in seen),
        stained=_median([thresholds.stained for thresholds in seen]),
        plasma=_median([thresholds.plasma for thresholds in seen]),
        red=_median_erythrocyte_thresholds(red) if red else None,
    )


def _median_erythrocyte_thresholds(seen: Sequence[ErythrocyteThresholds]) -> ErythrocyteThresholds:
    names = [field.name for field in fields(ErythrocyteThresholds)]
    return ErythrocyteThresholds(
        **{name: _median([getattr(thresholds, name) for thresholds in seen]) for name in names}
    )


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))
