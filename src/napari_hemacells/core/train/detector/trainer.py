"""One fine-tuning from its first to its last step; the loop is the Trainer's. Imports torch.

Crops in order, cut in a thread while the network learns from those before; at the end figures,
the weights' file and the report.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.annotate.state import utc_now
from napari_hemacells.core.detect.learned.model import DetectionThresholds
from napari_hemacells.core.encode.device import choose_device
from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.callbacks import CHECKPOINT, EarlyStopping
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
from napari_hemacells.core.train.progress import TrainingReport
from napari_hemacells.core.train.provenance import library_versions
from napari_hemacells.core.train.trainer import Trainer, Validation, steps_to_validation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from concurrent.futures import Future
    from types import TracebackType

    from napari_hemacells.core.detect.learned.network import CellNet
    from napari_hemacells.core.train.detector.dataloader import Crop
    from napari_hemacells.core.train.detector.dataset import TrainingField
    from napari_hemacells.core.train.detector.split import DetectorSplit
    from napari_hemacells.core.train.ema import ModelEma


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


def write_outcome(course: DetectorStrategy, seconds: float) -> DetectorOutcome:
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
        best_step=course.early_stopping.step,
        steps=course.learner.step,
        seconds=seconds,
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


def _about(course: DetectorStrategy, outcome: DetectorOutcome) -> dict[str, Any]:
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


class DetectorStrategy:
    """One fine-tuning, for :class:`~napari_hemacells.core.train.trainer.Trainer`.

    Raises
    ------
    TrainingError
        No fields.
    """

    identity_key, message, steady = "identity", "Learning", True

    def __init__(self, job: DetectorJob) -> None:
        self.job = job
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
        self.early_stopping = EarlyStopping(PATIENCE, LEAST_GAIN)
        self.curves = Curves()
        self.batch, self.crops = job.params.batch_size, 0
        self.shown_losses: dict[str, float] = {}
        self.notes = [f"Left out: {sentence}" for sentence in read_left_out(job.folder)]
        self.kept: dict[str, Any] = {}
        self.checkpoint = job.folder / CHECKPOINT
        self.refusal = (
            f"The checkpoint in {job.folder} is of another training (other images, "
            "start, steps or settings): begin anew without --resume."
        )
        self._limits: list[float] = []  # of the last look

    # --- how far it is -----------------------------------------------------------------------

    @property
    def network(self) -> CellNet:
        """What learns."""
        network: CellNet = self.learner.network
        return network

    @property
    def running_mean(self) -> ModelEma:
        """The mean of its weights, which is what is looked at and kept."""
        return self.learner.average

    @property
    def done(self) -> int:
        """Steps done."""
        return self.learner.step

    @property
    def total(self) -> int:
        """Steps in all."""
        return self.job.steps

    @property
    def validates_first(self) -> bool:
        """Whether nothing has been learned and looked at yet."""
        return self.done == 0 and not self.kept

    # --- steps and looks ---------------------------------------------------------------------

    def phases(self) -> Iterator[Generator[TrainingReport, None, CropPrefetcher]]:
        """Learn in one go, until the last step or until it does not get better."""
        yield self._crops()
        if self.done < self.total:
            self.notes.append(f"Stopped after step {self.done}: no gain any more.")

    def begin_round(self) -> int:
        """Return the steps to the next look."""
        return steps_to_validation(self.done, self.total, VALIDATIONS)

    def next_batch(self, data: CropPrefetcher) -> list[Crop]:
        """Return the next crops."""
        crops = data.take(self.batch)
        self.crops += len(crops)
        return crops

    def learn(self, batch: list[Crop]) -> int:
        """Do a step with as many of the crops as fit."""
        losses = self.learner.learn(batch[: self.batch])
        for name, value in losses.items():
            before = self.shown_losses.get(name, value)
            self.shown_losses[name] = LOSS_SMOOTHING * before + (1 - LOSS_SMOOTHING) * value
        return self.batch

    def halve(self, error: BaseException) -> str:
        """Take half as many crops a step."""
        if self.batch == 1:
            raise error
        self.batch //= 2
        self.notes.append(f"The memory is too small: {self.batch} crops a step from now on.")
        return self.notes[-1]

    def validate(
        self, tell: Callable[..., TrainingReport]
    ) -> Generator[TrainingReport, None, Validation]:
        """Look at the held-out part with the mean of the weights."""
        yield tell("Looking at the held-out part", "validate")
        self.evaluation_network.load_state_dict(self.running_mean.tensors)
        marks = self.evaluator.evaluate_with_best_thresholds(
            self.evaluation_network, self.start.limits
        )
        f1 = marks.tally.f1()
        self.early_stopping.least = max(LEAST_GAIN, marks.tally.grain)
        # The start's weights keep their limits: few held-out cells must not move them.
        self._limits = list(marks.limits if self.done else self.start.limits.scores)
        metrics = {f"F1 {name}": value for name, value in f1.items()}
        return Validation(metrics, score=f1[ALL], step=self.done)

    def keep_weights(self) -> None:
        """Keep the mean of the weights, with the limits that were chosen for it."""
        mean = self.running_mean.tensors
        tensors = {name: value.cpu().clone() for name, value in mean.items()}
        self.kept = {"tensors": tensors, "limits": self._limits}

    def _crops(self) -> Generator[TrainingReport, None, CropPrefetcher]:
        """Return the stream of crops from the next one on."""
        yield from ()  # ready at once
        sources = [(1.0 - REHEARSAL, self.split.fields_of(self.fields))]
        if self.job.rehearsal is not None:
            sources.append((REHEARSAL, list(self.job.rehearsal())))
        stream = CropDataset(sources, self.job.params.seed, UNBOUNDED_LENGTH)
        return CropPrefetcher(stream, self.crops, 2 * self.batch)

    # --- the checkpoint ----------------------------------------------------------------------

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a checkpoint to be gone on from."""
        return {
            "start": self.start.sha256,
            "steps": self.job.steps,
            "params": self.job.params.model_dump(exclude={"device"}),
            "images": [field.key for field in self.fields],
        }

    def state(self) -> dict[str, Any]:
        """Return tensors and plain values, for a checkpoint."""
        return {
            "learner": self.learner.state(),
            "best": self.early_stopping.state(),
            "curves": self.curves.state(),
            "kept": self.kept,
            "batch": self.batch,
            "crops": self.crops,
            "losses": self.shown_losses,
            "notes": self.notes,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.learner.restore(state["learner"])
        self.early_stopping.restore(state["best"])
        self.curves.restore(state["curves"])
        self.kept, self.batch, self.crops = state["kept"], state["batch"], state["crops"]
        self.shown_losses, self.notes = state["losses"], state["notes"]


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

    began = time.monotonic()
    strategy = DetectorStrategy(job)
    trainer = Trainer(strategy, began=began)
    with closing(trainer.run()) as reports:
        for report in reports:
            strategy.curves.add(report)
            yield report
    yield TrainingReport(job.steps, job.steps, "Writing the report", phase="end")
    return write_outcome(strategy, trainer.seconds())
