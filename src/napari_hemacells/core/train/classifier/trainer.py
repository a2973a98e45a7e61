"""The epochs: learn, check, keep the best, go on from where a training was stopped. Imports torch.

Every epoch begins with chance seeded from (seed, stage, epoch), and a checkpoint is written when
one ends. So a training that is resumed gives, number for number, what it would have given.

How high the learning rate may be: a short run with a rising one (Smith 2017). Imports torch.

One step of learning, on one device or on several. Imports torch.

Accelerate and not Lightning Fabric: of what it needs, all but psutil is here through timm, where
Fabric brings nine packages for the same work, and it imports in a fifth of a second.
"""

from __future__ import annotations

import copy
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.nn import functional as nnf

from napari_hemacells.core.encode.device import (
    choose_device,
    free_gpu_memory,
    is_out_of_memory,
)
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.callbacks import EarlyStopping, save_checkpoint
from napari_hemacells.core.train.classifier.artifacts import EpochRecord
from napari_hemacells.core.train.classifier.dataloader import EVAL_BATCH, CachedFeatures
from napari_hemacells.core.train.classifier.dataset import epoch_order
from napari_hemacells.core.train.classifier.schedule import (
    LRSchedule,
    Stage,
    layer_groups,
    make_optimiser,
    set_trainable,
    train_mode,
)
from napari_hemacells.core.train.progress import ThroughputMeter, TrainingReport

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from napari_hemacells.core.encode.finetuned.network import Classifier
    from napari_hemacells.core.train.classifier.config import ClassifierConfig, Precision
    from napari_hemacells.core.train.classifier.dataloader import BatchSource


def seed_torch(*parts: int) -> None:
    """Seed torch on every device from these numbers: the same ones give the same chance."""
    torch.manual_seed(int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1))


MAX_GRAD_NORM = 5.0


def make_accelerator(recipe: ClassifierConfig) -> Accelerator:
    """Return what moves networks to one device or several, in the recipe's precision.

    Raises
    ------
    EncoderError
        The device asked for cannot be used.
    TrainingError
        Another training in this process has settled on another device or precision.
    """
    device = choose_device(recipe.device).name
    kinds = {"fp32": "no", "bf16": "bf16"}
    try:
        return Accelerator(cpu=device == "cpu", mixed_precision=kinds[_precision(recipe, device)])
    except ValueError as error:
        raise TrainingError(
            "This program has trained on another device or in another precision before: start "
            "it again to change that."
        ) from error


class ClassifierTrainStep:
    """A network that learns from batches; too large a batch is taken in halves.

    Parameters
    ----------
    targets
        ``(n,)`` class of every crop.
    weights
        ``(classes,)`` what each class counts for in the loss; ``None`` for all the same.

    Attributes
    ----------
    portion
        Crops that go through the network at once. A batch may be several portions, whose
        gradients are added up, so that a smaller portion changes neither schedule nor rate.
    """

    def __init__(
        self,
        network: Classifier,
        accelerator: Accelerator,
        recipe: ClassifierConfig,
        targets: NDArray[np.int64],
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        self.network, self.accelerator, self.recipe = network, accelerator, recipe
        self.portion = recipe.batch
        self._targets = torch.from_numpy(targets)
        self._weights = None
        if weights is not None:
            self._weights = torch.from_numpy(weights).to(accelerator.device)

    def learn(
        self, places: NDArray[np.int64], feed: BatchSource, optimiser: Any, *, shared: bool = True
    ) -> float:
        """Return the loss of a batch, after learning from it.

        Parameters
        ----------
        shared
            Whether several processes take a part of the batch each.

        Raises
        ------
        TrainingError
            The loss is no number any more, or not even two crops fit into the memory.
        """
        own = self._own_part(places) if shared else places
        while True:
            try:
                return self._learn(own, feed, optimiser)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(error)
            optimiser.zero_grad()
            free_gpu_memory()

    def loss(self, places: NDArray[np.int64], feed: BatchSource) -> Tensor:
        """Return the loss of some crops, with its gradient."""
        targets = self._targets[torch.from_numpy(places)].to(self.accelerator.device)
        inputs, wanted = feed.training_batch(places, targets)
        with self.accelerator.autocast():
            logits = feed.predict_logits(inputs)
        return nnf.cross_entropy(
            logits.float(), wanted, self._weights, label_smoothing=self.recipe.smoothing
        )

    def _learn(self, places: NDArray[np.int64], feed: BatchSource, optimiser: Any) -> float:
        optimiser.zero_grad()
        train_mode(self.network)
        total = 0.0
        for part in np.array_split(places, -(-len(places) // self.portion)):
            loss = self.loss(part, feed) * (len(part) / len(places))
            if not torch.isfinite(loss):
                raise nan_loss_error(optimiser)
            self.accelerator.backward(loss)
            total += float(loss.detach())
        self.accelerator.clip_grad_norm_(self.network.parameters(), MAX_GRAD_NORM)
        optimiser.step()
        return total

    def _own_part(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        if self.accelerator.num_processes == 1:
            return places
        with self.accelerator.split_between_processes(places, apply_padding=True) as own:
            return np.asarray(own, dtype=np.int64)

    def _halve(self, error: BaseException) -> None:
        if self.portion <= 2:
            raise TrainingError(
                "The memory is not large enough, even for two crops at once: choose smaller "
                "crops or a smaller network, or close other programs."
            ) from error
        self.portion = max(2, self.portion // 2)


@torch.inference_mode()
def eval_logits(
    places: NDArray[np.int64], feed: BatchSource, network: nn.Module, accelerator: Accelerator
) -> Tensor:
    """``(m, classes)`` float32 logits on the CPU of crops as they are."""
    network.eval()
    with accelerator.autocast():
        logits = feed.predict_logits(feed.check(places))
    return logits.float().cpu()


def nan_loss_error(optimiser: Any) -> TrainingError:
    """Return the sentence for a loss that is none."""
    rate = max(float(group["lr"]) for group in optimiser.param_groups)
    return TrainingError(
        f"The loss is not a number any more: the learning rate {rate:.1g} is too high here. Start "
        f"again with --rate {rate / 10:.0e}, or in precision fp32."
    )


def _precision(recipe: ClassifierConfig, device: str) -> Precision:
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16" if device == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


NEVER = 2**31


@dataclass
class ClassifierTrainingState:
    """How far a training is: all that a checkpoint holds beside the network.

    Attributes
    ----------
    stage, epoch
        The next epoch to be done.
    """

    stage: int = 0
    epoch: int = 0
    rate: float = 0.0
    done: int = 0
    history: list[EpochRecord] = field(default_factory=list)
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    early_stopping: EarlyStopping = field(default_factory=lambda: EarlyStopping(NEVER))


class ClassifierTrainer:
    """The epochs of one training.

    Parameters
    ----------
    train, validation
        Places of the crops to learn from and to check with.
    targets
        ``(n,)`` class of every crop.
    file
        Where the checkpoint goes.
    fingerprint
        What must be the same for a checkpoint to be gone on from.
    """

    def __init__(
        self,
        learner: ClassifierTrainStep,
        *,
        train: NDArray[np.int64],
        validation: NDArray[np.int64],
        targets: NDArray[np.int64],
        stages: list[Stage],
        file: Path,
        fingerprint: str,
    ) -> None:
        self.learner, self.stages = learner, stages
        self.train, self.validation, self.targets = train, validation, targets
        self.groups = layer_groups(learner.network, learner.recipe)
        self.state = ClassifierTrainingState()
        self.state.early_stopping = EarlyStopping(learner.recipe.patience or NEVER)
        self._file, self._fingerprint = file, fingerprint
        self._pace = ThroughputMeter()
        self._stored: dict[str, Any] | None = None

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        size = len(self.order(0))
        batch = self.learner.recipe.batch
        return max(1, size // batch + (size % batch > 1))

    @property
    def total(self) -> int:
        """Steps in all."""
        return self.steps * sum(stage.epochs for stage in self.stages)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the places to learn from, in the order of an epoch."""
        recipe = self.learner.recipe
        drawn = epoch_order(
            self.targets[self.train], recipe.sampling, seed=recipe.seed, epoch=epoch
        )
        return self.train[drawn]

    def resume(self, state: dict[str, Any] | None) -> bool:
        """Whether there was a checkpoint of this very training; then the loop goes on from it."""
        if state is None or state["fingerprint"] != self._fingerprint:
            return False
        self.learner.network.load_state_dict(state["network"])
        self.learner.portion = int(state["portion"])
        course = self.state
        course.stage, course.epoch = int(state["stage"]), int(state["epoch"])
        course.rate, course.done = float(state["rate"]), int(state["done"])
        course.history = [EpochRecord(**record) for record in state["history"]]
        course.best = state["best"]
        course.early_stopping.restore(state["watch"])
        self._stored = state
        return True

    def open(self, stage: Stage) -> None:
        """Let the layers of a stage learn, and no others."""
        set_trainable(self.learner.network, self.groups, stage.first_group)

    def run(self, stage: Stage, feed: BatchSource) -> Generator[TrainingReport, None, None]:
        """Go through what is left of a stage."""
        learner, course = self.learner, self.state
        if not course.epoch:
            course.early_stopping.checks_since_best = (
                0  # layers that just began to learn get all the patience
            )
        self._pace = ThroughputMeter()
        optimiser = make_optimiser(self.groups, stage.first_group, course.rate, learner.recipe)
        schedule = LRSchedule(optimiser, learner.recipe, epochs=stage.epochs, steps=self.steps)
        if self._stored is not None and course.epoch:
            optimiser.load_state_dict(self._stored["optimiser"])
            schedule.restore(self._stored["schedule"])
        self._stored = None
        while course.epoch < stage.epochs and not course.early_stopping.should_stop:
            yield from self._epoch(stage, feed, optimiser, schedule)
            self._save(optimiser, schedule)
        course.stage, course.epoch = course.stage + 1, 0

    def load_best_weights(self) -> None:
        """Give the network the weights that are kept."""
        if self.learner.recipe.keep == "best" and self.state.best:
            self.learner.network.load_state_dict(self.state.best)

    def _epoch(
        self,
        stage: Stage,
        feed: BatchSource,
        optimiser: torch.optim.Optimizer,
        schedule: LRSchedule,
    ) -> Generator[TrainingReport, None, None]:
        course, began = self.state, time.monotonic()
        seed_torch(self.learner.recipe.seed, course.stage, course.epoch)
        order = self.order(len(course.history))
        rate = float(optimiser.param_groups[-1]["lr"])
        losses: list[float] = []
        shared = not isinstance(feed, CachedFeatures)
        for step in range(self.steps):
            size = self.learner.recipe.batch
            portion = self.learner.portion
            batch = order[step * size : (step + 1) * size]
            losses.append(self.learner.learn(batch, feed, optimiser, shared=shared))
            schedule.step()
            course.done += 1
            self._pace.step(len(batch))
            yield self._report(stage, losses, halved=self.learner.portion < portion)
        logits = yield from self.check(feed, self.validation)
        loss, accuracy = self._validation_metrics(logits)
        course.epoch += 1
        schedule.epoch(loss)
        course.history.append(
            EpochRecord(
                stage=stage.name,
                epoch=course.epoch,
                train_loss=float(np.mean(losses)),
                validation_loss=loss,
                accuracy=accuracy,
                rate=rate,
                portion=self.learner.portion,
                seconds=round(time.monotonic() - began, 2),
            )
        )
        if course.early_stopping.update(-loss, len(course.history)):
            course.best = copy.deepcopy(self.learner.network.state_dict())
        yield self._validation_report(stage, loss, accuracy, float(np.mean(losses)))
        self._pace.reset_timer()

    def check(
        self, feed: BatchSource, places: NDArray[np.int64]
    ) -> Generator[TrainingReport, None, torch.Tensor]:
        """Return the logits of some crops as they are; yield after each batch."""
        logits = [torch.zeros(0, self.learner.network.classes)]
        for start in range(0, len(places), EVAL_BATCH):
            batch = places[start : start + EVAL_BATCH]
            logits.append(eval_logits(batch, feed, self.learner.network, self.learner.accelerator))
            yield TrainingReport(self.state.done, self.total, "Checking", phase="validate")
        return torch.cat(logits)

    def _validation_metrics(self, logits: torch.Tensor) -> tuple[float, float]:
        """Return loss and accuracy on validation."""
        wanted = torch.from_numpy(self.targets[self.validation])
        loss = float(nnf.cross_entropy(logits, wanted))
        if not np.isfinite(loss):
            raise TrainingError(
                "The network's answers are no numbers any more: start again with a lower --rate."
            )
        return loss, float((logits.argmax(1) == wanted).float().mean())

    def _report(self, stage: Stage, losses: list[float], *, halved: bool) -> TrainingReport:
        message = f"{stage.name}, epoch {self.state.epoch + 1} of {stage.epochs}"
        if halved:
            message = f"Out of memory: {self.learner.portion} crops at once from now on"
        return TrainingReport(
            self.state.done,
            self.total,
            message,
            phase="train",
            losses={"loss": float(np.mean(losses[-20:]))},
            images_per_second=self._pace.images_per_second,
            eta_s=self._eta(stage),
        )

    def _eta(self, stage: Stage) -> float | None:
        """Return the seconds to go; unknown while the steps to come are of another kind."""
        others = self.stages[self.state.stage + 1 :]
        if any(other.vectors != stage.vectors for other in others):
            return None
        return self._pace.eta(self.total - self.state.done)

    def _validation_report(
        self, stage: Stage, loss: float, accuracy: float, train_loss: float
    ) -> TrainingReport:
        return TrainingReport(
            self.state.done,
            self.total,
            f"{stage.name}, epoch {self.state.epoch} of {stage.epochs} checked",
            phase="validate",
            losses={"loss": train_loss},
            metrics={"validation loss": loss, "accuracy": accuracy},
            images_per_second=self._pace.images_per_second,
            eta_s=self._eta(stage),
        )

    def _save(self, optimiser: torch.optim.Optimizer, schedule: LRSchedule) -> None:
        if not self.learner.accelerator.is_main_process:
            return
        course = self.state
        state = {
            "fingerprint": self._fingerprint,
            "network": self.learner.network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "schedule": schedule.state(),
            "portion": self.learner.portion,
            "stage": course.stage,
            "epoch": course.epoch,
            "rate": course.rate,
            "done": course.done,
            "history": [asdict(record) for record in course.history],
            "best": course.best,
            "watch": course.early_stopping.state(),
        }
        save_checkpoint(self._file, state)
