"""Weights of a file, never anything else; and their hash. Imports torch inside functions only."""

from __future__ import annotations

import hashlib
import pickle
from typing import TYPE_CHECKING, Any

from napari_hemacells.core.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model")
PREFIXES = ("module.", "_orig_mod.")  # of data-parallel and of compiled networks


def read_tensors(file: Path, part: str = "") -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors or PyTorch file by name; no code in it is run.

    Parameters
    ----------
    part
        Under which key of the checkpoint they are; where empty, the usual ones are tried.

    Raises
    ------
    EncoderError
        The file is missing, damaged, holds more than weights, or lacks the part.
    """
    stored = _load(file)
    if part:
        if part not in stored:
            raise EncoderError(f"{file.name} holds no “{part}”: it is another kind of checkpoint.")
        stored = stored[part]
    else:
        stored = next((stored[one] for one in WRAPPERS if one in stored), stored)
    tensors = {_bare(name): value for name, value in stored.items() if hasattr(value, "shape")}
    if not tensors:
        raise EncoderError(f"{file.name} holds no weights.")
    return tensors


def hash_of(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 of names, shapes and values, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous().float().numpy()
        digest.update(f"{name}{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _load(file: Path) -> dict[str, Any]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        raise EncoderError(f"There is no weights file {file}.")
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        stored = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise EncoderError(
            f"{file} is damaged, or holds more than weights, and was not opened: save its "
            "state_dict alone, or as .safetensors."
        ) from error
    except (RuntimeError, ValueError, EOFError, OSError, KeyError, SafetensorError) as error:
        raise EncoderError(f"{file} is no weights file that can be read.") from error
    if not isinstance(stored, dict):
        raise EncoderError(f"{file} holds no named weights: save its state_dict.")
    return stored


def _bare(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name
