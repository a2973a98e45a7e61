"""A running mean of the weights, which does better than the last weights. Imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn

Tensors = dict[str, torch.Tensor]


class ModelEma:
    """The exponential moving average of a network's weights.

    Parameters
    ----------
    keep
        Share of the old mean that a step leaves; less in the first steps.
    """

    def __init__(self, network: nn.Module, keep: float) -> None:
        self.keep = keep
        self.tensors: Tensors = {
            name: value.detach().clone() for name, value in network.state_dict().items()
        }

    @torch.no_grad()
    def add(self, network: nn.Module, step: int) -> None:
        """Take the weights after this step (1 or more) in."""
        keep = min(self.keep, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.tensors[name].mul_(keep).add_(value, alpha=1 - keep)
            else:
                self.tensors[name].copy_(value)
