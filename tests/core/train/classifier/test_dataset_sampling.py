"""How often each class comes, and what it counts."""

import numpy as np
import pytest

from napari_hemacells.core.train.classifier.dataset import (
    class_weights,
    epoch_length,
    epoch_order,
)

TARGETS = np.array([0] * 90 + [1] * 10)


@pytest.mark.parametrize(
    ("sampling", "counts"),
    [("none", [90, 10]), ("weights", [90, 10]), ("balanced", [50, 50]), ("oversample", [90, 90])],
)
def test_each_sampling_draws_its_numbers(sampling, counts):
    order = epoch_order(TARGETS, sampling, seed=1, epoch=0)
    assert np.bincount(TARGETS[order]).tolist() == counts
    assert len(order) == epoch_length(TARGETS, sampling)


def test_oversampling_shows_every_picture():
    order = epoch_order(TARGETS, "oversample", seed=1, epoch=0)
    assert set(order) == set(range(100))


def test_the_same_epoch_has_the_same_order_and_another_one_another():
    first, again, other = (
        epoch_order(TARGETS, "balanced", seed=3, epoch=epoch).tolist() for epoch in (4, 4, 5)
    )
    assert first == again
    assert first != other


def test_class_weights_make_classes_equal():
    weights = class_weights(TARGETS, 2)
    assert weights * [90, 10] == pytest.approx([50, 50])
