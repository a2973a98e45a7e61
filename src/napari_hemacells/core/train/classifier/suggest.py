"""The learning rate finder on its own, and a look at the augmentation, before a training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_hemacells.core.train.classifier.recipe import Recipe
    from napari_hemacells.core.train.classifier.records import RateCurve
    from napari_hemacells.core.train.classifier.run import TrainJob
    from napari_hemacells.core.train.reports import TrainingReport


def rate_steps(job: TrainJob) -> Generator[TrainingReport, None, RateCurve]:
    """Return the finder's curve and suggestion for a job; nothing is trained.

    Raises
    ------
    TrainingError
        The pictures are not enough to learn from.
    """
    from napari_hemacells.core.train.classifier.finder import find_rate_steps, seeded
    from napari_hemacells.core.train.classifier.run import FINDER_SEED, Training, prepare_steps
    from napari_hemacells.core.train.classifier.stages import optimiser_for

    # The stage in which the whole network learns decides: too high a rate breaks it there.
    recipe = job.recipe.model_copy(update={"frozen_epochs": 0} if job.recipe.epochs else {})
    job = replace(job, recipe=recipe)
    training = Training(job, (yield from prepare_steps(job)))
    loop = training.loop
    stage = loop.stages[-1]
    loop.open(stage)
    seeded(recipe.seed, FINDER_SEED, 2)
    feed: Any = training.pictures()
    optimiser = optimiser_for(loop.groups, stage.first_group, 1.0, recipe)
    return (yield from find_rate_steps(training.learner, feed, optimiser, loop.order(0)))


def augmented_views(
    crops: NDArray[np.uint8], recipe: Recipe, views: int, seed: int = 0
) -> NDArray[np.uint8]:
    """``(n, 1 + views, size, size, 3)`` uint8: each crop as it is, then as it would be learned."""
    import torch

    from napari_hemacells.core.train.classifier.augment import augment

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        images = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
        seen = [augment(images, recipe) for _ in range(views)]
    stack = torch.stack([images, *seen], dim=1).permute(0, 1, 3, 4, 2)
    return np.asarray((stack * 255).round().to(torch.uint8).numpy())
