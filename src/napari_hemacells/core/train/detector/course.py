"""One fine-tuning from its first to its last step. Imports torch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.encode.device import choose_device
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.checkpoint import load_checkpoint, save_checkpoint
from napari_hemacells.core.train.curves import Curves
from napari_hemacells.core.train.detector.crops import CropStream
from napari_hemacells.core.train.detector.examiner import Examiner
from napari_hemacells.core.train.detector.folder import left_out_of
from napari_hemacells.core.train.detector.learner import Learner
from napari_hemacells.core.train.detector.lessons import load_fields
from napari_hemacells.core.train.detector.split import split_fields
from napari_hemacells.core.train.detector.stream import Ahead
from napari_hemacells.core.train.detector.tally import ALL
from napari_hemacells.core.train.detector.weights import load_start
from napari_hemacells.core.train.detector.written import write_outcome
from napari_hemacells.core.train.memory import free_gpu_memory, is_out_of_memory
from napari_hemacells.core.train.reports import Pace, TrainingReport
from napari_hemacells.core.train.stopping import BestSoFar

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.train.detector.job import DetectorJob
    from napari_hemacells.core.train.detector.outcome import DetectorOutcome

REHEARSAL = 0.15  # share of the crops
LOOKS = 12  # at the held-out part
PATIENCE, LEAST_GAIN = 6, 0.002  # looks without so much more F1 end it
SMOOTH = 0.9  # of the losses shown
MANY = 10**9  # crops: as many as are asked for


class Course:
    """The state of a fine-tuning, and how it goes on.

    Raises
    ------
    TrainingError
        No fields, or a checkpoint of another training.
    """

    def __init__(self, job: DetectorJob) -> None:
        self.job, self.started = job, time.monotonic()
        self.fields = load_fields(job.folder / "fields")
        if not self.fields:
            raise TrainingError("There is no corrected field to learn from.")
        self.split = split_fields(self.fields)
        self.start = load_start(job.start)
        self.scholar = load_start(job.start).network  # a second one, that is looked at
        self.device = choose_device(job.params.device)
        self.learner = Learner(
            load_start(job.start).network,
            steps=job.steps,
            rate=job.params.rate,
            device=self.device.name,
        )
        self.examiner = Examiner(self.fields, self.split)
        self.best = BestSoFar(PATIENCE, LEAST_GAIN)
        self.curves, self.pace = Curves(), Pace()
        self.batch, self.crops, self.seconds_before = job.params.batch_size, 0, 0.0
        self.losses: dict[str, float] = {}
        self.notes = [f"Left out: {sentence}" for sentence in left_out_of(job.folder)]
        self.kept: dict[str, Any] = {}
        self._resume()

    # --- going on ----------------------------------------------------------------------------

    def run(self) -> Generator[TrainingReport, None, None]:
        """Learn until the last step, or until it does not get better."""
        if self.learner.step == 0 and not self.kept:
            yield self._tell("Looking at the held-out part", phase="validate")
            yield self._look()
        every = max(1, self.job.steps // LOOKS)
        with Ahead(self._stream(), self.crops, 2 * self.batch) as crops:
            while self.learner.step < self.job.steps and not self.best.exhausted:
                yield from self._step(crops)
                if self.learner.step % every == 0 or self.learner.step == self.job.steps:
                    yield self._tell("Looking at the held-out part", phase="validate")
                    yield self._look()
                    self._save()
        if self.learner.step < self.job.steps:
            self.notes.append(f"Stopped after step {self.learner.step}: no gain any more.")

    def finish(self) -> DetectorOutcome:
        """Write weights and report; return what came of it."""
        return write_outcome(self)

    def seconds(self) -> float:
        """How long it has taken, the time before an interruption included."""
        return self.seconds_before + time.monotonic() - self.started

    def _stream(self) -> CropStream:
        sources = [(1.0 - REHEARSAL, self.split.fields_of(self.fields))]
        if self.job.rehearsal is not None:
            sources.append((REHEARSAL, list(self.job.rehearsal())))
        return CropStream(sources, self.job.params.seed, MANY)

    def _step(self, crops: Ahead) -> Generator[TrainingReport, None, None]:
        """Do one step, with a smaller batch where the memory is too small."""
        wanted = crops.take(self.batch)
        while True:
            try:
                told = self.learner.learn(wanted[: self.batch])
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.batch == 1:
                    raise
            self.batch //= 2
            free_gpu_memory()
            said = f"The memory is too small: {self.batch} crops a step from now on."
            self.notes.append(said)
            yield self._tell(said)
        self.crops += len(wanted)
        self.pace.step(self.batch)
        for name, value in told.items():
            self.losses[name] = SMOOTH * self.losses.get(name, value) + (1 - SMOOTH) * value
        yield self._tell("Learning")

    def _tell(self, message: str, phase: Any = "train", **more: Any) -> TrainingReport:
        left = self.job.steps - self.learner.step
        report = TrainingReport(
            self.learner.step,
            self.job.steps,
            message,
            phase=phase,
            losses=dict(self.losses),
            images_per_second=self.pace.images_per_second,
            eta_s=self.pace.eta(left),
            **more,
        )
        self.curves.add(report)
        return report

    def _look(self) -> TrainingReport:
        """Look at the held-out part with the mean of the weights; keep them if they are best."""
        self.scholar.load_state_dict(self.learner.average.tensors)
        marks = self.examiner.marks(self.scholar, self.start.limits)
        f1 = marks.tally.f1()
        self.best.least = max(LEAST_GAIN, marks.tally.grain)
        if self.best.look(f1[ALL], self.learner.step):
            tensors = {name: value.cpu().clone() for name, value in
                       self.learner.average.tensors.items()}  # fmt: skip
            # The start's weights keep their limits: few held-out cells must not move them.
            limits = marks.limits if self.learner.step else self.start.limits.scores
            self.kept = {"tensors": tensors, "limits": list(limits)}
        self.pace.pause()
        return self._tell("Learning", metrics={f"F1 {name}": value for name, value in f1.items()})

    # --- the checkpoint ----------------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:
        """Return what must be the same for a checkpoint to be gone on from."""
        return {
            "start": self.start.sha256,
            "steps": self.job.steps,
            "params": self.job.params.model_dump(exclude={"device"}),
            "images": [field.key for field in self.fields],
        }

    def _save(self) -> None:
        state = {
            "identity": self._identity(),
            "learner": self.learner.state(),
            "best": self.best.state(),
            "curves": self.curves.state(),
            "kept": self.kept,
            "batch": self.batch,
            "crops": self.crops,
            "losses": self.losses,
            "notes": self.notes,
            "seconds": self.seconds(),
        }
        save_checkpoint(self.job.folder / "checkpoint.pt", state)

    def _resume(self) -> None:
        state = load_checkpoint(self.job.folder / "checkpoint.pt")
        if state is None:
            return
        if state["identity"] != self._identity():
            raise TrainingError(
                f"The checkpoint in {self.job.folder} is of another training (other images, "
                "start, steps or settings): begin anew without --resume."
            )
        self.learner.restore(state["learner"])
        self.best.restore(state["best"])
        self.curves.restore(state["curves"])
        self.kept, self.batch, self.crops = state["kept"], state["batch"], state["crops"]
        self.losses, self.notes = state["losses"], state["notes"]
        self.seconds_before = state["seconds"]
