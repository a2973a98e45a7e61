"""How long a training will take: a few steps timed here, and what a recipe has to do."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.train.reports import TrainingReport

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_hemacells.core.train.classifier.recipe import Recipe

START_UP = 6.0  # seconds to load the libraries and the network
FINDER_STEPS = 60
HEAD_STEP = 0.004  # seconds of a step on kept answers of a frozen body
MOST, STEPS = 16, 2  # crops a timed step, and timed steps


@dataclass(frozen=True)
class PaceJob:
    """What to time: a recipe with so many classes."""

    recipe: Recipe
    classes: int


@dataclass(frozen=True)
class MeasuredPace:
    """Crops a second that are looked at, and that are learned from with the body."""

    looked: float
    learned: float
    device: str


def pace_steps(job: PaceJob) -> Generator[TrainingReport, None, MeasuredPace]:
    """Return the pace of a recipe's network on this device, from a few steps on noise."""
    from napari_hemacells.core.train.classifier import architectures, learner, stages
    from napari_hemacells.core.train.classifier.crops import CropStore, Frame
    from napari_hemacells.core.train.classifier.feeds import Pictures
    from napari_hemacells.core.types import CropSpec

    yield TrainingReport(0, 0, "Timing a few steps")
    recipe = job.recipe.model_copy(update={"weights": "none"})
    network, plan, _ = architectures.build(recipe, job.classes)
    accelerator = learner.make_accelerator(recipe)
    network = network.to(accelerator.device)
    n = min(MOST, recipe.batch)
    noise = np.random.default_rng(0).integers(0, 255, (n, plan.size, plan.size, 3), np.uint8)
    store = CropStore([], noise, Frame(CropSpec(plan.size), 1.0))
    feed = Pictures(
        store, network, plan=plan, recipe=recipe, classes=job.classes, device=accelerator.device
    )
    places = np.arange(n)
    groups = stages.layer_groups(network, recipe)
    stages.set_trainable(network, groups, 0)
    optimiser = stages.optimiser_for(groups, 0, 1e-6, recipe)
    teacher = learner.Learner(network, accelerator, recipe, places % job.classes)
    looked = n / _seconds(lambda: learner.logits_of(places, feed, network, accelerator))
    yield TrainingReport(1, 2, "Timing a few steps")
    learned = n / _seconds(lambda: teacher.learn(places, feed, optimiser))
    return MeasuredPace(looked, learned, str(accelerator.device))


def estimated_seconds(recipe: Recipe, cells: int, pace: MeasuredPace) -> float:
    """Return how long a training on so many cells takes at most (it may stop early)."""
    held = cells * (recipe.validation + recipe.test)
    taught = cells - held
    rounds = recipe.epochs + recipe.frozen_epochs
    looks = held * rounds + cells + held * recipe.tta
    learned = taught * recipe.epochs
    seconds = START_UP
    if recipe.frozen_views:
        looks += cells + taught * recipe.frozen_views
        seconds += HEAD_STEP * recipe.frozen_epochs * max(1.0, taught / recipe.batch)
    else:
        looks += taught * recipe.frozen_epochs
    if recipe.rate is None:
        learned += FINDER_STEPS * recipe.batch * (not recipe.frozen_views)
    return seconds + looks / pace.looked + learned / pace.learned


def _seconds(step: Callable[[], object]) -> float:
    """Return how long a step takes, the first one not counted."""
    step()
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - began) / STEPS
