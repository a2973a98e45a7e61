"""One step of SimCLR on a network of which a part learns. Imports torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from napari_hemacells.core.train.selfsupervised.views import ntxent

if TYPE_CHECKING:
    from collections.abc import Collection

PROJECTED = 128
FASTER = 10.0  # the projection, which starts from nothing, learns so much faster
DECAY = 1e-4


class Learner:
    """A network, a projection after it, and what makes them learn.

    Parameters
    ----------
    network
        ``(n, 3, size, size)`` to ``(n, dim)``.
    names
        Its weights that learn; the others, and what batch normalisation knows of ImageNet and
        blood, stay as they are.
    dim
        Numbers of its vectors.
    rate
        Of the network's weights, at the start; falls to nothing along half a cosine.
    own_statistics
        Whether batch normalisation measures anew: for a network that starts from nothing.
    """

    def __init__(
        self,
        network: Any,
        names: Collection[str],
        dim: int,
        *,
        steps: int,
        rate: float,
        temperature: float,
        device: str = "cpu",
        own_statistics: bool = False,
    ) -> None:
        self.network = network.to(device).train(own_statistics)
        self.names, self.steps, self.rate, self.device = list(names), steps, rate, device
        taught = set(self.names)
        for name, value in self.network.named_parameters():
            value.requires_grad_(name in taught)
        self.projection = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, PROJECTED)
        ).to(device)
        own = [one for name, one in self.network.named_parameters() if name in taught]
        groups = [{"params": own}, {"params": list(self.projection.parameters())}]
        self.optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=DECAY)
        self.loss = ntxent(temperature).to(device)
        self.step = 0

    def learn(self, first: torch.Tensor, second: torch.Tensor) -> float:
        """Return the loss of a batch of pairs, after one step down from it."""
        falling = 0.5 * (1 + math.cos(math.pi * self.step / self.steps))
        for group, factor in zip(self.optimizer.param_groups, (1.0, FASTER), strict=True):
            group["lr"] = self.rate * factor * falling
        views = torch.cat([first, second]).to(self.device)
        one, other = self.projection(self.network(views)).chunk(2)
        loss = self.loss(one, other)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return float(loss.detach())

    def changed(self) -> dict[str, torch.Tensor]:
        """Return the weights that learn, by name."""
        own = self.network.state_dict()
        return {name: own[name].detach().cpu().clone() for name in self.names}

    def state(self) -> dict[str, Any]:
        """As tensors and plain values, for a checkpoint."""
        return {
            "step": self.step,
            "changed": self.changed(),
            "projection": self.projection.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.step = state["step"]
        self.network.load_state_dict(state["changed"], strict=False)
        self.projection.load_state_dict(state["projection"])
        self.optimizer.load_state_dict(state["optimizer"])
