"""Batch norms folded into convolutions: the same numbers, fewer layers, never others."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from napari_hemacells.core.encode.network import fuse_batch_norm


def settled(network: nn.Module) -> nn.Module:
    """Return the network with batch statistics unlike those it starts with, frozen."""
    torch.manual_seed(0)
    with torch.no_grad():
        for _ in range(3):
            network.train()(2 * torch.rand(4, 3, 32, 32) - 0.5)
    return network.eval().requires_grad_(requires_grad=False)


def norms(network: nn.Module) -> int:
    return sum(isinstance(one, nn.BatchNorm2d) for one in network.modules())


class Otherwise(nn.Module):
    """Layers defined in another order than they run in."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.relu(self.norm(images))).mean((2, 3))


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet10t", "densenet121"])
def test_a_network_gives_the_same_with_fewer_layers(name):
    network = settled(timm.create_model(name, num_classes=0))
    images = torch.rand(2, 3, 32, 32)
    swift = fuse_batch_norm(network, images[:1])
    assert norms(swift) < 0.6 * norms(network)
    torch.testing.assert_close(swift(images), network(images), rtol=1e-3, atol=1e-4)


def test_the_network_itself_is_left_as_it_was():
    network = settled(timm.create_model("resnet10t", num_classes=0))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fuse_batch_norm(network, torch.rand(1, 3, 32, 32))
    assert before.keys() == network.state_dict().keys()
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_what_would_give_other_numbers_is_not_used():
    network = settled(Otherwise())
    assert fuse_batch_norm(network, torch.rand(1, 3, 32, 32)) is network


def test_without_batch_norms_nothing_is_copied():
    network = settled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten()))
    assert fuse_batch_norm(network, torch.rand(1, 3, 32, 32)) is network
