"""What the child process does: look at the clicks, learn without labels, look again, decide.

Imports torch inside functions only, so that a front end can name the job.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.params import AdaptParams
from napari_hemacells.core.train.reports import TrainingReport

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_hemacells.core.train.selfsupervised.outcome import AdaptOutcome

MISSING = (
    "Adapting needs the library lightly, which is not installed: "
    'pip install "napari-hemacells[adapt]".'
)
ROUNDS, LEAST_STEPS, MOST_STEPS = 5, 40, 200


@dataclass(frozen=True)
class AdaptJob:
    """One adaptation.

    Attributes
    ----------
    folder
        Holds the crops and, while it runs, the checkpoint.
    out
        The file for the encoder.
    base
        Name of the encoder to start from.
    judged
        Whether the clicks decide; otherwise it is kept whatever they say.
    """

    folder: Path
    out: Path
    params: AdaptParams = field(default_factory=AdaptParams)
    base: str = "bundled"
    judged: bool = True


def default_steps(crops: int, batch: int) -> int:
    """Return how many batches: each crop five times, within 40 and 200 batches.

    Examples
    --------
    >>> default_steps(2000, 64), default_steps(100, 64), default_steps(20000, 64)
    (157, 40, 200)
    """
    return min(MOST_STEPS, max(LEAST_STEPS, -(-ROUNDS * crops // batch)))


def check_installed() -> None:
    """Raise where lightly is not installed.

    Raises
    ------
    TrainingError
        With the command that installs it.
    """
    if find_spec("lightly") is None:
        raise TrainingError(MISSING)


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
    from napari_hemacells.core.train.selfsupervised.course import Course

    course = Course(job)
    yield from course.run()
    return course.finish()
