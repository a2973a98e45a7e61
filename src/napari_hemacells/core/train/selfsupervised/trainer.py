"""One adaptation from its first to its last step. Imports torch.

What the child process does: look at the clicks, learn without labels, look again, decide.

Imports torch inside functions only, so that a front end can name the job.

An adapted encoder's file. Imports torch.
"""

from __future__ import annotations

import hashlib
import math
import time
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.encode import load_encoder
from napari_hemacells.core.encode.adapted import AdaptedHeader, with_tensors
from napari_hemacells.core.encode.device import free_gpu_memory, is_out_of_memory
from napari_hemacells.core.encode.network import NetworkEncoder
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.fsio import atomic_path
from napari_hemacells.core.train.callbacks import load_checkpoint, save_checkpoint
from napari_hemacells.core.train.progress import ThroughputMeter, TrainingReport
from napari_hemacells.core.train.selfsupervised.config import (
    AdaptJob,
    AdaptOutcome,
    default_steps,
)
from napari_hemacells.core.train.selfsupervised.dataset import CHECKPOINT, read_training_set
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

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray


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

    course = SimCLRTrainer(job)
    yield from course.run()
    return course.finish()


def write_encoder(course: SimCLRTrainer) -> str:
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


class SimCLRTrainer:
    """The state of an adaptation, and how it goes on.

    Raises
    ------
    TrainingError
        No crops, or a checkpoint of another training.
    """

    def __init__(self, job: AdaptJob) -> None:
        self.job, self.started = job, time.monotonic()
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
        self.pace, self.losses, self.notes = (
            ThroughputMeter(),
            list[float](),
            list(self.training_set.left_out),
        )
        self.before: float | None = None
        self.after: float | None = None
        self.seconds_before = 0.0
        self._resume()

    # --- going on ----------------------------------------------------------------------------

    def run(self) -> Generator[TrainingReport, None, None]:
        """Learn until the last step."""
        if self.learner.step == 0:
            yield self._tell("Looking at your clicks", phase="validate")
            self.before = self.after = accuracy_on_clicks(self.base, self.training_set)
            yield self._look()
        every = max(1, self.steps // VALIDATIONS)
        while self.learner.step < self.steps:
            yield from self._step()
            if self.learner.step % every == 0 or self.learner.step == self.steps:
                yield self._tell("Looking at your clicks", phase="validate")
                self.after = accuracy_on_clicks(self.adapted(), self.training_set)
                yield self._look()
                self._save()

    def finish(self) -> AdaptOutcome:
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
            seconds=self.seconds(),
            losses=tuple(self.losses),
            notes=tuple(self.notes),
        )

    def adapted(self) -> NetworkEncoder:
        """Return the encoder as it is now."""
        base = self.base
        network = with_tensors(base.network, self.learner.changed())
        return NetworkEncoder(network, base.info, base.device, base.precision)

    def seconds(self) -> float:
        """How long it has taken, the time before an interruption included."""
        return self.seconds_before + time.monotonic() - self.started

    def _step(self) -> Generator[TrainingReport, None, None]:
        """Do one step, with a smaller batch where the memory is too small."""
        crops = self._batch()
        while True:
            seed_step(self.job.params.seed, self.learner.step)
            try:
                loss = self.learner.learn(*self.views.pair(crops[: self.batch]))
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.batch < 2 * LEAST_BATCH:
                    raise
            self.batch //= 2
            free_gpu_memory()
            self.notes.append(f"The memory is too small: {self.batch} crops a step from then on.")
            yield self._tell(self.notes[-1])
        if not math.isfinite(loss):
            raise TrainingError("The loss is not a number any more: choose a smaller rate.")
        self.losses.append(loss)
        self.pace.step(self.batch)
        yield self._tell("Learning")

    def _batch(self) -> NDArray[np.uint8]:
        """Return the crops of the next step: every one comes once a round, in a new order."""
        count = len(self.training_set.crops)
        a_round = max(1, count // self.batch)
        turn, index = divmod(self.learner.step, a_round)
        order = np.random.default_rng([self.job.params.seed, turn]).permutation(count)
        return self.training_set.crops[order[index * self.batch : (index + 1) * self.batch]]

    def _tell(self, message: str, phase: Any = "train", **more: Any) -> TrainingReport:
        recent = self.losses[-10:]
        return TrainingReport(
            self.learner.step,
            self.steps,
            message,
            phase=phase,
            losses={"total": float(np.mean(recent))} if recent else {},
            images_per_second=self.pace.images_per_second,
            eta_s=self.pace.eta(self.steps - self.learner.step),
            **more,
        )

    def _look(self) -> TrainingReport:
        self.pace.reset_timer()
        metrics = {} if self.after is None else {LEAVE_ONE_OUT_METRIC: self.after}
        return self._tell("Learning", metrics=metrics)

    # --- the checkpoint ----------------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:
        """Return what must be the same for a checkpoint to be gone on from."""
        return {
            "base": self.base.info.sha256,
            "steps": self.steps,
            "params": self.job.params.model_dump(exclude={"device"}),
            "crops": self.training_set.digest(),
        }

    def _save(self) -> None:
        state = {
            "identity": self._identity(),
            "learner": self.learner.state(),
            "accuracy": [self.before, self.after],
            "batch": self.batch,
            "losses": self.losses,
            "notes": self.notes,
            "seconds": self.seconds(),
        }
        save_checkpoint(self.job.folder / CHECKPOINT, state)

    def _resume(self) -> None:
        state = load_checkpoint(self.job.folder / CHECKPOINT)
        if state is None:
            return
        if state["identity"] != self._identity():
            raise TrainingError(
                f"The checkpoint in {self.job.folder} is of another training (other crops, "
                "encoder, steps or settings): begin anew without --resume."
            )
        self.learner.restore(state["learner"])
        self.before, self.after = state["accuracy"]
        self.batch, self.losses = state["batch"], state["losses"]
        self.notes, self.seconds_before = state["notes"], state["seconds"]
