"""What the learned detector tells apart, and the scale that it works at."""

from __future__ import annotations

from napari_hemacells.core.types import PLATELET, RBC, WBC

KINDS = (RBC, WBC, PLATELET)
CANONICAL_DIAMETER = 40.0  # pixels of a typical red cell after the image is brought to scale
STRIDE = 4  # pixels of that image to one cell of the output maps
