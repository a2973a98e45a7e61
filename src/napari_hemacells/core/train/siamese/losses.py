"""Pairs of cells and the losses that draw one kind together. Imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import torch

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.siamese.config import LIBRARY_MISSING

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_hemacells.core.params import SiameseLossName

    Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def draw_pairs(
    kinds: NDArray[np.intp], count: int, random: np.random.Generator
) -> NDArray[np.intp]:
    """``(count, 2)`` rows of pairs, half of one kind and half of two (one more alike if odd).

    The first cell is any; the kinds of the second are equally frequent. The two cells of a pair
    of one kind are different ones where the kind has several.

    Parameters
    ----------
    kinds
        ``(n,)`` of two kinds or more.
    """
    by_kind = [np.flatnonzero(kinds == kind) for kind in range(int(kinds.max()) + 1)]
    present = np.array([kind for kind, rows in enumerate(by_kind) if len(rows)])
    pairs = np.empty((count, 2), dtype=np.intp)
    pairs[:, 0] = random.integers(len(kinds), size=count)
    for place, first in enumerate(pairs[:, 0]):
        kind = kinds[first]
        if place % 2 == 0:
            others = by_kind[kind][by_kind[kind] != first]
            pairs[place, 1] = random.choice(others) if len(others) else first
        else:
            other = random.choice(present[present != kind])
            pairs[place, 1] = random.choice(by_kind[other])
    return pairs


def contrastive_loss(first: Tensor, second: Tensor, same: Tensor, margin: float) -> Tensor:
    """Return the mean loss of pairs (Hadsell, Chopra and LeCun 2006).

    Half the squared distance of pairs of one kind, and half the square of what is missing to the
    margin of pairs of two.

    Parameters
    ----------
    first, second
        ``(n, k)`` vectors.
    same
        ``(n,)`` bool.
    """
    squared = (first - second).square().sum(dim=1)
    distance = squared.clamp_min(1e-12).sqrt()  # the root's slope at 0 is infinite
    missing = (margin - distance).clamp_min(0).square()
    return 0.5 * torch.where(same, squared, missing).mean()


def _of_pairs(vectors: Tensor, kinds: Tensor, margin: float) -> Tensor:
    half = len(vectors) // 2
    same = kinds[:half] == kinds[half:]
    return contrastive_loss(vectors[:half], vectors[half:], same, margin)


def make_loss(name: SiameseLossName, margin: float) -> Loss:
    """Return the loss of the ``(2n, k)`` vectors of n pairs and their ``(2n,)`` kinds.

    The vectors of the first cells come first. Contrastive sees the pairs; triplet and
    multi-similarity (Wang et al. 2019) see all cells of the batch.

    Raises
    ------
    TrainingError
        pytorch-metric-learning, which the last two come from, is not installed.
    """
    if name == "contrastive":
        return lambda vectors, kinds: _of_pairs(vectors, kinds, margin)
    try:
        from pytorch_metric_learning import losses, miners
    except ImportError as error:
        raise TrainingError(LIBRARY_MISSING) from error
    if name == "triplet":
        return cast("Loss", losses.TripletMarginLoss(margin=margin))
    similarity: Any = losses.MultiSimilarityLoss()
    miner: Any = miners.MultiSimilarityMiner()
    return lambda vectors, kinds: similarity(vectors, kinds, miner(vectors, kinds))
