"""Pairs, and the losses that draw one kind together."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hemacells.core.encode.siamese_network import LIFT, SIDE, ThesisNetwork
from napari_hemacells.core.train.siamese.losses import contrastive_loss, draw_pairs, make_loss


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=40).filter(lambda kinds: len(set(kinds)) > 1),
    st.integers(1, 30),
    st.integers(0, 1000),
)
def test_half_of_the_pairs_are_of_one_kind(kinds, count, seed):
    owners = np.array(kinds)
    pairs = draw_pairs(owners, count, np.random.default_rng(seed))
    assert pairs.shape == (count, 2)
    same = owners[pairs[:, 0]] == owners[pairs[:, 1]]
    assert same.sum() == (count + 1) // 2
    several = np.bincount(owners)[owners[pairs[:, 0]]] > 1
    assert (pairs[same & several, 0] != pairs[same & several, 1]).all()


def test_the_contrastive_loss_is_that_of_the_paper():
    first = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0]], requires_grad=True)
    second = torch.tensor([[3.0, 4.0], [0.0, 1.5], [3.0, 4.0], [1.0, 1.0]])
    same = torch.tensor([True, False, False, True])
    loss = contrastive_loss(first, second, same, margin=2.0)
    assert float(loss.detach()) == pytest.approx((0.5 * 25 + 0.5 * 0.5**2 + 0 + 0) / 4)
    loss.backward()
    assert torch.isfinite(first.grad).all()  # equal cells have a distance of 0


@pytest.mark.parametrize("name", ["contrastive", "triplet", "multi-similarity"])
def test_every_loss_prefers_kinds_that_are_apart(name):
    generator = torch.Generator().manual_seed(0)
    kinds = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1] * 2)
    apart = torch.eye(3)[kinds] + 0.01 * torch.randn(16, 3, generator=generator)
    mixed = torch.randn(16, 3, generator=generator)
    loss = make_loss(name, 1.0 if name == "contrastive" else 0.1)
    unit = torch.nn.functional.normalize
    assert float(loss(unit(apart), kinds)) < float(loss(unit(mixed), kinds))


def test_the_network_is_that_of_the_thesis():
    network = ThesisNetwork()
    shapes = [tuple(value.shape) for value in network.parameters() if value.ndim > 1]
    assert shapes == [
        (4, 1, 3, 3), (8, 4, 3, 3), (8, 8, 3, 3), (500, 8 * SIDE * SIDE), (500, 500), (5, 500),
    ]  # fmt: skip
    assert all(
        layer.padding == (1, 1) and layer.padding_mode == "zeros"
        for layer in network.convolutions
        if isinstance(layer, torch.nn.Conv2d)
    )
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        five, six = network.compared(images), network(images)
    assert five.shape == (4, 5)
    unit = torch.nn.functional.normalize(six.double())
    assert torch.allclose(
        torch.cdist(unit, unit) * LIFT, torch.cdist(five.double(), five.double()), atol=0.02
    )
