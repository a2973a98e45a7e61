"""The loop of every training; what differs is its strategy's. Imports torch.

Steps make rounds. After a round the held-out part is looked at, the best weights are kept, and a
checkpoint is written; so a training that is resumed gives what it would have given.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import torch

from napari_hemacells.core.encode.device import free_gpu_memory, is_out_of_memory
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.callbacks import (
    damaged_checkpoint_error,
    load_checkpoint,
    save_checkpoint,
)
from napari_hemacells.core.train.progress import ThroughputMeter, TrainingReport

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from torch import Tensor, nn

    from napari_hemacells.core.train.callbacks import EarlyStopping
    from napari_hemacells.core.train.ema import ModelEma

MAX_GRAD_NORM = 5.0
Result = TypeVar("Result")


class Validation(NamedTuple):
    """What a look at the held-out part gave.

    Attributes
    ----------
    metrics
        Figures by name.
    score
        What decides which weights are kept, higher is better; ``None`` where nothing does.
    step
        When it was, as early stopping counts.
    """

    metrics: Mapping[str, float]
    score: float | None = None
    step: int = 0


class TrainingStrategy(Protocol):
    """What differs between trainings: data, loss, phases, validation, content of a checkpoint.

    Attributes
    ----------
    checkpoint
        The file.
    identity_key
        Under which the checkpoint says of which training it is.
    refusal
        What is said of another training's checkpoint; where empty, the training begins anew.
    early_stopping
        Ends a phase.
    """

    checkpoint: Path
    identity_key: str
    refusal: str
    early_stopping: EarlyStopping

    @property
    def network(self) -> nn.Module:
        """What learns."""

    @property
    def running_mean(self) -> ModelEma | None:
        """The mean of its weights, which each step moves; ``None`` for none."""

    @property
    def shown_losses(self) -> Mapping[str, float]:
        """Parts of the loss by name, for the reports."""

    @property
    def done(self) -> int:
        """Steps done."""

    @property
    def total(self) -> int:
        """Steps in all."""

    @property
    def message(self) -> str:
        """What is going on, in words."""

    @property
    def steady(self) -> bool:
        """Whether the steps to come take as long as those of now."""

    @property
    def validates_first(self) -> bool:
        """Whether the held-out part is looked at before the first step."""

    def identity(self) -> Any:
        """Return what must be the same for a checkpoint to be gone on from."""

    def state(self) -> dict[str, Any]:
        """Return tensors and plain values, for a checkpoint."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""

    def phases(
        self,
    ) -> Iterator[Generator[TrainingReport, None, AbstractContextManager[Any]]]:
        """Make each phase ready and give its data; go on when it is over."""

    def begin_round(self) -> int:
        """Begin the chance of a round; return its steps, 0 where the phase is over."""

    def next_batch(self, data: Any) -> Any:
        """Return what the next step learns from."""

    def learn(self, batch: Any) -> int:
        """Do a step; return how many images it learned from. Nothing has changed if it raises."""

    def halve(self, error: BaseException) -> str:
        """Take less at once and say so; raise where that is not possible."""

    def validate(
        self, tell: Callable[..., TrainingReport]
    ) -> Generator[TrainingReport, None, Validation]:
        """Look at the held-out part."""

    def keep_weights(self) -> None:
        """Keep the weights of now: they are the best so far."""


class Trainer:
    """A training from its checkpoint, if there is one, to its end.

    Parameters
    ----------
    began
        When the training began, in seconds of :func:`time.monotonic`; now for ``None``.
    writes
        Whether this process writes the checkpoint.

    Raises
    ------
    TrainingError
        The checkpoint is damaged, or of another training.
    """

    def __init__(
        self, strategy: TrainingStrategy, *, began: float | None = None, writes: bool = True
    ) -> None:
        self.strategy, self.writes = strategy, writes
        self.pace = ThroughputMeter()
        self._began = time.monotonic() if began is None else began
        self._seconds_before = 0.0
        self.resumed = self._resume()

    def run(self) -> Generator[TrainingReport, None, None]:
        """Learn; yield after every step, where it can be stopped.

        Raises
        ------
        TrainingError
            The loss is no number any more, or the memory is too small.
        StorageError
            The checkpoint cannot be written.
        """
        strategy = self.strategy
        if strategy.validates_first:
            yield from self._validate()
        for phase in strategy.phases():
            with (yield from phase) as data:
                self.pace = ThroughputMeter()
                while not strategy.early_stopping.should_stop:
                    steps = strategy.begin_round()
                    if not steps:
                        break
                    yield from self._round(steps, data)

    def seconds(self) -> float:
        """How long it has taken, the time before an interruption included."""
        return self._seconds_before + time.monotonic() - self._began

    def tell(self, message: str, phase: Any = "train", **more: Any) -> TrainingReport:
        """Return how far the training is."""
        strategy = self.strategy
        left = strategy.total - strategy.done
        return TrainingReport(
            strategy.done,
            strategy.total,
            message,
            phase=phase,
            losses=dict(strategy.shown_losses),
            images_per_second=self.pace.images_per_second,
            eta_s=self.pace.eta(left) if strategy.steady else None,
            **more,
        )

    def _round(self, steps: int, data: Any) -> Generator[TrainingReport, None, None]:
        self.pace.reset_timer()
        for _ in range(steps):
            yield self._step(data)
        yield from self._validate()
        self._save()

    def _step(self, data: Any) -> TrainingReport:
        strategy, messages = self.strategy, list[str]()
        batch = strategy.next_batch(data)
        images = until_it_fits(
            lambda: strategy.learn(batch), lambda error: messages.append(strategy.halve(error))
        )
        if strategy.running_mean is not None:
            strategy.running_mean.add(strategy.network, strategy.done)
        self.pace.step(images)
        return self.tell(messages[-1] if messages else strategy.message)

    def _validate(self) -> Generator[TrainingReport, None, None]:
        strategy = self.strategy
        validation = yield from strategy.validate(self.tell)
        if validation.score is not None and strategy.early_stopping.update(
            validation.score, validation.step
        ):
            strategy.keep_weights()
        yield self.tell(strategy.message, "validate", metrics=validation.metrics)

    def _save(self) -> None:
        if self.writes:
            strategy = self.strategy
            known = {strategy.identity_key: strategy.identity(), "seconds": self.seconds()}
            save_checkpoint(strategy.checkpoint, known | strategy.state())

    def _resume(self) -> bool:
        """Whether there was a checkpoint of this very training; then it goes on from it."""
        strategy = self.strategy
        state = load_checkpoint(strategy.checkpoint)
        if state is None:
            return False
        try:
            same = bool(state.get(strategy.identity_key) == strategy.identity())
            if same:
                strategy.restore(state)
                # Older classifiers' checkpoints do not say how long it took.
                self._seconds_before = float(state.get("seconds", 0.0))
        except Exception as error:  # parts are missing, or of another kind or shape
            raise damaged_checkpoint_error(strategy.checkpoint) from error
        if not same and strategy.refusal:
            raise TrainingError(strategy.refusal)
        return same


def steps_to_validation(done: int, total: int, validations: int) -> int:
    """Return the steps to the next of so many even looks, or to the last step.

    Examples
    --------
    >>> [steps_to_validation(done, 103, 4) for done in (0, 99, 100, 103)]
    [25, 1, 3, 0]
    """
    every = max(1, total // validations)
    return max(0, min(every - done % every, total - done))


def descend(
    losses: Iterable[Tensor],
    optimiser: torch.optim.Optimizer,
    network: nn.Module,
    invalid_loss: Callable[[], TrainingError],
    *,
    max_norm: float | None = MAX_GRAD_NORM,
    backward: Callable[[Tensor], None] = torch.Tensor.backward,
) -> float:
    """Do one step down the sum of some losses; return it.

    Parameters
    ----------
    losses
        Of the portions of a batch, each computed when it is asked for: one graph at a time.
    invalid_loss
        The error for a loss that is no number.
    max_norm
        To which the network's gradient is clipped; ``None`` for not at all.
    backward
        Adds a loss's gradient; that of Accelerate, where it chooses the precision.
    """
    optimiser.zero_grad()
    total = 0.0
    try:
        for loss in losses:
            value = float(loss.detach())
            if not math.isfinite(value):
                raise invalid_loss()
            backward(loss)
            total += value
    except (RuntimeError, MemoryError):
        optimiser.zero_grad()  # gives its memory back before less is tried
        raise
    if max_norm is not None:
        torch.nn.utils.clip_grad_norm_(network.parameters(), max_norm)
    optimiser.step()
    return total


def until_it_fits(
    attempt: Callable[[], Result], halve: Callable[[BaseException], object]
) -> Result:
    """Return what an attempt gives, after taking less at once as long as the memory is full."""
    while True:
        try:
            return attempt()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            halve(error)
        free_gpu_memory()
