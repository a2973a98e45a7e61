"""Embeddings + a few annotations → a prediction for every cell; what to label next.

Importing this package does not import scikit-learn or torch: the heads are closed forms.
"""

from napari_hemacells.core.classify.fit import fit
from napari_hemacells.core.classify.head import Head
from napari_hemacells.core.classify.queue import review_queue
from napari_hemacells.core.classify.support import Support

__all__ = ["Head", "Support", "fit", "review_queue"]
