"""Body, pooling, neck and classifier in one network. Imports torch: use inside functions only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_hemacells.core.encode.finetuned.trunks import build_trunk

if TYPE_CHECKING:
    from torch import Tensor

    from napari_hemacells.core.encode.finetuned.plan import HeadKind, NetworkPlan

WIDTH = 512  # of the layer before the classes
FIRST_DROPOUT, LAST_DROPOUT = 0.25, 0.5
DENSE, DENSE_DROPOUT = 1024, 0.1


class Embedder(nn.Module):
    """Pictures to the vectors that the last, linear layer decides on.

    Attributes
    ----------
    trunk
        Pictures to maps or tokens; heat maps look at what it gives.
    neck
        From the pooled maps to the vector.
    """

    def __init__(self, plan: NetworkPlan) -> None:
        super().__init__()
        self.trunk = build_trunk(plan.arch, plan.size)
        self.both = plan.head == "concat"
        channels = self._channels(plan.size)
        self.neck, self.dim = _neck(plan.head, channels)

    def forward(self, images: Tensor) -> Tensor:
        """``(n, dim)`` of ``(n, 3, size, size)`` normalised pictures."""
        vectors: Tensor = self.neck(self.pool(self.trunk(images)))
        return vectors

    def pool(self, maps: Tensor) -> Tensor:
        """Average and maximum of maps; the class token and the mean of the patches of tokens."""
        if maps.ndim == 4:
            average = maps.mean((2, 3))
            return torch.cat([average, maps.amax((2, 3))], 1) if self.both else average
        prefix = self.trunk.prefix
        patches = maps[:, prefix:].mean(1)
        first = maps[:, 0] if prefix else maps.amax(1)
        return torch.cat([first, patches], 1) if self.both else (first if prefix else patches)

    @torch.no_grad()
    def _channels(self, size: int) -> int:
        was = self.training
        maps = self.pool(self.trunk.eval()(torch.zeros(1, 3, size, size)))
        self.trunk.train(was)
        return int(maps.shape[1])


class Classifier(nn.Module):
    """The whole network: pictures to one score a class.

    Parameters
    ----------
    plan
        What it is made of.
    classes
        How many; two with the head ``dense`` have one sigmoid, whose logit stands against 0.
    """

    def __init__(self, plan: NetworkPlan, classes: int) -> None:
        super().__init__()
        self.embedder, self.classes = Embedder(plan), classes
        dim = self.embedder.dim
        self.single = plan.head == "dense" and classes == 2
        concat = plan.head == "concat"
        self.norm: nn.Module = nn.BatchNorm1d(dim) if concat else nn.Identity()
        self.dropout = nn.Dropout(LAST_DROPOUT if concat else 0.0)
        self.last = nn.Linear(dim, 1 if self.single else classes)

    def forward(self, images: Tensor) -> Tensor:
        """``(n, classes)`` logits of ``(n, 3, size, size)`` normalised pictures."""
        return self.decide(self.embedder(images))

    def decide(self, vectors: Tensor) -> Tensor:
        """``(n, classes)`` logits of the embedder's vectors."""
        logits: Tensor = self.last(self.dropout(self.norm(vectors)))
        return torch.cat([torch.zeros_like(logits), logits], 1) if self.single else logits

    def head_parameters(self) -> list[nn.Parameter]:
        """Return what no pretrained weights exist for."""
        parts = (self.embedder.neck, self.norm, self.last)
        return [one for part in parts for one in part.parameters()]


def _neck(head: HeadKind, channels: int) -> tuple[nn.Module, int]:
    """Return the layers between pooling and last layer, and the length of their vectors."""
    if head == "linear":
        return nn.Identity(), channels
    if head == "concat":
        layers = [
            nn.BatchNorm1d(channels),
            nn.Dropout(FIRST_DROPOUT),
            nn.Linear(channels, WIDTH, bias=False),
            nn.ReLU(inplace=True),
        ]
        return nn.Sequential(*layers), WIDTH
    first = [nn.Linear(channels, DENSE), nn.ReLU(inplace=True), nn.Dropout(DENSE_DROPOUT)]
    second = [nn.Linear(DENSE, WIDTH), nn.ReLU(inplace=True), nn.Dropout(DENSE_DROPOUT)]
    return nn.Sequential(*first, *second), WIDTH
