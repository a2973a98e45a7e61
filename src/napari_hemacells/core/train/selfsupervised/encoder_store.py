"""Adaptations in a project's folder: one that is being made, and what came of it until an answer.

::

    adapted/<day and time>/encoder.safetensors    the encoder
    adapted/<day and time>/outcome.json           what came of it, while nobody has answered
    adapted/<day and time>/encoder.adapting/      what it learns from, while it learns
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files.fsio import discard, read_bytes, reserve_folder, write_bytes
from napari_hemacells.core.params import AdaptParams
from napari_hemacells.core.train.selfsupervised.config import AdaptJob, AdaptOutcome
from napari_hemacells.core.train.selfsupervised.dataset import training_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_hemacells.core.store.project import Project

ADAPTED, ENCODER, OUTCOME = "adapted", "encoder.safetensors", "outcome.json"
_LIMIT = 16 * 2**20
_TIMESTAMP_FORMAT = (
    "%Y%m%d-%H%M%S-%f"  # one that is cancelled clears its own folder, not the next one's
)


def new_job(project: Project, base: str, params: AdaptParams | None = None) -> AdaptJob:
    """Return the adaptation of an encoder to a project's cells that begins now, in a new folder.

    Raises
    ------
    StorageError
        That cannot be made.
    """
    out = reserve_folder(project.folder / ADAPTED, _TIMESTAMP_FORMAT) / ENCODER
    return AdaptJob(training_folder(out), out, params or AdaptParams(), base)


def save_outcome(job: AdaptJob, outcome: AdaptOutcome) -> None:
    """Keep what came of it until the user has answered; raises :class:`StorageError`."""
    text = json.dumps(outcome.to_dict(), indent=1)
    write_bytes(job.out.with_name(OUTCOME), text.encode())


def load_pending_outcome(project: Project) -> AdaptOutcome | None:
    """Return what came of the newest adaptation that still waits for an answer."""
    for folder in _folders(project):
        try:
            values = json.loads(read_bytes(folder / OUTCOME, _LIMIT))
            outcome = AdaptOutcome.from_dict(values, folder / ENCODER)
        except (StorageError, ValueError, KeyError, TypeError, RecursionError):
            continue
        if outcome.file is not None and outcome.file.is_file():
            return outcome
    return None


def list_encoders(project: Project) -> tuple[Path, ...]:
    """Return the files of the adapted encoders that a project holds, the newest first."""
    files = (folder / ENCODER for folder in _folders(project))
    return tuple(file for file in files if file.is_file())


def clear_pending_outcome(outcome: AdaptOutcome) -> None:
    """The encoder is in use: nothing is asked any more."""
    if outcome.file is not None:
        discard(outcome.file.with_name(OUTCOME))


def remove_adaptation(file: Path) -> None:
    """Remove an adaptation and all that came of it.

    Parameters
    ----------
    file
        The encoder's, whether it is there or not.
    """
    discard(file.parent)
    with suppress(OSError):  # others are in it, or it has gone already
        file.parent.parent.rmdir()


def remove_unfinished(project: Project) -> None:
    """Remove what was left of adaptations that did not come to their end."""
    for folder in _folders(project):
        if not (folder / ENCODER).is_file():
            remove_adaptation(folder / ENCODER)


def _folders(project: Project) -> Iterator[Path]:
    """Yield the folders of adaptations, the newest first."""
    parent = project.folder / ADAPTED
    if parent.is_dir():
        yield from sorted(
            (folder for folder in parent.iterdir() if _is_adaptation_folder(folder)), reverse=True
        )


def _is_adaptation_folder(folder: Path) -> bool:
    try:
        datetime.strptime(folder.name, _TIMESTAMP_FORMAT).astimezone()
    except ValueError:
        return False
    return folder.is_dir()
