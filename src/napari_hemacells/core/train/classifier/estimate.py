"""How long a training will take: a few steps timed here, and what a recipe has to do.

The learning rate finder on its own, and a look at the augmentation, before a training.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.train.progress import TrainingReport

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from napari_hemacells.core.train.classifier.artifacts import LRCurve
    from napari_hemacells.core.train.classifier.config import ClassifierConfig
    from napari_hemacells.core.train.classifier.training import TrainJob

START_UP = 6.0  # seconds to load the libraries and the network
FINDER_STEPS = 60
HEAD_STEP = 0.004  # seconds of a step on kept answers of a frozen body
MAX_TIMED_CROPS, STEPS = 16, 2  # crops a timed step, and timed steps


@dataclass(frozen=True)
class ThroughputJob:
    """What to time: a recipe with so many classes."""

    recipe: ClassifierConfig
    classes: int


@dataclass(frozen=True)
class MeasuredThroughput:
    """Crops a second that are looked at, and that are learned from with the body."""

    evaluated_per_s: float
    learned: float
    device: str


def measure_throughput_steps(
    job: ThroughputJob,
) -> Generator[TrainingReport, None, MeasuredThroughput]:
    """Return the pace of a recipe's network on this device, from a few steps on noise."""
    from napari_hemacells.core.train.classifier import learner, model_zoo, schedule
    from napari_hemacells.core.train.classifier.crop_store import CropGeometry, CropStore
    from napari_hemacells.core.train.classifier.dataloader import CropBatches
    from napari_hemacells.core.types import CropSpec

    yield TrainingReport(0, 0, "Timing a few steps")
    own = model_zoo.resolve_architecture(job.recipe)  # that of a trained model, if it starts so
    same = {"arch": own.arch, "head": own.head, "size": own.size}
    recipe = job.recipe.model_copy(update={"weights": "none", **same})
    network, plan, _ = model_zoo.build_network(recipe, job.classes)
    accelerator = learner.make_accelerator(recipe)
    network = network.to(accelerator.device)
    n = min(MAX_TIMED_CROPS, recipe.batch)
    noise = np.random.default_rng(0).integers(0, 255, (n, plan.size, plan.size, 3), np.uint8)
    store = CropStore([], noise, CropGeometry(CropSpec(plan.size), 1.0))
    feed = CropBatches(
        store, network, plan=plan, recipe=recipe, classes=job.classes, device=accelerator.device
    )
    places = np.arange(n)
    groups = schedule.layer_groups(network, recipe)
    schedule.set_trainable(network, groups, 0)
    optimiser = schedule.make_optimiser(groups, 0, 1e-6, recipe)
    teacher = learner.ClassifierTrainStep(network, accelerator, recipe, places % job.classes)
    looked = n / _seconds(lambda: learner.eval_logits(places, feed, network, accelerator))
    yield TrainingReport(1, 2, "Timing a few steps")
    learned = n / _seconds(lambda: teacher.learn(places, feed, optimiser))
    return MeasuredThroughput(looked, learned, str(accelerator.device))


def estimated_seconds(
    recipe: ClassifierConfig, cells: int, pace: MeasuredThroughput, classes: int
) -> float:
    """Return how long a training on so many cells takes at most (it may stop early)."""
    held = cells * (recipe.validation + recipe.test)
    taught = cells - held
    if recipe.shots is not None:  # those left over test, once
        taught = min(taught, recipe.shots * classes)
    rounds = recipe.epochs + recipe.frozen_epochs
    looks = held * rounds + cells * recipe.turns + held * recipe.tta * recipe.turns
    learned = taught * recipe.epochs
    seconds = START_UP
    if recipe.frozen_views:
        looks += cells + taught * recipe.frozen_views
        seconds += HEAD_STEP * recipe.frozen_epochs * max(1.0, taught / recipe.batch)
    else:
        looks += taught * recipe.frozen_epochs
    if recipe.rate is None or recipe.search:
        learned += FINDER_STEPS * recipe.batch * (not recipe.frozen_views)
    if recipe.search_again and recipe.frozen_epochs:
        learned += FINDER_STEPS * recipe.batch
    return seconds + looks / pace.evaluated_per_s + learned / pace.learned


def _seconds(step: Callable[[], object]) -> float:
    """Return how long a step takes, the first one not counted."""
    step()
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - began) / STEPS


def suggest_lr_steps(job: TrainJob) -> Generator[TrainingReport, None, LRCurve]:
    """Return the finder's curve and suggestion for a job; nothing is trained.

    Raises
    ------
    TrainingError
        The pictures are not enough to learn from.
    """
    from napari_hemacells.core.train.classifier.learner import seed_torch
    from napari_hemacells.core.train.classifier.lr_finder import FINDER_SEED, find_lr_steps
    from napari_hemacells.core.train.classifier.pipeline import prepare_steps
    from napari_hemacells.core.train.classifier.schedule import make_optimiser
    from napari_hemacells.core.train.classifier.training import Training

    # The stage in which the whole network learns decides: too high a rate breaks it there.
    recipe = job.recipe.model_copy(update={"frozen_epochs": 0} if job.recipe.epochs else {})
    job = replace(job, recipe=recipe)
    training = Training(job, (yield from prepare_steps(job)))
    loop = training.loop
    stage = loop.stages[-1]
    loop.open(stage)
    seed_torch(recipe.seed, FINDER_SEED, 2)
    feed: Any = training.pictures()
    optimiser = make_optimiser(loop.groups, stage.first_group, 1.0, recipe)
    return (yield from find_lr_steps(training.learner, feed, optimiser, loop.order(0)))


def augmented_views(
    crops: NDArray[np.uint8], recipe: ClassifierConfig, views: int, seed: int = 0
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
