"""Texture of temperatures: co-occurrence in fixed steps of °C, and local binary patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP, REACH = 0.25, 6.0  # °C a bin, °C on both sides of the region's median
DISTANCES = (2, 5)  # of co-occurrence, thousandths of the frame's diagonal (1 px at least)
PROPERTIES = ("contrast", "homogeneity", "energy", "correlation")
LBP_POINTS, LBP_RADIUS = 8, 2
LBP_STEP = 0.1  # °C: noise below that makes no pattern
DIAGONAL = 800.0  # pixels of 640 × 480


def texture(celsius: NDArray[np.float32], mask: NDArray[np.bool_]) -> dict[str, float]:
    """Return the texture of a region by name, all without a unit but contrast (°C²).

    Temperatures are counted from the region's median, so that the camera's offset does not matter,
    in bins of 0.25 °C. Source: Haralick 1973 (co-occurrence); Ojala 2002 (uniform patterns).
    """
    from scipy import ndimage

    window = ndimage.find_objects(mask.astype(np.uint8))[0]
    warmth, inside = celsius[window], mask[window]
    return {**_cooccurrence(warmth, inside), **_patterns(warmth, inside)}


def _cooccurrence(celsius: NDArray[np.float32], inside: NDArray[np.bool_]) -> dict[str, float]:
    from skimage.feature import graycomatrix, graycoprops

    bins = int(2 * REACH / STEP)
    from_median = (celsius - np.median(celsius[inside])) / STEP + bins / 2
    levels = np.where(inside, np.clip(np.floor(from_median), 0, bins - 1) + 1, 0).astype(np.uint8)
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    counts = graycomatrix(levels, DISTANCES, angles, levels=bins + 1, symmetric=True)
    pairs = counts[1:, 1:].astype(np.float64)  # level 0 is what lies outside the region
    pairs /= np.maximum(pairs.sum(axis=(0, 1), keepdims=True), 1)
    named = {name: float(graycoprops(pairs, name).mean()) for name in PROPERTIES}
    named["contrast"] *= STEP**2
    return {f"glcm_{name}": value for name, value in named.items()}


def _patterns(celsius: NDArray[np.float32], inside: NDArray[np.bool_]) -> dict[str, float]:
    from skimage.feature import local_binary_pattern

    steps = np.floor(celsius / LBP_STEP).astype(np.int32)
    codes = local_binary_pattern(steps, LBP_POINTS, LBP_RADIUS, method="uniform")[inside]
    shares = np.bincount(codes.astype(int), minlength=LBP_POINTS + 2) / max(len(codes), 1)
    return {f"lbp_{code}": float(share) for code, share in enumerate(shares)}
