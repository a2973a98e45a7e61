"""One adaptation from its first to its last step; the loop is the Trainer's. Imports torch.

It looks at the clicks, learns without labels, looks again, decides, and writes the encoder.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.encode import load_encoder
from napari_hemacells.core.encode.adapted import AdaptedHeader, with_tensors
from napari_hemacells.core.encode.network import NetworkEncoder
from napari_hemacells.core.files.fsio import atomic_path
from napari_hemacells.core.train.callbacks import CHECKPOINT, NEVER, EarlyStopping
from napari_hemacells.core.train.progress import TrainingReport
from napari_hemacells.core.train.selfsupervised.config import (
    AdaptJob,
    AdaptOutcome,
    default_steps,
)
from napari_hemacells.core.train.selfsupervised.dataset import read_training_set
from napari_hemacells.core.train.selfsupervised.evaluator import (
    accuracy_on_clicks,
    evaluable_clicks,
)
from napari_hemacells.core.train.selfsupervised.simclr import (
    SimCLRLearner,
    SimCLRViews,
    input_side,
    seed_step,
    trainable_copy,
    trainable_parameter_names,
)
from napari_hemacells.core.train.trainer import Trainer, Validation, steps_to_validation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray
    from torch import nn

    from napari_hemacells.core.train.ema import ModelEma


def adapt(job: AdaptJob) -> Generator[TrainingReport, None, AdaptOutcome]:
    """Yield how it goes; return what came of it. Goes on from the checkpoint if there is one.

    Raises
    ------
    TrainingError
        No crops, NaN in the loss, a checkpoint of another training, lightly is not installed.
    EncoderError
        The encoder to start from is not here.
    StorageError
        The disk is full.
    """
    yield TrainingReport(0, 0, "Loading the encoder")

    began = time.monotonic()
    strategy = SimCLRStrategy(job)
    trainer = Trainer(strategy, began=began)
    yield from trainer.run()
    return strategy.finish(trainer.seconds())


def write_encoder(course: SimCLRStrategy) -> str:
    """Write the weights that changed with their header; return the file's SHA-256.

    Raises
    ------
    StorageError
        The file cannot be written; one that was there before stays.
    """
    from safetensors.torch import save

    job, material = course.job, course.training_set
    header = AdaptedHeader(
        base=job.base,
        base_sha256=course.base.info.sha256,
        images=material.images,
        crops=len(material.crops),
        date=utc_now(),
        training={
            **job.params.model_dump(mode="json", exclude={"device"}),
            "steps": course.steps,
            "leave_one_out": [course.before, course.after],
        },
    )
    changed = {name: value.contiguous() for name, value in course.learner.changed().items()}
    content = save(changed, metadata=header.to_metadata())
    with atomic_path(job.out) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


VALIDATIONS = 4  # at the clicks, after the first
LEAST_BATCH = 8
INIT_SEED_STEP = 2**32 - 1
LEAVE_ONE_OUT_METRIC = "leave-one-out on the clicks"


class SimCLRStrategy:
    """One adaptation, for :class:`~napari_hemacells.core.train.trainer.Trainer`.

    Raises
    ------
    TrainingError
        No crops.
    """

    identity_key, message, steady = "identity", "Learning", True
    running_mean: ModelEma | None = None

    def __init__(self, job: AdaptJob) -> None:
        self.job = job
        self.training_set = read_training_set(job.folder)
        self.base = cast("NetworkEncoder", load_encoder(job.base, job.params.device))
        self.batch = min(job.params.batch_size, len(self.training_set.crops) // 2)
        self.steps = job.params.steps or default_steps(len(self.training_set.crops), self.batch)
        pupil = trainable_copy(self.base)
        seed_step(job.params.seed, INIT_SEED_STEP)  # for the projection's first weights
        self.learner = SimCLRLearner(
            pupil,
            trainable_parameter_names(pupil),
            self.base.info.dim,
            steps=self.steps,
            rate=job.params.rate,
            temperature=job.params.temperature,
            device=self.base.device,
        )
        known = self.base.info.preprocessing
        self.views = SimCLRViews(input_side(self.base), known["mean"], known["std"])
        self.losses, self.notes = list[float](), list(self.training_set.left_out)
        self.before: float | None = None
        self.after: float | None = None
        self.early_stopping = EarlyStopping(NEVER)
        self.checkpoint = job.folder / CHECKPOINT
        self.refusal = (
            f"The checkpoint in {job.folder} is of another training (other crops, "
            "encoder, steps or settings): begin anew without --resume."
        )

    def finish(self, seconds: float) -> AdaptOutcome:
        """Write the encoder if it is to be kept; return what came of it."""
        keep = (
            not self.job.decided_by_clicks
            or self.before is None
            or (self.after or 0.0) >= self.before
        )
        sha256 = write_encoder(self) if keep else ""
        return AdaptOutcome(
            file=self.job.out if keep else None,
            sha256=sha256,
            base=self.base.info.name,
            before=self.before,
            after=self.after,
            crops=len(self.training_set.crops),
            clicks=len(evaluable_clicks(self.training_set.clicks.labels)),
            steps=self.learner.step,
            seconds=seconds,
            losses=tuple(self.losses),
            notes=tuple(self.notes),
        )

    def adapted(self) -> NetworkEncoder:
        """Return the encoder as it is now."""
        base = self.base
        network = with_tensors(base.network, self.learner.changed())
        return NetworkEncoder(network, base.info, base.device, base.precision)

    # --- how far it is -----------------------------------------------------------------------

    @property
    def network(self) -> nn.Module:
        """What learns."""
        return cast("nn.Module", self.learner.network)

    @property
    def done(self) -> int:
        """Steps done."""
        return self.learner.step

    @property
    def total(self) -> int:
        """Steps in all."""
        return self.steps

    @property
    def validates_first(self) -> bool:
        """Whether nothing has been learned yet."""
        return self.done == 0

    @property
    def shown_losses(self) -> dict[str, float]:
        """The mean of the last steps."""
        recent = self.losses[-10:]
        return {"total": float(np.mean(recent))} if recent else {}

    # --- steps and looks ---------------------------------------------------------------------

    def phases(
        self,
    ) -> Iterator[Generator[TrainingReport, None, AbstractContextManager[NDArray[np.uint8]]]]:
        """Learn in one go, until the last step."""
        yield self._crops()

    def begin_round(self) -> int:
        """Return the steps to the next look."""
        return steps_to_validation(self.done, self.steps, VALIDATIONS)

    def next_batch(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the crops of the next step: every one comes once a round, in a new order."""
        a_round = max(1, len(data) // self.batch)
        turn, index = divmod(self.done, a_round)
        order = np.random.default_rng([self.job.params.seed, turn]).permutation(len(data))
        return data[order[index * self.batch : (index + 1) * self.batch]]

    def learn(self, batch: NDArray[np.uint8]) -> int:
        """Do a step with two views of as many of the crops as fit."""
        seed_step(self.job.params.seed, self.done)
        self.losses.append(self.learner.learn(*self.views.pair(batch[: self.batch])))
        return self.batch

    def halve(self, error: BaseException) -> str:
        """Take half as many crops a step."""
        if self.batch < 2 * LEAST_BATCH:
            raise error
        self.batch //= 2
        self.notes.append(f"The memory is too small: {self.batch} crops a step from then on.")
        return self.notes[-1]

    def validate(
        self, tell: Callable[..., TrainingReport]
    ) -> Generator[TrainingReport, None, Validation]:
        """Look at the clicks; they decide at the end, not which weights are kept."""
        yield tell("Looking at your clicks", "validate")
        encoder = self.adapted() if self.done else self.base
        self.after = accuracy_on_clicks(encoder, self.training_set)
        if not self.done:
            self.before = self.after
        return Validation({} if self.after is None else {LEAVE_ONE_OUT_METRIC: self.after})

    def keep_weights(self) -> None:
        """Do nothing: the last weights are kept."""

    def _crops(
        self,
    ) -> Generator[TrainingReport, None, AbstractContextManager[NDArray[np.uint8]]]:
        yield from ()  # ready at once
        return nullcontext(self.training_set.crops)

    # --- the checkpoint ----------------------------------------------------------------------

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a checkpoint to be gone on from."""
        return {
            "base": self.base.info.sha256,
            "steps": self.steps,
            "params": self.job.params.model_dump(exclude={"device"}),
            "crops": self.training_set.digest(),
        }

    def state(self) -> dict[str, Any]:
        """Return tensors and plain values, for a checkpoint."""
        return {
            "learner": self.learner.state(),
            "accuracy": [self.before, self.after],
            "batch": self.batch,
            "losses": self.losses,
            "notes": self.notes,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.learner.restore(state["learner"])
        self.before, self.after = state["accuracy"]
        self.batch, self.losses, self.notes = state["batch"], state["losses"], state["notes"]
