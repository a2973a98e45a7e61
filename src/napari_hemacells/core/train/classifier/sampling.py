"""The order in which crops are learned from, and what a class counts for in the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.train.classifier.recipe import Sampling


def epoch_order(
    targets: NDArray[np.int64], sampling: Sampling, *, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Return the places to go through in an epoch: the same for the same seed and epoch.

    ``balanced`` draws as many as there are, each class as often; ``oversample`` repeats those of
    the rarer classes until each has as many as the largest.
    """
    rng = np.random.default_rng([seed, epoch])
    if sampling in {"none", "weights"}:
        return rng.permutation(len(targets)).astype(np.int64)
    own = [np.flatnonzero(targets == one) for one in np.unique(targets)]
    if sampling == "balanced":
        sizes = np.full(len(own), len(targets) // len(own))
        sizes[rng.permutation(len(own))[: len(targets) % len(own)]] += 1
    else:
        sizes = np.full(len(own), max(map(len, own)))
    drawn = [_repeat(rng, places, int(size)) for places, size in zip(own, sizes, strict=True)]
    return rng.permutation(np.concatenate(drawn)).astype(np.int64)


def epoch_length(targets: NDArray[np.int64], sampling: Sampling) -> int:
    """Return how many crops an epoch goes through."""
    if sampling != "oversample":
        return len(targets)
    counts = np.unique(targets, return_counts=True)[1]
    return int(counts.max() * len(counts))


def class_weights(targets: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """``(classes,)`` weights in the loss: one over each class's share, 1 in the mean of crops."""
    counts = np.maximum(np.bincount(targets, minlength=classes), 1)
    return (len(targets) / (classes * counts)).astype(np.float32)


def _repeat(rng: np.random.Generator, places: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Return so many of the places: all of them as often as can be, then some of them."""
    whole = [rng.permutation(places) for _ in range(-(-size // len(places)))]
    return np.concatenate(whole)[:size]
