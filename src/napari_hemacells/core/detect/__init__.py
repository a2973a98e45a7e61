"""Image → cells: from an existing layer, or found in the image.

Importing this package imports neither scikit-image nor torch; measuring and finding cells do.
"""

from napari_hemacells.core.detect.cell_table import measure, no_cells, typical_diameter
from napari_hemacells.core.detect.diameter import estimate_diameter
from napari_hemacells.core.detect.pipeline import detect, detect_steps, prepare
from napari_hemacells.core.detect.redetect import keep_annotated
from napari_hemacells.core.detect.regions import Regions
from napari_hemacells.core.detect.sources import (
    cells_from_boxes,
    cells_from_labels,
    cells_from_points,
    cells_from_polygons,
)

__all__ = [
    "Regions",
    "cells_from_boxes",
    "cells_from_labels",
    "cells_from_points",
    "cells_from_polygons",
    "detect",
    "detect_steps",
    "estimate_diameter",
    "keep_annotated",
    "measure",
    "no_cells",
    "prepare",
    "typical_diameter",
]
