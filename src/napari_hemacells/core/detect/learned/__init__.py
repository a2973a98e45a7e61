"""The learned detector: a small network that finds red cells, white cells and platelets.

Importing this package does not import torch; detecting does.
"""

from napari_hemacells.core.detect.learned.detector import detect_learned, detect_learned_steps

__all__ = ["detect_learned", "detect_learned_steps"]
