"""Networks that were trained whole, as an encoder: what a bundle holds and how it is rebuilt.

Importing this package does not import torch; :func:`finetuned_encoder` does.
"""

from napari_hemacells.core.encode.finetuned.config import NetworkPlan
from napari_hemacells.core.encode.finetuned.load import finetuned_encoder

__all__ = ["NetworkPlan", "finetuned_encoder"]
