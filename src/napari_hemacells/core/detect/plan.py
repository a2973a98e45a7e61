"""The plan of a detection: settings and measurements shared by all parts of an image."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_hemacells.core.detect.regions import Regions
    from napari_hemacells.core.detect.stain_thresholds import StainThresholds
    from napari_hemacells.core.detect.tiling import Part
    from napari_hemacells.core.params import DetectorName, DetectParams

FORMAT = 1  # of what detection leaves on disk


@dataclass(frozen=True, eq=False)
class Plan:
    """The parts of an image and their common settings; picklable and small.

    Attributes
    ----------
    method
        The detector.
    diameter
        Typical cell diameter in pixels of the image, 0 if unknown.
    params
        The user's parameters.
    shape
        Rows and columns of the image.
    parts
        The parts to search, on the image resampled by `scale`.
    scale
        Pixels of the parts' grid per pixel of the image.
    image_key
        The image's identity.
    weights
        The learned detector's identity.
    regions
        Regions to search; everywhere if there are none.
    levels
        Measurements of the classical detector on an image of many parts.
    norms
        Normalisation statistics of the learned detector.
    other_diameter
        Another diameter in pixels that fits nearly as well; ``None`` where there is no doubt.
    """

    method: DetectorName
    diameter: float
    params: DetectParams
    shape: tuple[int, int]
    parts: tuple[Part, ...]
    scale: float = 1.0
    image_key: str = ""
    weights: str = ""
    regions: Regions | None = None
    levels: StainThresholds | None = None
    norms: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] | None = None
    other_diameter: float | None = None

    def holds(self, centres: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which ``(n, 2)`` centres, in pixels of the image, lie in the regions."""
        if self.regions is None:
            return np.ones(len(centres), bool)
        return self.regions.contains(centres)

    def digest(self) -> str:
        """Return a hash (32 hexadecimal digits) of everything that determines the cells."""
        about: dict[str, Any] = {
            "format": FORMAT,
            "method": self.method,
            "diameter": self.diameter,
            "params": self.params.model_dump(mode="json"),
            "shape": list(self.shape),
            "parts": [asdict(part) for part in self.parts],
            "scale": self.scale,
            "image": self.image_key,
            "weights": self.weights,
            "levels": None if self.levels is None else self.levels.to_dict(),
            "norms": self.norms,
            "regions": None if self.regions is None else self.regions.to_list(),
        }
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]


def parts_in_regions(
    parts: Iterable[Part], regions: Regions | None, ratio: tuple[float, float]
) -> tuple[Part, ...]:
    """Return the parts whose core shares a point with a region.

    Parameters
    ----------
    ratio
        Image pixels per grid pixel, along rows and columns.
    """
    if regions is None:
        return tuple(parts)
    return tuple(
        part
        for part in parts
        if regions.touch(
            (part.core_rows[0] * ratio[0], part.core_cols[0] * ratio[1]),
            (part.core_rows[1] * ratio[0], part.core_cols[1] * ratio[1]),
        )
    )
