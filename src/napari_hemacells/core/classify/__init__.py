"""Embeddings + a few annotations → a prediction for every cell; what to label next.

Importing this package does not import scikit-learn or torch: the heads are closed forms.
"""

from napari_hemacells.core.classify.active_learning import cold_start, review_queue
from napari_hemacells.core.classify.calibration import Calibration
from napari_hemacells.core.classify.domain_shift import Shift, restandardise, shift
from napari_hemacells.core.classify.fit import Support, fit
from napari_hemacells.core.classify.head import Head
from napari_hemacells.core.classify.reference import Reference

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
