"""Networks that were trained whole, as an encoder: what a bundle holds and how it is rebuilt.

Importing this package does not import torch; :func:`finetuned_encoder` does.
"""

from napari_hemacells.core.encode.finetuned.plan import NetworkPlan
from napari_hemacells.core.encode.finetuned.rebuild import finetuned_encoder

__all__ = ["NetworkPlan", "finetuned_encoder"]
