"""What the child process does: fine-tune, look at the held-out part, keep the best, write it.

Imports torch inside functions only, so that a front end can name the job.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_hemacells.core.params import TrainDetectorParams
from napari_hemacells.core.train.reports import TrainingReport

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from pathlib import Path

    from napari_hemacells.core.train.detector.fields import Field
    from napari_hemacells.core.train.detector.outcome import DetectorOutcome

STEPS_ON_ONE_CORE, MOST_STEPS = 150, 600
SECONDS_A_CROP = 0.09  # learned from on one core of 2020 or later, looks at the held-out included


@dataclass(frozen=True)
class DetectorJob:
    """One fine-tuning.

    Attributes
    ----------
    folder
        Holds ``fields`` and, while it runs, the checkpoint.
    out
        The file for the weights; the report goes beside it.
    start
        The weights to begin with; the bundled ones for ``None``.
    rehearsal
        A function of a module, called in the child: fields of which a small share of the crops
        are, so that what the detector knows is not forgotten.
    command
        What to type to repeat it, for the report.
    """

    folder: Path
    out: Path
    steps: int
    params: TrainDetectorParams = field(default_factory=TrainDetectorParams)
    start: Path | None = None
    rehearsal: Callable[[], Iterable[Field]] | None = None
    command: str = ""


def default_steps(cores: int) -> int:
    """Return how many steps take one to three minutes on so many cores.

    Examples
    --------
    >>> default_steps(1), default_steps(2), default_steps(64)
    (150, 300, 600)
    """
    return min(MOST_STEPS, STEPS_ON_ONE_CORE * cores)


def estimated_seconds(steps: int, batch: int, cores: int) -> float:
    """Return about how long a training takes, before its own pace is known."""
    return 10 + steps * batch * SECONDS_A_CROP / cores


def command_of(
    job: DetectorJob, source: Path, annotations: Path | None = None, threads: int | None = None
) -> str:
    """Return what to type to repeat a training on a project, or on images with annotations."""
    given: list[tuple[str, object]] = [
        ("--annotations", annotations),
        ("--out", job.out),
        ("--start", job.start),
        ("--steps", job.steps),
        ("--rate", f"{job.params.rate:g}"),
        ("--batch-size", job.params.batch_size),
        ("--seed", job.params.seed),
        ("--device", job.params.device),
        ("--threads", threads),
    ]
    options = [part for name, value in given if value is not None for part in (name, str(value))]
    return shlex.join(["hemacells", "train", "detector", str(source), *options])


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
    from napari_hemacells.core.train.detector.course import Course

    course = Course(job)
    yield from course.run()
    yield TrainingReport(job.steps, job.steps, "Writing the report", phase="end")
    return course.finish()
