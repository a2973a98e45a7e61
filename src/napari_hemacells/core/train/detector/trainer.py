"""One fine-tuning from its first to its last step. Imports torch.

Crops in order, cut in a thread while the network learns from those before.

The end of a fine-tuning: figures, the weights' file, the report. Imports torch.

What the child process does: fine-tune, look at the held-out part, keep the best, write it.

Imports torch inside functions only, so that a front end can name the job.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.detect.learned.model import DetectionThresholds
from napari_hemacells.core.encode.device import (
    choose_device,
    free_gpu_memory,
    is_out_of_memory,
)
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.callbacks import (
    EarlyStopping,
    load_checkpoint,
    save_checkpoint,
)
from napari_hemacells.core.train.detector.config import DetectorJob, read_left_out
from napari_hemacells.core.train.detector.dataloader import CropDataset
from napari_hemacells.core.train.detector.dataset import load_fields
from napari_hemacells.core.train.detector.evaluator import DetectorEvaluator
from napari_hemacells.core.train.detector.metrics import ALL
from napari_hemacells.core.train.detector.optim import DetectorLearner
from napari_hemacells.core.train.detector.report import (
    DetectorOutcome,
    FieldSummary,
    build_page,
)
from napari_hemacells.core.train.detector.split import split_fields
from napari_hemacells.core.train.detector.weights import load_initial_detector, save_weights
from napari_hemacells.core.train.html_report import write_page
from napari_hemacells.core.train.learning_curves import Curves
from napari_hemacells.core.train.progress import ThroughputMeter, TrainingReport
from napari_hemacells.core.train.provenance import library_versions

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from concurrent.futures import Future
    from types import TracebackType

    from napari_hemacells.core.train.detector.dataloader import Crop
    from napari_hemacells.core.train.detector.dataset import TrainingField
    from napari_hemacells.core.train.detector.split import DetectorSplit


class CropPrefetcher:
    """The crops of a stream from a number on, a few of them cut ahead.

    Parameters
    ----------
    ahead
        How many crops are made before they are asked for.
    """

    def __init__(self, stream: CropDataset, start: int, ahead: int) -> None:
        self._stream, self._next, self._ahead = stream, start, ahead
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[Crop]] = deque()

    def __enter__(self) -> CropPrefetcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def take(self, count: int) -> list[Crop]:
        """Return the next crops."""
        while len(self._waiting) < count + self._ahead:
            self._waiting.append(self._pool.submit(self._stream.__getitem__, self._next))
            self._next += 1
        return [self._waiting.popleft().result() for _ in range(count)]


def write_outcome(course: DetectorTrainer) -> DetectorOutcome:
    """Write the best weights with their header, and the report; return what came of it.

    Raises
    ------
    StorageError
        A file cannot be written.
    """
    job, start, examiner = course.job, course.start, course.evaluator
    old = start.limits
    limits = DetectionThresholds(tuple(course.kept["limits"]), old.overlap, old.overlap_of_kinds)
    before = examiner.tally(start.network, old)
    course.evaluation_network.load_state_dict(course.kept["tensors"])
    outcome = DetectorOutcome(
        weights=job.out,
        report=job.out.with_suffix(".html"),
        before=before,
        before_limits=examiner.evaluate_with_best_thresholds(start.network, old).tally,
        after=examiner.tally(course.evaluation_network, limits),
        best_step=course.best.step,
        steps=course.learner.step,
        seconds=course.seconds(),
        split=course.split.words,
        curves=course.curves,
        notes=tuple(course.notes),
        images=tuple(training_images(course.fields, course.split)),
    )
    about = _about(course, outcome)
    digest = save_weights(job.out, course.kept["tensors"], limits, about)
    write_page(outcome.report, build_page(outcome, {**about, "sha256": digest}, limits, old))
    return outcome


def training_images(fields: Sequence[TrainingField], split: DetectorSplit) -> list[FieldSummary]:
    """Return each picture with what it was used for; with few, each was for both."""
    learned = {part.field for part in split.learn}
    return [
        FieldSummary(field.name, field.key, index in learned, len(field.boxes))
        for index, field in enumerate(fields)
    ]


def _about(course: DetectorTrainer, outcome: DetectorOutcome) -> dict[str, Any]:
    """Return what the weights' header says of their making; plain JSON."""
    job = course.job
    return {
        "date": utc_now(),
        "start": {"name": course.start.name, "sha256": course.start.sha256},
        "images": [
            {"name": image.name, "key": image.key, "learned": image.learned}
            for image in outcome.images
        ],
        "split": outcome.split,
        "steps": outcome.steps,
        "planned_steps": job.steps,
        "best_step": outcome.best_step,
        "params": job.params.model_dump(),
        "device": course.device.name,
        "f1_iou50_held_out": {
            "before": outcome.before.f1(),
            "before_limits_chosen": outcome.before_limits.f1(),
            "after": outcome.after.f1(),
        },
        "notes": list(outcome.notes),
        "versions": library_versions(),
        "command": job.command,
    }


REHEARSAL = 0.15  # share of the crops
VALIDATIONS = 12  # at the held-out part
PATIENCE, LEAST_GAIN = 6, 0.002  # looks without so much more F1 end it
LOSS_SMOOTHING = 0.9  # of the losses shown
UNBOUNDED_LENGTH = 10**9  # crops: as many as are asked for


class DetectorTrainer:
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
        self.start = load_initial_detector(job.start)
        self.evaluation_network = load_initial_detector(
            job.start
        ).network  # a second one, that is looked at
        self.device = choose_device(job.params.device)
        self.learner = DetectorLearner(
            load_initial_detector(job.start).network,
            steps=job.steps,
            rate=job.params.rate,
            device=self.device.name,
        )
        self.evaluator = DetectorEvaluator(self.fields, self.split)
        self.best = EarlyStopping(PATIENCE, LEAST_GAIN)
        self.curves, self.pace = Curves(), ThroughputMeter()
        self.batch, self.crops, self.seconds_before = job.params.batch_size, 0, 0.0
        self.losses: dict[str, float] = {}
        self.notes = [f"Left out: {sentence}" for sentence in read_left_out(job.folder)]
        self.kept: dict[str, Any] = {}
        self._resume()

    # --- going on ----------------------------------------------------------------------------

    def run(self) -> Generator[TrainingReport, None, None]:
        """Learn until the last step, or until it does not get better."""
        if self.learner.step == 0 and not self.kept:
            yield self._tell("Looking at the held-out part", phase="validate")
            yield self._look()
        every = max(1, self.job.steps // VALIDATIONS)
        with CropPrefetcher(self._stream(), self.crops, 2 * self.batch) as crops:
            while self.learner.step < self.job.steps and not self.best.should_stop:
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

    def _stream(self) -> CropDataset:
        sources = [(1.0 - REHEARSAL, self.split.fields_of(self.fields))]
        if self.job.rehearsal is not None:
            sources.append((REHEARSAL, list(self.job.rehearsal())))
        return CropDataset(sources, self.job.params.seed, UNBOUNDED_LENGTH)

    def _step(self, crops: CropPrefetcher) -> Generator[TrainingReport, None, None]:
        """Do one step, with a smaller batch where the memory is too small."""
        wanted = crops.take(self.batch)
        while True:
            try:
                losses = self.learner.learn(wanted[: self.batch])
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.batch == 1:
                    raise
            self.batch //= 2
            free_gpu_memory()
            message = f"The memory is too small: {self.batch} crops a step from now on."
            self.notes.append(message)
            yield self._tell(message)
        self.crops += len(wanted)
        self.pace.step(self.batch)
        for name, value in losses.items():
            self.losses[name] = (
                LOSS_SMOOTHING * self.losses.get(name, value) + (1 - LOSS_SMOOTHING) * value
            )
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
        self.evaluation_network.load_state_dict(self.learner.average.tensors)
        marks = self.evaluator.evaluate_with_best_thresholds(
            self.evaluation_network, self.start.limits
        )
        f1 = marks.tally.f1()
        self.best.least = max(LEAST_GAIN, marks.tally.grain)
        if self.best.update(f1[ALL], self.learner.step):
            tensors = {name: value.cpu().clone() for name, value in
                       self.learner.average.tensors.items()}  # fmt: skip
            # The start's weights keep their limits: few held-out cells must not move them.
            limits = marks.limits if self.learner.step else self.start.limits.scores
            self.kept = {"tensors": tensors, "limits": list(limits)}
        self.pace.reset_timer()
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


def fine_tune(job: DetectorJob) -> Generator[TrainingReport, None, DetectorOutcome]:
    """Yield how it goes; return what came of it. Goes on from the checkpoint if there is one.

    Raises
    ------
    TrainingError
        NaN in the loss, nothing to learn from, a checkpoint of another training.
    StorageError
        The disk is full.
    EncoderError
        The start weights cannot be read.
    """
    yield TrainingReport(0, job.steps, "Loading the detector")

    course = DetectorTrainer(job)
    yield from course.run()
    yield TrainingReport(job.steps, job.steps, "Writing the report", phase="end")
    return course.finish()
