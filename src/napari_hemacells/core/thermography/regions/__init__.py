"""Body, breasts and hot spots of a thermogram, and their measurements.

Importing this package imports neither scikit-image nor torch; using it does.
"""

from napari_hemacells.core.thermography.regions.body import body_mask
from napari_hemacells.core.thermography.regions.breasts import find_boxes
from napari_hemacells.core.thermography.regions.hotspots import HotSpot, find_hot_spots
from napari_hemacells.core.thermography.regions.pipeline import (
    SIDES,
    BreastRegion,
    Side,
    ThermogramRegions,
    find_regions,
    regions_from_outlines,
)

__all__ = [
    "SIDES",
    "BreastRegion",
    "HotSpot",
    "Side",
    "ThermogramRegions",
    "body_mask",
    "find_boxes",
    "find_hot_spots",
    "find_regions",
    "regions_from_outlines",
]
