"""Group normalisation with the statistics of a whole image. Imports torch.

The mean and spread over one tile depend on the tile's borders, so a cell's score would depend on
its neighbourhood. For an image of several parts they are measured once and used for every part.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

NormStatistics = dict[str, tuple[tuple[float, ...], tuple[float, ...]]]  # layer: means, variances


@dataclass
class NormStatisticsCollector:
    """Sums over pictures, by layer: their number, and means and mean squares of the groups."""

    sums: dict[str, tuple[int, torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def add(self, layer: str, values: torch.Tensor, groups: int) -> None:
        """Add the values ``(n, channels, rows, cols)`` of a layer."""
        flat = values.detach().float().reshape(len(values), groups, -1)
        count, mean, square = self.sums.get(layer, (0, torch.zeros(groups), torch.zeros(groups)))
        self.sums[layer] = (
            count + len(values),
            mean + flat.mean(dim=2).sum(dim=0).cpu(),
            square + flat.square().mean(dim=2).sum(dim=0).cpu(),
        )

    def norms(self) -> NormStatistics:
        """Return the pooled statistics of all pictures."""
        statistics: NormStatistics = {}
        for layer, (count, means, squares) in self.sums.items():
            mean = means / count
            variance = (squares / count - mean.square()).clamp(min=0)
            statistics[layer] = (tuple(mean.tolist()), tuple(variance.tolist()))
        return statistics


_COLLECTOR: ContextVar[NormStatisticsCollector | None] = ContextVar("gathered", default=None)
_STATISTICS: ContextVar[NormStatistics | None] = ContextVar("known", default=None)


@contextmanager
def collect_norm_statistics() -> Iterator[NormStatisticsCollector]:
    """Collect the statistics of the pictures processed within the block."""
    gathered = NormStatisticsCollector()
    token = _COLLECTOR.set(gathered)
    try:
        yield gathered
    finally:
        _COLLECTOR.reset(token)


@contextmanager
def use_norm_statistics(norms: NormStatistics | None) -> Iterator[None]:
    """Normalise by these statistics within the block; None uses each picture's own."""
    token = _STATISTICS.set(norms)
    try:
        yield
    finally:
        _STATISTICS.reset(token)


class ImageGroupNorm(nn.GroupNorm):
    """Group normalisation by a picture's own statistics, or those of its whole image."""

    layer = ""  # its name in the network, set when that is complete

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values of ``(n, channels, rows, cols)`` normalised."""
        gathered, known = _COLLECTOR.get(), _STATISTICS.get()
        if gathered is not None:
            gathered.add(self.layer, values, self.num_groups)
        if known is None:
            return super().forward(values)
        channels = self.num_channels // self.num_groups
        mean, variance = (
            torch.tensor(group_values, device=values.device).repeat_interleave(channels)
            for group_values in known[self.layer]
        )
        slope = self.weight / torch.sqrt(variance + self.eps)
        offset = self.bias - mean * slope
        # One pass over the maps, into new memory once.
        return torch.addcmul(offset[:, None, None], values, slope[:, None, None])


def name_norms(network: nn.Module) -> None:
    """Set the layer name of each normalisation of a network."""
    for name, module in network.named_modules():
        if isinstance(module, ImageGroupNorm):
            module.layer = name
