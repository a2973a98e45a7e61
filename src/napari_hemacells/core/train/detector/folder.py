"""The folder of one training: its fields and the checkpoint; gone when it is done."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.detector.lessons import save_fields

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari_hemacells.core.train.detector.fields import Field

ENDING = ".training"


def training_folder(out: Path) -> Path:
    """Return where the training of these weights keeps what it needs: beside them."""
    return out.with_name(out.stem + ENDING)


def prepare_folder(folder: Path, fields: Iterable[Field]) -> None:
    """Write what is learned from, in place of an earlier training's.

    It is a copy, so that corrections made meanwhile change nothing, and an interrupted training
    goes on with what it began with.

    Raises
    ------
    StorageError
        The folder cannot be written.
    """
    remove_folder(folder)
    save_fields(folder / "fields", fields)


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
    shutil.rmtree(folder / "fields", ignore_errors=True)
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
