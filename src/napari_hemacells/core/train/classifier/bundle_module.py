"""A model bundle as one PyTorch module: pixels to class probabilities. Imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from napari_hemacells.core.errors import BundleError

if TYPE_CHECKING:
    from torch import Tensor

    from napari_hemacells.core.classify import Head
    from napari_hemacells.core.encode.network import NetworkEncoder


class BundleModule(nn.Module):
    """Crops as ``(n, 3, size, size)`` floats of 0 to 255 to class probabilities.

    Raises
    ------
    BundleError
        The head is not linear.
    """

    offset: Tensor
    spread: Tensor
    weights: Tensor
    bias: Tensor

    def __init__(self, encoder: NetworkEncoder, head: Head) -> None:
        super().__init__()
        if head.kind != "linear":
            raise BundleError(
                f"Only a model with a linear head is one network, not one with “{head.kind}”."
            )
        self.network = encoder.network
        how = encoder.info.preprocessing
        folded = head.weights / head.scale[:, None]
        for name, values in (("offset", how["mean"]), ("spread", how["std"])):
            self.register_buffer(name, torch.tensor(values).mul(255.0).view(1, 3, 1, 1))
        self.register_buffer("weights", torch.from_numpy(folded))
        bias = np.asarray(head.bias - head.centre @ folded, np.float32)
        self.register_buffer("bias", torch.from_numpy(bias))
        self.slope = float(head.slope)
        self.to(encoder.device)

    def forward(self, pictures: Tensor) -> Tensor:
        """``(n, classes)`` probabilities."""
        return torch.softmax(self.logits(pictures), dim=1)

    def logits(self, pictures: Tensor) -> Tensor:
        """``(n, classes)`` what the softmax makes probabilities of."""
        vectors = self.network((pictures - self.offset) / self.spread)
        scores: Tensor = (vectors @ self.weights + self.bias) * self.slope
        return scores
