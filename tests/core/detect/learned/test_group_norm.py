"""Normalisation by an image's statistics: what a part gives does not depend on its neighbours."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from napari_hemacells.core.detect.learned.group_norm import (  # noqa: E402
    ImageGroupNorm,
    collect_norm_statistics,
    name_norms,
    use_norm_statistics,
)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 1), ImageGroupNorm(4, 16), nn.SiLU(), ImageGroupNorm(2, 16)
    )
    for layer in (network[1], network[3]):
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    name_norms(network)
    return network.eval()


@torch.inference_mode()
def test_by_itself_it_is_group_normalisation(network):
    picture = torch.randn(1, 16, 9, 7)
    usual = nn.GroupNorm(4, 16)
    usual.load_state_dict(network[1].state_dict())
    assert torch.equal(network[1](picture), usual(picture))


@torch.inference_mode()
def test_a_pictures_own_statistics_give_its_own_result(network):
    picture = 2 + 3 * torch.randn(1, 3, 32, 40)
    with collect_norm_statistics() as gathered:
        expected = network(picture)
    norms = gathered.norms()
    assert set(norms) == {"1", "3"}
    with use_norm_statistics(norms):
        assert torch.allclose(network(picture), expected, atol=1e-5)


@torch.inference_mode()
def test_a_part_gives_what_the_whole_gives(network):
    picture = torch.randn(1, 3, 32, 40)
    picture[..., 20:] *= 5
    with collect_norm_statistics() as gathered:
        network(picture)
    with use_norm_statistics(gathered.norms()):
        whole, part = network(picture), network(picture[..., 4:18])
    assert torch.allclose(part, whole[..., 4:18], atol=1e-5)
    assert not torch.allclose(network(picture[..., 4:18]), whole[..., 4:18], atol=0.1)


@torch.inference_mode()
def test_statistics_of_two_pictures_are_those_of_both_together(network):
    pictures = [torch.randn(1, 3, 16, 16), 4 + 2 * torch.randn(1, 3, 16, 16)]
    with collect_norm_statistics() as apart:
        for picture in pictures:
            network[1](network[0](picture))
    with collect_norm_statistics() as together:
        network[1](network[0](torch.cat(pictures, dim=3)))
    for one, other in zip(apart.norms()["1"], together.norms()["1"], strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)


def test_nothing_stays_after_the_block(network):
    picture = torch.randn(1, 3, 8, 8)
    before = network(picture)
    with collect_norm_statistics() as gathered:
        network(2 * picture)
    with pytest.raises(ZeroDivisionError), use_norm_statistics(gathered.norms()):
        _ = 1 / 0
    assert torch.equal(network(picture), before)
