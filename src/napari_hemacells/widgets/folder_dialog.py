"""The dialog that asks for a folder of cell pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


def choose_folder(parent: QWidget | None) -> Path | None:
    """Ask for a folder of pictures of one cell each; ``None`` where none is chosen."""
    chosen = QFileDialog.getExistingDirectory(parent, "Open a folder of cell pictures")
    return Path(chosen) if chosen else None
