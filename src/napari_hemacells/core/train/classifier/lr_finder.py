"""How high the learning rate may be: a short run with a rising one (Smith 2017). Imports torch."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier.artifacts import LRCurve
from napari_hemacells.core.train.progress import TrainingReport

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray
    from torch import optim

    from napari_hemacells.core.train.classifier.dataloader import BatchSource
    from napari_hemacells.core.train.classifier.learner import ClassifierTrainStep

FINDER_SEED = 104729
MIN_LR, MAX_LR = 1e-6, 1.0
STEPS = 60
LOSS_SMOOTHING = 0.8  # share of the old mean that a step leaves
DIVERGENCE_FACTOR = 3.0  # times the lowest loss
SAFETY_FACTOR = 3.0  # below the rate at which the loss is least
DEFAULT_LR = 1e-3  # where the curve tells nothing


def find_lr_steps(
    learner: ClassifierTrainStep,
    feed: BatchSource,
    optimiser: optim.Optimizer,
    order: NDArray[np.int64],
) -> Generator[TrainingReport, None, LRCurve]:
    """Return the curve and a suggestion; the network is left as it was.

    `optimiser` is used up: its groups keep their proportions while the rate rises.
    """
    before = copy.deepcopy(learner.network.state_dict())
    top = max(group["lr"] for group in optimiser.param_groups)
    shares = [group["lr"] / top for group in optimiser.param_groups]
    rates, losses = list[float](), list[float]()
    mean = 0.0
    for step, rate in enumerate(np.geomspace(MIN_LR, MAX_LR, STEPS)):
        for group, share in zip(optimiser.param_groups, shares, strict=True):
            group["lr"] = float(rate) * share
        batch = _batch(order, step, learner.recipe.batch)
        try:
            loss = learner.learn(batch, feed, optimiser)
        except TrainingError:
            break  # no number any more: the end of the curve
        mean = LOSS_SMOOTHING * mean + (1 - LOSS_SMOOTHING) * loss
        rates.append(float(rate))
        losses.append(mean / (1 - LOSS_SMOOTHING ** (step + 1)))
        yield TrainingReport(step + 1, STEPS, "Looking for a learning rate", phase="start")
        if losses[-1] > DIVERGENCE_FACTOR * min(losses):
            break
    learner.network.load_state_dict(before)
    return LRCurve(tuple(rates), tuple(losses), suggest_lr(rates, losses))


def suggest_lr(rates: list[float], losses: list[float]) -> float:
    """Return the rate where the loss falls most steeply, kept well below where it is least.

    Examples
    --------
    >>> suggest([1e-4, 1e-3, 1e-2, 1e-1], [1.0, 0.9, 0.4, 2.0])
    0.001
    """
    if len(losses) < 4:
        return DEFAULT_LR
    least = int(np.argmin(losses))
    if least == 0:
        return rates[0]
    slopes = np.gradient(np.asarray(losses[: least + 1]), np.log(rates[: least + 1]))
    steepest = rates[int(np.argmin(slopes))]
    return float(f"{min(steepest, rates[least] / SAFETY_FACTOR):.1g}")


def _batch(order: NDArray[np.int64], step: int, size: int) -> NDArray[np.int64]:
    """Return the batch of that step, beginning again where the order ends."""
    places = np.arange(step * size, (step + 1) * size) % len(order)
    return order[np.unique(places)] if len(order) < size else order[places]
