"""Image → cells: from an existing layer, or found in the image.

Importing this package does not import scikit-image; finding cells does.
"""

from napari_hemacells.core.detect.keep import keep_annotated
from napari_hemacells.core.detect.measure import measure, no_cells, typical_diameter
from napari_hemacells.core.detect.sources import (
    cells_from_boxes,
    cells_from_labels,
    cells_from_points,
    cells_from_polygons,
)

__all__ = [
    "cells_from_boxes",
    "cells_from_labels",
    "cells_from_points",
    "cells_from_polygons",
    "keep_annotated",
    "measure",
    "no_cells",
    "typical_diameter",
]
