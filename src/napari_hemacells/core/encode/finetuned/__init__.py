"""Fine-tuned networks as encoders: their configuration in a bundle, and how they are rebuilt.

Importing this package does not import torch; :func:`finetuned_encoder` does.
"""

from napari_hemacells.core.encode.finetuned.config import NetworkPlan
from napari_hemacells.core.encode.finetuned.load import finetuned_encoder

__all__ = ["NetworkPlan", "finetuned_encoder"]
