"""What a fine-tuned detector says that it was trained on. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.errors import EncoderError

if TYPE_CHECKING:
    from pathlib import Path


def seen_by_weights(file: Path) -> str:
    """Return the words in the header of a weights file.

    Raises
    ------
    EncoderError
        The file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as stored:
            header: dict[str, str] = stored.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise EncoderError(f"The detector {file} cannot be read: choose another one.") from error
    return header.get("seen", f"not stated in {file.name}")
