"""What the learned detector tells apart, and the scale that it works at."""

from __future__ import annotations

from napari_hemacells.core.types import PLATELET, RBC, WBC

KINDS = (RBC, WBC, PLATELET)
CANONICAL_DIAMETER = 40.0  # pixels of a typical red cell after the image is brought to scale
STRIDE = 4  # pixels of that image to one cell of the output maps
SEEN = (
    "BCCD's official train list, Chula RBC-12 but for the file numbers 40–59, 140–159 and "
    "240–259, every third platelet picture of PBC; see weights/detector.md"
)
