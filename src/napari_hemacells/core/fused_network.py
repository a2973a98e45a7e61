"""Frozen networks in a form that passes over memory less often. Imports torch.

On a CPU the convolutions of these networks are quick; a batch norm by itself, or a padded copy
of the picture before a convolution of stride 2, takes as long as one. Import this module inside
functions.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

if TYPE_CHECKING:
    from collections.abc import Iterator

Network = TypeVar("Network", bound=nn.Module)


def fused_copy(network: Network) -> Network:
    """Return a copy of a frozen network that computes the same up to rounding.

    Batch norms are folded into the convolutions that are defined before them; convolutions of
    stride 2 with TensorFlow's padding need no padded copy of maps of even size. Whether layers
    that are defined one after the other also run so is for the caller to know or to try.
    """
    swift = copy.deepcopy(network).eval()
    for module in list(swift.modules()):
        for conv, norm in conv_norm_pairs(module):
            folded: Any = getattr(module, norm)
            setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), _plain(folded)))
            setattr(module, norm, getattr(folded, "act", nn.Identity()))
    for parent, name, conv in list(_padded_convolutions(swift)):
        setattr(parent, name, SamePaddedConv(conv))
    return swift.to(memory_format=torch.channels_last)


def conv_norm_pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Return the names of convolutions of a module, each with the batch norm defined after it."""
    children = list(module.named_children())
    return [
        (name, following)
        for (name, conv), (following, norm) in pairwise(children)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    ]


def _plain(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    """Return torch's own batch norm with these numbers: timm's has an activation inside."""
    options: Any = {"eps": norm.eps, "affine": norm.affine, "track_running_stats": True}
    plain = nn.BatchNorm2d(norm.num_features, **options)
    plain.load_state_dict(norm.state_dict())
    return plain.eval()


def _padded_convolutions(network: nn.Module) -> Iterator[tuple[nn.Module, str, Any]]:
    """Yield timm's convolutions of stride 2 that pad as TensorFlow does, with their place."""
    from timm.layers import Conv2dSame

    for module in network.modules():
        for name, child in module.named_children():
            if (
                isinstance(child, Conv2dSame)
                and child.stride == (2, 2)
                and child.dilation == (1, 1)
                and child.kernel_size in ((3, 3), (5, 5))
            ):
                yield module, name, child


class SamePaddedConv(nn.Module):
    """A convolution of stride 2 with TensorFlow's padding, which adds less before than after.

    On maps of even size a kernel with a row and a column of zeros before it, evenly padded, gives
    the same without a copy of the maps; maps of odd size go through the convolution as it was.

    Parameters
    ----------
    conv
        timm's ``Conv2dSame`` with a kernel of 3 or 5.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.shifted: torch.Tensor
        self.register_buffer("shifted", functional.pad(conv.weight.detach(), (1, 0, 1, 0)))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return ``(n, channels, rows / 2, cols / 2)`` of ``(n, channels, rows, cols)``."""
        if maps.shape[-1] % 2 or maps.shape[-2] % 2:
            return self.conv(maps)  # type: ignore[no-any-return]
        padding = self.conv.kernel_size[0] // 2
        return functional.conv2d(
            maps, self.shifted, self.conv.bias, stride=2, padding=padding, groups=self.conv.groups
        )
