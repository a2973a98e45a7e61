"""Embeddings + a few annotations → a prediction for every cell; what to label next.

Importing this package does not import scikit-learn or torch: the heads are closed forms.
"""

from napari_hemacells.core.classify.calibrate import Calibration
from napari_hemacells.core.classify.fit import fit
from napari_hemacells.core.classify.head import Head
from napari_hemacells.core.classify.queue import cold_start, review_queue
from napari_hemacells.core.classify.shift import Reference, Shift, restandardise, shift
from napari_hemacells.core.classify.support import Support

__all__ = [
    "Calibration",
    "Head",
    "Reference",
    "Shift",
    "Support",
    "cold_start",
    "fit",
    "restandardise",
    "review_queue",
    "shift",
]
