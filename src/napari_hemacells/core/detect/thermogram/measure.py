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


def mirrored_crops(regions: ThermogramRegions, size: int = 128) -> dict[Side, NDArray[np.float32]]:
    """``{side: (size, size)}`` float32 °C crops, the right one mirrored: both face one way.

    Each is the square around the middle of the breast's box, as long as its longer side, resampled
    bilinearly; beyond the frame its border is repeated. For a picture or a network: measure on
    the frame, not on crops.
    """
    crops = {}
    for side, breast in regions.breasts.items():
        crop = _square(regions.celsius, breast.box, size)
        crops[side] = crop[:, ::-1].copy() if side == "right" else crop
    return crops


def _square(
    celsius: NDArray[np.float32], box: NDArray[np.float64], size: int
) -> NDArray[np.float32]:
    from scipy import ndimage

    side = float((box[2:] - box[:2]).max())
    middle = (box[:2] + box[2:]) / 2 - 0.5
    steps = (np.arange(size) + 0.5) / size * side - side / 2
    smooth = ndimage.gaussian_filter(celsius, max(0.0, 0.5 * (side / size - 1)))
    places = np.stack(np.meshgrid(middle[0] + steps, middle[1] + steps, indexing="ij"))
    crop = ndimage.map_coordinates(smooth, places, order=1, mode="nearest")
    return np.asarray(crop, dtype=np.float32)


def _hot(spots: tuple[HotSpot, ...]) -> dict[str, float]:
    """Return number, area, highest temperature and strongest contrast of hot spots; 0 for none."""
    return {
        "hot_spots": float(len(spots)),
        "hot_spot_area": float(sum(spot.area_px for spot in spots)),
        "hot_spot_peak": max((spot.peak for spot in spots), default=np.nan),
        "hot_spot_contrast": max((spot.contrast for spot in spots), default=0.0),
    }
