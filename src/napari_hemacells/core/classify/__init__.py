"""Classification from embeddings and a few annotations, and what to annotate next.

Importing this package does not import scikit-learn or torch: the heads are closed forms.
"""

from napari_hemacells.core.classify.active_learning import cold_start, review_queue
from napari_hemacells.core.classify.calibration import Calibration
from napari_hemacells.core.classify.domain_shift import DomainShift, head_shift, restandardise
from napari_hemacells.core.classify.fit import SupportSet, fit
from napari_hemacells.core.classify.head import Head
from napari_hemacells.core.classify.hierarchy import HierarchicalHead, fit_levels
from napari_hemacells.core.classify.one_class import without_contradictions
from napari_hemacells.core.classify.reference import Reference

__all__ = [
    "Calibration",
    "DomainShift",
    "Head",
    "HierarchicalHead",
    "Reference",
    "SupportSet",
    "cold_start",
    "fit",
    "fit_levels",
    "head_shift",
    "restandardise",
    "review_queue",
    "without_contradictions",
]
