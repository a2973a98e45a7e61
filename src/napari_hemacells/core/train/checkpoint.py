"""The state of a training on disk, whole or not at all. Imports torch inside functions only."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.store.atomic import writing

if TYPE_CHECKING:
    from pathlib import Path


def save_checkpoint(file: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values, in place of the checkpoint before.

    Raises
    ------
    StorageError
        The disk is full, or may not be written to; the checkpoint before stays.
    """
    import torch

    with writing(file) as temporary, temporary.open("wb") as stream:
        try:
            torch.save(state, stream)
        except RuntimeError as error:  # torch's zip writer hides the disk's own error
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise


def load_checkpoint(file: Path) -> dict[str, Any] | None:
    """Return what was saved; None where nothing was.

    Raises
    ------
    TrainingError
        The file is damaged.
    """
    import torch

    if not file.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise TrainingError(
            f"The checkpoint {file} is damaged: remove it, and the training begins anew."
        ) from error
    return state
