"""What the child process does: fine-tune, look at the held-out part, keep the best, write it.

Imports torch inside functions only, so that a front end can name the job.

The folder of one training: its fields and the checkpoint; gone when it is done.
"""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.files.fsio import write_bytes
from napari_hemacells.core.params import TrainDetectorParams
from napari_hemacells.core.train.callbacks import CHECKPOINT
from napari_hemacells.core.train.detector.dataset import save_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from napari_hemacells.core.train.detector.dataset import TrainingField

_LEFT_OUT = TypeAdapter(list[str])
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
    rehearsal: Callable[[], Iterable[TrainingField]] | None = None
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


def format_command(
    job: DetectorJob,
    source: Path,
    annotations: Path | None = None,
    threads: int | None = None,
    *,
    plane: str | None = None,
    channels: str | None = None,
) -> str:
    """Return what to type to repeat a training on a project, or on images with annotations."""
    given: list[tuple[str, object]] = [
        ("--annotations", annotations),
        ("--plane", plane),
        ("--channels", channels),
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


ENDING = ".training"
LEFT_OUT_FILE = "left_out.json"


def training_folder(out: Path) -> Path:
    """Return where the training of these weights keeps what it needs: beside them."""
    return out.with_name(out.stem + ENDING)


def prepare_folder(
    folder: Path, fields: Iterable[TrainingField], left_out: Sequence[str] = ()
) -> None:
    """Write what is learned from, and what is not and why, in place of an earlier training's.

    It is a copy, so that corrections made meanwhile change nothing, and an interrupted training
    goes on with what it began with.

    Raises
    ------
    StorageError
        The folder cannot be written.
    """
    _empty_folder(folder)  # it stays: its name is reserved
    save_fields(folder / "fields", fields)
    write_bytes(folder / LEFT_OUT_FILE, json.dumps(list(left_out), ensure_ascii=False).encode())


def read_left_out(folder: Path) -> list[str]:
    """Return the sentences about images that are not learned from.

    Raises
    ------
    TrainingError
        The file is damaged.
    """
    file = folder / LEFT_OUT_FILE
    try:
        return _LEFT_OUT.validate_json(file.read_bytes()) if file.is_file() else []
    except (OSError, ValueError) as error:
        raise TrainingError(f"{file} is damaged: start the training anew.") from error


def check_resumable(folder: Path) -> None:
    """Raise where there is no interrupted training to go on with.

    Raises
    ------
    TrainingError
        With what to do.
    """
    if not (folder / "fields").is_dir():
        raise TrainingError(
            f"There is no interrupted training in {folder}: start it without --resume."
        )


def remove_folder(folder: Path) -> None:
    """Remove what a training kept; one that is not there is fine."""
    _empty_folder(folder)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _empty_folder(folder: Path) -> None:
    shutil.rmtree(folder / "fields", ignore_errors=True)
    for file in (CHECKPOINT, LEFT_OUT_FILE):
        (folder / file).unlink(missing_ok=True)
