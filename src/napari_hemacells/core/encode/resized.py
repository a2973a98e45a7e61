"""A network behind a change of size. Imports torch: import this module inside functions only."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as nnf

SMOOTH = {"bilinear": "bilinear"}  # everything finer is bicubic here


class Resized(nn.Module):
    """A timm model without classifier that takes pictures of any size.

    Parameters
    ----------
    model
        Gives pooled vectors.
    size
        Side to which pictures are brought.
    interpolation
        As timm names it.
    """

    def __init__(self, model: Any, size: int, interpolation: str) -> None:
        super().__init__()
        self.model, self.size = model, size
        self.mode = SMOOTH.get(interpolation, "bicubic")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """``(n, dim)`` of ``(n, 3, rows, cols)`` normalised pictures."""
        if images.shape[-2:] != (self.size, self.size):
            side = (self.size, self.size)
            images = nnf.interpolate(images, size=side, mode=self.mode, antialias=True)
        vectors: torch.Tensor = self.model(images)
        return vectors

    @torch.inference_mode()
    def dim(self) -> int:
        """How many numbers a vector has."""
        self.eval()
        return int(self(torch.zeros(1, 3, self.size, self.size)).shape[1])
