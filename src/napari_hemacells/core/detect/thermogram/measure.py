"""Temperatures of regions as a table: exactly those that NumPy gives on the raw array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_hemacells.core.detect.thermogram.regions import SIDES
from napari_hemacells.core.detect.thermogram.texture import texture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.detect.thermogram.hotspots import HotSpot
    from napari_hemacells.core.detect.thermogram.regions import Side, ThermogramRegions

PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
BODY = "body"
DIFFERENCE = "left minus right"
UNITS = {
    "area": "px", "hot_spot_area": "px", "glcm_contrast": "°C²",
    "min": "°C", "mean": "°C", "max": "°C", "std": "°C", "hot_spot_peak": "°C",
    "hot_spot_contrast": "°C", **{f"p{one}": "°C" for one in PERCENTILES},
}  # fmt: skip


def titled(name: str) -> str:
    """Return a column's name with its unit, as the table and its file have it.

    Examples
    --------
    >>> titled("mean"), titled("hot_spots")
    ('mean (°C)', 'hot_spots')
    """
    return f"{name} ({UNITS[name]})" if name in UNITS else name


def temperatures(celsius: NDArray[np.float32], mask: NDArray[np.bool_]) -> dict[str, float]:
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
        **{f"p{one}": float(value) for one, value in zip(PERCENTILES, percentiles, strict=True)},
    }


def measure_regions(regions: ThermogramRegions) -> pd.DataFrame:
    """Return a row a region: the body, each breast, and left minus right where there are both.

    Columns: ``region``, then area, temperatures, hot spots and texture, with their units
    (:func:`titled`). What the body has no value for is empty.
    """
    body = {"region": BODY, **temperatures(regions.celsius, regions.body)}
    breasts = {side: measure_breast(regions, side) for side in SIDES if side in regions.breasts}
    rows = [body, *({"region": f"{side} breast", **own} for side, own in breasts.items())]
    if len(breasts) == len(SIDES):
        right, left = breasts["right"], breasts["left"]
        rows.append({"region": DIFFERENCE, **{name: left[name] - right[name] for name in left}})
    table = pd.DataFrame(rows)
    return table.rename(columns={name: titled(name) for name in table.columns})


def measure_breast(regions: ThermogramRegions, side: Side) -> dict[str, float]:
    """Return temperatures, hot spots and texture of a breast, by name."""
    breast = regions.breasts[side]
    return {
        **temperatures(regions.celsius, breast.mask),
        **_hot(breast.hot_spots),
        **texture(regions.celsius, breast.mask),
    }


def write_table(table: pd.DataFrame, file: Path) -> Path:
    """Write the table as CSV, every number with all its digits.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    from napari_hemacells.core.errors import StorageError

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(file, index=False, encoding="utf-8-sig", lineterminator="\n")
    except OSError as error:
        raise StorageError(f"{file} cannot be written: choose another folder.") from error
    return file


def _hot(spots: tuple[HotSpot, ...]) -> dict[str, float]:
    """Return number, area, highest temperature and strongest contrast of hot spots; 0 for none."""
    return {
        "hot_spots": float(len(spots)),
        "hot_spot_area": float(sum(spot.area_px for spot in spots)),
        "hot_spot_peak": max((spot.peak for spot in spots), default=np.nan),
        "hot_spot_contrast": max((spot.contrast for spot in spots), default=0.0),
    }
