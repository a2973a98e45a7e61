"""The folder of one training: its fields and the checkpoint; gone when it is done."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.store.atomic import write_bytes
from napari_hemacells.core.train.detector.lessons import save_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from napari_hemacells.core.train.detector.fields import Field

ENDING = ".training"
LEFT_OUT = "left_out.json"


def training_folder(out: Path) -> Path:
    """Return where the training of these weights keeps what it needs: beside them."""
    return out.with_name(out.stem + ENDING)


def prepare_folder(folder: Path, fields: Iterable[Field], left_out: Sequence[str] = ()) -> None:
    """Write what is learned from, and what is not and why, in place of an earlier training's.

    It is a copy, so that corrections made meanwhile change nothing, and an interrupted training
    goes on with what it began with.

    Raises
    ------
    StorageError
        The folder cannot be written.
    """
    remove_folder(folder)
    save_fields(folder / "fields", fields)
    write_bytes(folder / LEFT_OUT, json.dumps(list(left_out), ensure_ascii=False).encode())


def left_out_of(folder: Path) -> list[str]:
    """Return the sentences about images that are not learned from."""
    file = folder / LEFT_OUT
    return list(json.loads(file.read_bytes())) if file.is_file() else []


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
    for file in ("checkpoint.pt", LEFT_OUT):
        (folder / file).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
