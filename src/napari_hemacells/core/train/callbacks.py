"""The state of a training on disk, whole or not at all. Imports torch inside functions only.

Keeping the best state, and stopping when it does not get better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.files.fsio import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

CHECKPOINT = "checkpoint.pt"


def save_checkpoint(file: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values, in place of the checkpoint before.

    Raises
    ------
    StorageError
        The disk is full, or may not be written to; the checkpoint before stays.
    """
    import torch

    with atomic_path(file) as temporary, temporary.open("wb") as stream:
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
    except Exception as error:  # torch and pickle raise anything on damaged bytes
        raise damaged_checkpoint_error(file) from error
    if not isinstance(state, dict):
        raise damaged_checkpoint_error(file)
    return state


def damaged_checkpoint_error(file: Path) -> TrainingError:
    """What to say of a checkpoint that cannot be gone on from."""
    return TrainingError(
        f"The checkpoint {file} is damaged: remove it, and the training begins anew."
    )


NEVER = 2**31  # a patience


class EarlyStopping:
    """The best value of a figure, and how long ago that was.

    Parameters
    ----------
    patience
        After so many looks without a better value, :attr:`exhausted` is true.
    least
        What must be gained for a value to be better.
    """

    def __init__(self, patience: int, least: float = 0.0) -> None:
        self.patience, self.least = patience, least
        self.value, self.step, self.checks_since_best = float("-inf"), 0, 0

    def update(self, value: float, step: int) -> bool:
        """Whether this value, of this step, is the best so far."""
        if value > self.value + self.least:
            self.value, self.step, self.checks_since_best = value, step, 0
            return True
        self.checks_since_best += 1
        return False

    @property
    def should_stop(self) -> bool:
        """Whether waiting longer is not worth it."""
        return self.checks_since_best >= self.patience

    def state(self) -> dict[str, Any]:
        """As plain values, for a checkpoint."""
        return {"value": self.value, "step": self.step, "since": self.checks_since_best}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.value, self.step, self.checks_since_best = (
            state["value"],
            state["step"],
            state["since"],
        )
