"""Features of an exam, grouped by what else they could reveal (camera, room, date).

The name of each begins with its group:

``absolute``
    °C as the camera gave them: of the body and of both breasts.
``relative``
    °C from the body's median, left-right differences, hot spots, texture: the same for a camera
    that shows everything a degree too warm.
``embedding``
    A network's embedding of crops of both breasts, relative to the body's median.
``scene``
    Of the background: the room's temperature. Never used to classify; shown as a check.

The network has never seen a thermogram.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.thermography.regions.crops import Framing, mirrored_crops
from napari_hemacells.core.thermography.regions.measure import (
    PERCENTILES,
    measure_breast,
    temperature_statistics,
)
from napari_hemacells.core.thermography.regions.pipeline import SIDES, find_regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.encode import Encoder
    from napari_hemacells.core.thermography.regions.pipeline import ThermogramRegions

GREY_OFFSET, GREY_SPAN = (
    5.0,
    9.0,
)  # °C from the body's median that is black, and from there to white
CROP_SIDE = 128
FRAMINGS = (
    Framing(),
    Framing(1.15),
    Framing(0.9),
    Framing(1.0, 0.06, 0.04),
    Framing(1.0, -0.06, -0.04),
)


def embed_breasts(regions: ThermogramRegions, encoder: Encoder) -> NDArray[np.float32]:
    """``(2 · dim,)`` float32, unit length: mean and difference of both breasts' embeddings.

    Crops are mirrored so that both face one way, counted from the body's median temperature (so
    that the camera's offset does not matter), and averaged over five framings (test-time
    augmentation). Degrees go to the network as floats.

    A thermogram on which only one breast was outlined has no difference.
    """
    middle = float(np.median(regions.celsius[regions.body]))
    crops = [
        _picture(crop, middle)
        for framing in FRAMINGS
        for crop in mirrored_crops(regions, CROP_SIDE, framing).values()
    ]
    vectors = encoder.encode(np.stack(crops))  # floats: no degree is rounded
    breasts = vectors.reshape(len(FRAMINGS), -1, vectors.shape[1]).mean(axis=0)
    both = np.concatenate([breasts.mean(axis=0), np.abs(breasts[0] - breasts[-1])])
    return np.asarray(both / max(float(np.linalg.norm(both)), 1e-12), dtype=np.float32)


def _picture(celsius: NDArray[np.float32], middle: float) -> NDArray[np.float32]:
    """``(rows, cols, 3)`` float32 from 0 to 255."""
    shown = np.clip((celsius - middle + GREY_OFFSET) / GREY_SPAN, 0, 1) * 255
    return np.repeat(shown[..., None], 3, axis=-1).astype(np.float32)


TEMPERATURE_STATISTICS = ("min", "mean", "max", *(f"p{percentile}" for percentile in PERCENTILES))
OTHER_STATISTICS = (
    "std", "hot_spots", "hot_spot_area", "hot_spot_contrast", "glcm_contrast",
    "glcm_homogeneity", "glcm_energy", "glcm_correlation",
)  # fmt: skip
MAX_FEATURE, MEAN_FEATURE = "absolute.frame.max", "absolute.body.mean"
DIFFERENCE_FEATURE, ROOM_FEATURE = "relative.apart.mean", "scene.room"


def extract_features(celsius: NDArray[np.float32], encoder: Encoder) -> dict[str, float]:
    """Return the features of a frontal thermogram, by name."""
    regions = find_regions(celsius)
    body = temperature_statistics(regions.celsius, regions.body)
    breasts = [measure_breast(regions, side) for side in SIDES]
    return {
        MAX_FEATURE: float(regions.celsius.max()),
        ROOM_FEATURE: _room(regions),
        **{f"absolute.body.{name}": body[name] for name in TEMPERATURE_STATISTICS},
        **_breast_features(breasts, body["p50"]),
        **{f"relative.body.{name}": body[name] - body["p50"] for name in TEMPERATURE_STATISTICS},
        "relative.body.std": body["std"],
        **{
            f"embedding.{index:04d}": float(value)
            for index, value in enumerate(embed_breasts(regions, encoder))
        },
    }


def _breast_features(breasts: list[dict[str, float]], middle: float) -> dict[str, float]:
    """Return the higher and lower value of the two breasts and how far apart they are.

    Which side it is must not matter: a tumour grows on either.
    """
    features: dict[str, float] = {}
    for name in (*TEMPERATURE_STATISTICS, *OTHER_STATISTICS):
        share = name == "hot_spot_area"
        low, high = sorted(breast[name] / (breast["area"] if share else 1) for breast in breasts)
        if name in TEMPERATURE_STATISTICS:
            features |= {f"absolute.higher.{name}": high, f"absolute.lower.{name}": low}
        offset = middle if name in TEMPERATURE_STATISTICS else 0.0
        features[f"relative.higher.{name}"] = high - offset
        features[f"relative.lower.{name}"] = low - offset
        features[f"relative.apart.{name}"] = high - low
    areas = sorted(breast["area"] for breast in breasts)
    features["relative.areas"] = areas[0] / areas[1]
    return features


def _room(regions: ThermogramRegions) -> float:
    """Return the median °C off the body; of the coldest hundredth where all is body."""
    away = regions.celsius[~regions.body]
    if len(away) < 0.01 * regions.celsius.size:
        return float(np.percentile(regions.celsius, 1))
    return float(np.median(away))
