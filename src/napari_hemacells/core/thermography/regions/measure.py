"""Temperature statistics and texture of regions, as a table.

Statistics are exactly NumPy's on the raw array. Texture: co-occurrence in fixed steps of °C, and
local binary patterns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_hemacells.core.files.fsio import write_bytes
from napari_hemacells.core.files.text_tables import frame_csv_bytes
from napari_hemacells.core.thermography.regions.pipeline import SIDES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.thermography.regions.hotspots import HotSpot
    from napari_hemacells.core.thermography.regions.pipeline import (
        Side,
        ThermogramRegions,
    )

STEP, REACH = 0.25, 6.0  # °C a bin, °C on both sides of the region's median
DISTANCES = (2, 5)  # of co-occurrence, thousandths of the frame's diagonal (1 px at least)
PROPERTIES = ("contrast", "homogeneity", "energy", "correlation")
LBP_POINTS, LBP_RADIUS = 8, 2
LBP_STEP = 0.1  # °C: noise below that makes no pattern
DIAGONAL = 800.0  # pixels of 640 × 480


def texture_features(celsius: NDArray[np.float32], mask: NDArray[np.bool_]) -> dict[str, float]:
    """Return texture features by name; contrast is in °C², the others have no unit.

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


PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
BODY = "body"
DIFFERENCE = "left minus right"
UNITS = {
    "area": "px", "hot_spot_area": "px", "glcm_contrast": "°C²",
    "min": "°C", "mean": "°C", "max": "°C", "std": "°C", "hot_spot_peak": "°C",
    "hot_spot_contrast": "°C", **{f"p{percentile}": "°C" for percentile in PERCENTILES},
}  # fmt: skip


def column_title(name: str) -> str:
    """Return a column's title with its unit.

    Examples
    --------
    >>> titled("mean"), titled("hot_spots")
    ('mean (°C)', 'hot_spots')
    """
    return f"{name} ({UNITS[name]})" if name in UNITS else name


def temperature_statistics(
    celsius: NDArray[np.float32], mask: NDArray[np.bool_]
) -> dict[str, float]:
    """Return area, minimum, mean, maximum, standard deviation and percentiles of a region.

    Computed in double precision on the stored values of the pixels, in the order of rows: the
    same digits as ``celsius[mask].astype(float).mean()`` and the like.
    """
    values = celsius[mask].astype(np.float64)
    percentiles = np.percentile(values, PERCENTILES)
    return {
        "area": float(values.size),
        "min": float(values.min()),
        "mean": float(values.mean()),
        "max": float(values.max()),
        "std": float(values.std()),
        **{
            f"p{percentile}": float(value)
            for percentile, value in zip(PERCENTILES, percentiles, strict=True)
        },
    }


def measure_regions(regions: ThermogramRegions) -> pd.DataFrame:
    """Return a row for each region: body, each breast, and left minus right if both exist.

    Columns: ``region``, then area, temperatures, hot spots and texture, with their units
    (:func:`column_title`). What the body has no value for is empty.
    """
    body = {"region": BODY, **temperature_statistics(regions.celsius, regions.body)}
    breasts = {side: measure_breast(regions, side) for side in SIDES if side in regions.breasts}
    rows = [body, *({"region": f"{side} breast", **own} for side, own in breasts.items())]
    if len(breasts) == len(SIDES):
        right, left = breasts["right"], breasts["left"]
        rows.append({"region": DIFFERENCE, **{name: left[name] - right[name] for name in left}})
    table = pd.DataFrame(rows)
    return table.rename(columns={name: column_title(name) for name in table.columns})


def measure_breast(regions: ThermogramRegions, side: Side) -> dict[str, float]:
    """Return temperatures, hot spots and texture of a breast, by name."""
    breast = regions.breasts[side]
    return {
        **temperature_statistics(regions.celsius, breast.mask),
        **_hot_spot_statistics(breast.hot_spots),
        **texture_features(regions.celsius, breast.mask),
    }


def write_table(table: pd.DataFrame, file: Path) -> Path:
    """Write the table as CSV, every number with all its digits.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    write_bytes(file, frame_csv_bytes(table))
    return file


def _hot_spot_statistics(spots: tuple[HotSpot, ...]) -> dict[str, float]:
    """Return number, area, highest temperature and strongest contrast of hot spots; 0 for none."""
    return {
        "hot_spots": float(len(spots)),
        "hot_spot_area": float(sum(spot.area_px for spot in spots)),
        "hot_spot_peak": max((spot.peak for spot in spots), default=np.nan),
        "hot_spot_contrast": max((spot.contrast for spot in spots), default=0.0),
    }
