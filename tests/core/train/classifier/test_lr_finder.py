"""Where the loss falls most steeply."""

import numpy as np

from napari_hemacells.core.train.classifier.lr_finder import suggest_lr


def curve(least, blows):
    rates = np.geomspace(1e-6, 1.0, 60)
    fall = 2 / (1 + (rates / least) ** 1.5)
    return rates.tolist(), (fall + (rates / blows) ** 2).tolist()


def test_it_lies_between_the_fall_and_the_least_loss():
    rates, losses = curve(least=1e-3, blows=1e-1)
    found = suggest_lr(rates, losses)
    assert 3e-4 <= found <= 3e-3
    assert found < rates[int(np.argmin(losses))]


def test_a_loss_that_never_falls_gives_the_lowest_rate():
    assert suggest_lr([1e-6, 1e-5, 1e-4, 1e-3], [1.0, 1.1, 1.2, 1.3]) == 1e-6


def test_a_curve_that_ends_at_once_gives_the_usual_rate():
    assert suggest_lr([1e-6], [1.0]) == 1e-3
