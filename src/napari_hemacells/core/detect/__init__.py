"""Cell detection: cells of an existing layer, or found in the image.

Importing this package imports neither scikit-image nor torch; detection does.
"""

from napari_hemacells.core.detect.cell_table import empty_cells, measure_labels, typical_diameter
from napari_hemacells.core.detect.diameter import estimate_diameter
from napari_hemacells.core.detect.pipeline import (
    PartialDetection,
    detect,
    detect_steps,
    preload_detector,
)
from napari_hemacells.core.detect.redetect import keep_annotated
from napari_hemacells.core.detect.regions import Regions
from napari_hemacells.core.detect.sources import (
    cells_from_boxes,
    cells_from_labels,
    cells_from_points,
    cells_from_polygons,
)

__all__ = [
    "PartialDetection",
    "Regions",
    "cells_from_boxes",
    "cells_from_labels",
    "cells_from_points",
    "cells_from_polygons",
    "detect",
    "detect_steps",
    "empty_cells",
    "estimate_diameter",
    "keep_annotated",
    "measure_labels",
    "preload_detector",
    "typical_diameter",
]
