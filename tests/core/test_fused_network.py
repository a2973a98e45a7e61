"""Networks in the form that runs quickest give what they gave before."""

from __future__ import annotations

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from napari_hemacells.core.detect.learned.model import MULTIPLE, DetectorModel, bundled_model
from napari_hemacells.core.fused_network import SamePaddedConv, fused_copy


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("side", [8, 9, 2, 1])
def test_even_padding_gives_the_same_maps(kernel: int, side: int) -> None:
    torch.manual_seed(0)
    conv = Conv2dSame(4, 4, kernel, stride=2, groups=4).eval()
    maps = torch.randn(2, 4, side, side + 2 * (side > 2))
    with torch.inference_mode():
        torch.testing.assert_close(SamePaddedConv(conv)(maps), conv(maps), rtol=1e-5, atol=1e-5)


def test_the_detector_runs_without_batch_norms_and_padded_copies() -> None:
    network = bundled_model().network
    swift = fused_copy(network)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()) > 10
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in swift.modules())
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 10 * MULTIPLE, 12 * MULTIPLE) * 2 - 1
    padded: list[int] = []
    for layer in swift.modules():
        if isinstance(layer, Conv2dSame):
            layer.register_forward_hook(lambda *_run: padded.append(1))
    with torch.inference_mode():
        wanted, found = network(picture), swift(picture)
    assert not padded
    torch.testing.assert_close(found.heat, wanted.heat, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.sides, wanted.sides, rtol=1e-3, atol=1e-2)


def test_the_detector_that_keeps_maps_is_known_by_the_same_weights() -> None:
    kept = bundled_model()
    fresh = DetectorModel(kept.network, kept.limits)
    assert fresh.identity == kept.identity
