"""How a classifier is trained: stages of epochs, each with layers of its own. Imports torch.

Every epoch begins with chance seeded from (seed, stage, epoch).
"""

from __future__ import annotations

import copy
import time
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional as nnf

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.callbacks import (
    CHECKPOINT,
    NEVER,
    EarlyStopping,
    damaged_checkpoint_error,
)
from napari_hemacells.core.train.classifier.artifacts import (
    BODY_RATE_FINDER,
    RATE_FINDER,
    EpochRecord,
    write_curve,
    write_json,
    write_log,
)
from napari_hemacells.core.train.classifier.dataloader import (
    EVAL_BATCH,
    CachedFeatures,
    cache_features_steps,
)
from napari_hemacells.core.train.classifier.dataset import epoch_order
from napari_hemacells.core.train.classifier.learner import eval_logits, seed_torch
from napari_hemacells.core.train.classifier.lr_finder import FINDER_SEED, find_lr_steps
from napari_hemacells.core.train.classifier.schedule import (
    LRSchedule,
    Stage,
    layer_groups,
    make_optimiser,
    set_trainable,
)
from napari_hemacells.core.train.progress import TrainingReport
from napari_hemacells.core.train.trainer import Validation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.encode.finetuned.network import Classifier
    from napari_hemacells.core.train.classifier.dataloader import BatchSource, CropBatches
    from napari_hemacells.core.train.classifier.learner import ClassifierTrainStep
    from napari_hemacells.core.train.ema import ModelEma


class Epoch(NamedTuple):
    """What an epoch learns from and has learned.

    Attributes
    ----------
    order
        Places of the crops; a step takes the next ones.
    rate
        The head's at the beginning.
    """

    number: int
    began: float
    order: NDArray[np.int64]
    rate: float
    losses: list[float]


class ClassifierStrategy:
    """The stages of one training, for :class:`~napari_hemacells.core.train.trainer.Trainer`.

    Parameters
    ----------
    train, validation
        Places of the crops to learn from and to check with.
    targets
        ``(n,)`` class of every crop.
    pictures
        Makes the crops as the network takes them.
    already_trained
        Whether the network tells the classes already: then its weights are kept unless the
        training finds better ones.
    folder
        Where the checkpoint, the log and the curve of the rate go.
    fingerprint
        What must be the same for a checkpoint to be gone on from.
    """

    identity_key, refusal = "fingerprint", ""
    running_mean: ModelEma | None = None

    def __init__(
        self,
        learner: ClassifierTrainStep,
        *,
        train: NDArray[np.int64],
        validation: NDArray[np.int64],
        targets: NDArray[np.int64],
        stages: list[Stage],
        pictures: Callable[[], CropBatches],
        folder: Path,
        fingerprint: str,
        already_trained: bool = False,
    ) -> None:
        self._already_trained = already_trained
        self.learner, self.stages, self.recipe = learner, stages, learner.recipe
        self.train, self.validation, self.targets = train, validation, targets
        self.groups = layer_groups(learner.network, learner.recipe)
        self.early_stopping = EarlyStopping(learner.recipe.patience or NEVER)
        self.stage = self.epoch = self.done = 0  # the next epoch to be done, and steps done
        self.rate = 0.0  # of the head; 0 until it is settled
        self.body_rate = 0.0  # of the head once the body learns; 0 until it is settled
        self.history: list[EpochRecord] = []
        self.best: dict[str, torch.Tensor] = {}
        self.start_loss: float | None = None  # of a network that tells the classes already
        self.shown_losses: dict[str, float] = {}
        self.checkpoint = folder / CHECKPOINT
        self._pictures, self._folder, self._fingerprint = pictures, folder, fingerprint
        self._stored: dict[str, Any] | None = None
        self._feed: BatchSource
        self._optimiser: torch.optim.Optimizer
        self._schedule: LRSchedule
        self._now: Epoch

    # --- how far it is -----------------------------------------------------------------------

    @property
    def network(self) -> Classifier:
        """What learns."""
        return self.learner.network

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        size, batch = len(self.order(0)), self.recipe.batch
        return max(1, size // batch + (size % batch > 1))

    @property
    def total(self) -> int:
        """Steps in all."""
        return self.steps * sum(stage.epochs for stage in self.stages)

    @property
    def message(self) -> str:
        """Stage and epoch, in words."""
        if self.validates_first and not self.done:
            return "The model as it was"
        stage = self.stages[self.stage]
        return f"{stage.name}, epoch {self._now.number} of {stage.epochs}"

    @property
    def steady(self) -> bool:
        """Whether the steps to come are of the same kind."""
        kind = self.stages[self.stage].vectors
        return all(other.vectors == kind for other in self.stages[self.stage + 1 :])

    @property
    def validates_first(self) -> bool:
        """Whether the validation part is looked at before the first step."""
        return self._already_trained and not self.history

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the places to learn from, in the order of an epoch."""
        recipe = self.recipe
        drawn = epoch_order(
            self.targets[self.train], recipe.sampling, seed=recipe.seed, epoch=epoch
        )
        return self.train[drawn]

    # --- stages and epochs -------------------------------------------------------------------

    def phases(
        self,
    ) -> Iterator[Generator[TrainingReport, None, AbstractContextManager[BatchSource]]]:
        """Go through the stages that are left; write the log after each."""
        while self.stage < len(self.stages):
            yield self._prepare(self.stages[self.stage])
            self.stage, self.epoch = self.stage + 1, 0
            write_log(self._folder / "log.csv", self.history)

    def open(self, stage: Stage) -> None:
        """Let the layers of a stage learn, and no others."""
        set_trainable(self.network, self.groups, stage.first_group)

    def begin_round(self) -> int:
        """Begin an epoch; return its steps."""
        if self.epoch >= self.stages[self.stage].epochs:
            return 0
        seed_torch(self.recipe.seed, self.stage, self.epoch)
        rate = float(self._optimiser.param_groups[-1]["lr"])
        self._now = Epoch(
            self.epoch + 1, time.monotonic(), self.order(len(self.history)), rate, []
        )
        return self.steps

    def next_batch(self, data: BatchSource) -> NDArray[np.int64]:  # noqa: ARG002  # has all places
        """Return the next places of the epoch's order."""
        start = len(self._now.losses) * self.recipe.batch
        return self._now.order[start : start + self.recipe.batch]

    def learn(self, batch: NDArray[np.int64]) -> int:
        """Do a step with the crops at these places."""
        shared = not isinstance(self._feed, CachedFeatures)
        loss = self.learner.attempt(batch, self._feed, self._optimiser, shared=shared)
        self._schedule.step()
        self._now.losses.append(loss)
        self.shown_losses = {"loss": float(np.mean(self._now.losses[-20:]))}
        self.done += 1
        return len(batch)

    def halve(self, error: BaseException) -> str:
        """Take half as many crops through the network at once."""
        self.learner.halve(error)
        return f"Out of memory: {self.learner.portion} crops at once from now on"

    def validate(
        self, tell: Callable[..., TrainingReport]
    ) -> Generator[TrainingReport, None, Validation]:
        """Look at the validation part, and write the epoch down if there was one."""
        if first := self.validates_first and not self.done:
            self._feed = self._pictures()
        logits = [torch.zeros(0, self.network.classes)]
        for start in range(0, len(self.validation), EVAL_BATCH):
            batch = self.validation[start : start + EVAL_BATCH]
            logits.append(eval_logits(batch, self._feed, self.network, self.learner.accelerator))
            yield tell("Checking", "validate")
        loss, accuracy = self._metrics(torch.cat(logits))
        if first:
            self.start_loss = loss
            at_start = {"validation loss": loss, "accuracy": accuracy}
            return Validation(at_start, score=-loss, step=0)
        self.epoch += 1
        self._schedule.epoch(loss)
        self.history.append(
            EpochRecord(
                stage=self.stages[self.stage].name,
                epoch=self.epoch,
                train_loss=float(np.mean(self._now.losses)),
                validation_loss=loss,
                accuracy=accuracy,
                rate=self._now.rate,
                portion=self.learner.portion,
                seconds=round(time.monotonic() - self._now.began, 2),
            )
        )
        self.shown_losses = {"loss": self.history[-1].train_loss}
        metrics = {"validation loss": loss, "accuracy": accuracy}
        return Validation(metrics, score=-loss, step=len(self.history))

    def keep_weights(self) -> None:
        """Keep the weights of now."""
        self.best = copy.deepcopy(self.network.state_dict())

    def load_best_weights(self) -> None:
        """Give the network the weights that are kept."""
        if self.recipe.keep == "best" and self.best:
            self.network.load_state_dict(self.best)

    def _prepare(
        self, stage: Stage
    ) -> Generator[TrainingReport, None, AbstractContextManager[BatchSource]]:
        """Let the layers of a stage learn, from crops or from a frozen body's kept answers."""
        recipe = self.recipe
        self.open(stage)
        pictures = self._pictures()
        self._feed = pictures
        if stage.vectors and self.epoch < stage.epochs:
            seed_torch(recipe.seed, FINDER_SEED, 1)
            self._feed = yield from cache_features_steps(
                pictures, self.network, self.train, len(self.targets), views=recipe.frozen_views
            )
        body_learns = stage.first_group < len(self.groups) - 1
        if not self.rate:
            yield from self._find_rate(stage.first_group)
        if body_learns and not self.body_rate:
            yield from self._find_body_rate(stage.first_group)
        if not self.epoch:  # layers that just began to learn get all the patience
            self.early_stopping.checks_since_best = 0
        rate = self.body_rate if body_learns else self.rate
        self._optimiser = make_optimiser(self.groups, stage.first_group, rate, recipe)
        self._schedule = LRSchedule(
            self._optimiser,
            recipe,
            epochs=stage.epochs,
            steps=self.steps,
            frozen=not body_learns,
        )
        if self._stored is not None and self.epoch:
            try:
                self._optimiser.load_state_dict(self._stored["optimiser"])
                self._schedule.restore(self._stored["schedule"])
            except Exception as error:
                raise damaged_checkpoint_error(self.checkpoint) from error
        self._stored = None
        return nullcontext(self._feed)

    def _find_rate(self, first: int) -> Generator[TrainingReport, None, None]:
        """Take the recipe's rate, or look for one and write the curve."""
        recipe = self.recipe
        if recipe.rate is not None and not recipe.search:
            self.rate = recipe.rate
            return
        self.rate = yield from self._search(first, recipe.rate, RATE_FINDER)

    def _find_body_rate(self, first: int) -> Generator[TrainingReport, None, None]:
        """Take the same rate when the body begins to learn, or look for another."""
        recipe = self.recipe
        if recipe.search_again and self.history:
            given = None if recipe.rate_high is None else recipe.rate_high
            self.body_rate = yield from self._search(first, given, BODY_RATE_FINDER)
        else:
            self.body_rate = self.rate

    def _search(
        self, first: int, given: float | None, name: str
    ) -> Generator[TrainingReport, None, float]:
        """Look for a rate, write the curve; return the rate that is given, or the one found."""
        recipe = self.recipe
        seed_torch(recipe.seed, FINDER_SEED, 2)
        optimiser = make_optimiser(self.groups, first, 1.0, recipe)
        curve = yield from find_lr_steps(self.learner, self._feed, optimiser, self.order(0))
        rate = curve.suggestion if given is None else given
        write_curve(self._folder / f"{name}.csv", curve)
        taken_rate = {"suggestion": curve.suggestion, "taken": rate}
        write_json(self._folder / f"{name}.json", taken_rate)
        message = f"Learning rate {rate:.1g} (search: {curve.suggestion:.1g})"
        yield TrainingReport(self.done, self.total, message, phase="start")
        return rate

    def _metrics(self, logits: torch.Tensor) -> tuple[float, float]:
        """Return loss and accuracy on validation."""
        wanted = torch.from_numpy(self.targets[self.validation])
        loss = float(nnf.cross_entropy(logits, wanted))
        if not np.isfinite(loss):
            raise TrainingError(
                "The network's answers are no numbers any more: start again with a lower --rate."
            )
        return loss, float((logits.argmax(1) == wanted).float().mean())

    # --- the checkpoint ----------------------------------------------------------------------

    def identity(self) -> str:
        """Return what must be the same for a checkpoint to be gone on from."""
        return self._fingerprint

    def state(self) -> dict[str, Any]:
        """Return tensors and plain values, for a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state(),
            "portion": self.learner.portion,
            "stage": self.stage,
            "epoch": self.epoch,
            "rate": self.rate,
            "body_rate": self.body_rate,
            "done": self.done,
            "history": [asdict(record) for record in self.history],
            "best": self.best,
            "start_loss": self.start_loss,
            "watch": self.early_stopping.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.network.load_state_dict(state["network"])
        self.learner.portion = int(state["portion"])
        self.stage, self.epoch = int(state["stage"]), int(state["epoch"])
        self.rate, self.done = float(state["rate"]), int(state["done"])
        self.body_rate = float(state.get("body_rate", 0.0))
        self.history = [EpochRecord(**record) for record in state["history"]]
        self.best, self.start_loss = state["best"], state.get("start_loss")
        self.early_stopping.restore(state["watch"])
        self._stored = state
