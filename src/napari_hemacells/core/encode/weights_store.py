"""The weights store: files of downloaded and adapted encoders, the hub cache, and safe loading.

Torch is imported inside functions only.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import socket
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.files.fsio import atomic_path, sweep

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

WEIGHT_ENDINGS = (".safetensors", ".pth", ".pt", ".bin")


def weights_folder() -> Path:
    """Return the folder; it need not exist."""
    import platformdirs

    return Path(platformdirs.user_data_dir("napari-hemacells")) / "encoders"


def find_weights(stem: str) -> Path | None:
    """Return the weights file of that name with any suffix; None if there is none."""
    files = (weights_folder() / f"{stem}{ending}" for ending in WEIGHT_ENDINGS)
    return next((file for file in files if file.is_file()), None)


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file's bytes, computed once for each version of it.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    status = file.stat()
    return _digest(file, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(file: Path, _size: int, _changed: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def store_weights(file: Path) -> Path:
    """Copy an encoder's file to the store, where models find it by its hash.

    Raises
    ------
    OSError
        The file cannot be read.
    StorageError
        The folder cannot be written.
    """
    folder = weights_folder()
    sweep(folder)
    copy = folder / f"{file_sha256(file)}.safetensors"
    if not copy.is_file():
        with atomic_path(copy) as part:
            shutil.copyfile(file, part)
    return copy


def find_weights_by_hash(sha256: str) -> Path | None:
    """Return the stored file with that hash; None if there is none."""
    file = weights_folder() / f"{sha256}.safetensors"
    return file if file.is_file() and file_sha256(file) == sha256 else None


PORT, SECONDS = 443, 3.0
HUB_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


def find_cached_file(repository: str | None, *names: str) -> str | None:
    """Return the first of these files in the cache of the model hub, or ``None``.

    Parameters
    ----------
    repository
        ``OWNER/MODEL``; ``None`` for weights that are not on the hub.
    names
        Files of it, the usual names of weights if not said.
    """
    from huggingface_hub import try_to_load_from_cache

    if not repository:
        return None
    for name in names or HUB_WEIGHT_FILES:
        path = try_to_load_from_cache(repository, name)
        if isinstance(path, str):
            return path
    return None


def check_reachable(address: str) -> None:
    """Return if the host answers or a proxy is configured.

    This fails fast without a network, where download libraries retry for a minute.

    Raises
    ------
    OSError
        It does not answer.
    """
    host = urlsplit(address).hostname or address
    if "https" in getproxies() and not proxy_bypass(host):
        return
    socket.create_connection((host, PORT), timeout=SECONDS).close()


WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model")
PREFIXES = ("module.", "_orig_mod.")  # of data-parallel and of compiled networks


def read_tensors(file: Path, part: str = "") -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors or PyTorch file by name, without running code in it.

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
        stored = next((stored[key] for key in WRAPPERS if key in stored), stored)
    tensors = {_bare(name): value for name, value in stored.items() if hasattr(value, "shape")}
    if not tensors:
        raise EncoderError(f"{file.name} holds no weights.")
    return tensors


def hash_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 of names, shapes and values, independent of the file."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous().float().numpy()
        digest.update(f"{name}{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _load(file: Path) -> dict[str, Any]:
    import torch
    from safetensors.torch import load_file

    if not os.path.isfile(file):  # noqa: PTH113 (False too for a name that no system can have)
        raise EncoderError(f"The weights file {file} does not exist.")
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        stored = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise EncoderError(
            f"{file} is damaged, or holds more than weights, and was not opened: save its "
            "state_dict alone, or as .safetensors."
        ) from error
    except Exception as error:  # a file of others: whatever its decoder meets, it cannot be read
        raise EncoderError(f"{file} cannot be read as a weights file: choose another.") from error
    if not isinstance(stored, dict):
        raise EncoderError(f"{file} holds no named weights: save its state_dict.")
    return stored


def _bare(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name
