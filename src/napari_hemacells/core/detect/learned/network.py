"""The detector's network. Imports torch: import this module inside functions only."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from napari_hemacells.core.detect.learned.group_norm import ImageGroupNorm, name_norms
from napari_hemacells.core.detect.learned.metadata import KINDS, STRIDE, TAPS

ARCHITECTURE = "tf_efficientnet_lite0"
BLOCKS = 5  # of 7: up to stride 16; the rest is three quarters of the weights and sees classes
WIDTH = 64
UNIT = 20.0  # pixels that a side output of 0 stands for: the radius of a typical red cell
PRIOR = -2.94  # logit of 0.05, so that the first steps are not spent on empty glass


class Maps(NamedTuple):
    """Output maps for ``(n, 3, rows, cols)`` pictures, at a quarter of the resolution.

    Attributes
    ----------
    heat
        ``(n, kinds, rows / 4, cols / 4)`` logits of a centre of each kind.
    sides
        ``(n, kinds, 4, rows / 4, cols / 4)`` pixels from here to the box's top, left, bottom,
        right. One per kind, because a platelet may lie on the centre of a red cell.
    foreground
        ``(n, rows / 4, cols / 4)`` logits of being part of any cell.
    """

    heat: torch.Tensor
    sides: torch.Tensor
    foreground: torch.Tensor


class CellNet(nn.Module):
    """EfficientNet-Lite0 up to stride 16, a light top-down path to stride 4, three outputs.

    Centres as in CenterNet (Zhou et al. 2019), box sides at every inner pixel as in TTFNet (Liu
    et al. 2020). The added layers use group normalisation, which stores no scanner statistics.

    Parameters
    ----------
    backbone
        A timm ``tf_efficientnet_lite0``; only its stem and first blocks are kept.
    """

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.stem = nn.Sequential(backbone.conv_stem, backbone.bn1)
        self.blocks = nn.ModuleList(backbone.blocks[:BLOCKS])
        self.lateral = nn.ModuleDict(
            {str(tap): nn.Conv2d(channels, WIDTH, 1) for tap, channels in TAPS.items()}
        )
        self.smooth = nn.ModuleDict({str(tap): _separable(WIDTH) for tap in TAPS})
        self.shared = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False), ImageGroupNorm(8, WIDTH), nn.SiLU()
        )
        self.heat = _head(len(KINDS))
        self.sides = _head(4 * len(KINDS))
        self.foreground = nn.Conv2d(WIDTH, 1, 1)
        nn.init.constant_(self.heat[-1].bias, PRIOR)  # type: ignore[arg-type]
        name_norms(self)

    def forward(self, pictures: torch.Tensor) -> Maps:
        """Return the maps of normalised pictures whose sides are multiples of 16."""
        return self.maps_of(self.taps(pictures))

    def maps_of(self, taps: dict[int, torch.Tensor]) -> Maps:
        """Return the maps that belong to the backbone's features."""
        above: torch.Tensor | None = None
        for tap in sorted(TAPS, reverse=True):
            here = self.lateral[str(tap)](taps[tap])
            if above is not None:
                here = here + functional.interpolate(above, scale_factor=2.0, mode="nearest")
            above = self.smooth[str(tap)](here)
        features = self.shared(above)
        sides = UNIT * self.sides(features).clamp(-4, 3).exp()
        return Maps(
            self.heat(features),
            sides.unflatten(1, (len(KINDS), 4)),
            self.foreground(features).squeeze(1),
        )

    def taps(self, pictures: torch.Tensor) -> dict[int, torch.Tensor]:
        """Return the backbone's features ``(n, channels, rows, cols)`` by the index in `TAPS`."""
        features = self.stem(pictures)
        taps = {}
        for index, block in enumerate(self.blocks):
            features = block(features)
            if index in TAPS:
                taps[index] = features
        return taps


def empty_network() -> CellNet:
    """Return the network with random weights."""
    import timm

    return CellNet(timm.create_model(ARCHITECTURE, pretrained=False))


def normalise(pictures: torch.Tensor) -> torch.Tensor:
    """Return uint8 ``(n, rows, cols, 3)`` as network input ``(n, 3, rows, cols)``."""
    return pictures.permute(0, 3, 1, 2).float().sub(127.5).div(127.5)


def grid_centres(rows: int, cols: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the picture coordinates of a map's elements: ``(rows, 1)`` and ``(1, cols)``."""
    y = (torch.arange(rows, device=device) + 0.5) * STRIDE
    x = (torch.arange(cols, device=device) + 0.5) * STRIDE
    return y[:, None], x[None, :]


def boxes_of(sides: torch.Tensor) -> torch.Tensor:
    """Return the boxes ``(..., 4, rows, cols)`` (rows first) of the side maps."""
    y, x = grid_centres(sides.shape[-2], sides.shape[-1], sides.device)
    top, left, bottom, right = sides.unbind(-3)
    return torch.stack([y - top, x - left, y + bottom, x + right], dim=-3)


def _separable(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, 5, padding=2, groups=width, bias=False),
        nn.Conv2d(width, width, 1, bias=False),
        ImageGroupNorm(8, width),
        nn.SiLU(),
    )


def _head(outputs: int) -> nn.Sequential:
    return nn.Sequential(_separable(WIDTH), nn.Conv2d(WIDTH, outputs, 1))
