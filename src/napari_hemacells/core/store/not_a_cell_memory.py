"""What was called *Not a cell* in earlier projects: vectors kept on this computer, by encoder.

Dirt looks alike on every slide, so that a new project need not learn it anew. Only the numbers
that an encoder gave such things are kept, never pixels; a file for each encoder and crop, bounded,
in the user's data folder. Nothing leaves the computer, and :func:`forget` removes it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files.fsio import write_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.types import CropSpec, EncoderInfo

MOST_KEPT = 400  # vectors of an encoder; of more, the newest stay
MOST_USED = 40  # vectors that teach a project: its own annotations must count more
SAME = 1e-2  # distance, as a part of the length, of a vector that is kept already
_NAME = "vectors"


def memory_folder() -> Path:
    """The folder of these files; it may not exist yet."""
    import platformdirs

    return Path(platformdirs.user_data_path("hemacells", appauthor=False)) / "not_a_cell"


def memory_file(encoder: EncoderInfo, spec: CropSpec) -> Path:
    """The file of an encoder's vectors, named by its weights and the crop."""
    identity = json.dumps([encoder.sha256, encoder.dim, spec.to_dict()], sort_keys=True)
    return memory_folder() / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.safetensors"


def remembered(encoder: EncoderInfo, spec: CropSpec) -> NDArray[np.float32]:
    """``(n, dim)`` vectors of things that were no cells, the newest last.

    None where nothing is kept, or the file is damaged: it is a convenience, not a record.
    """
    from safetensors.numpy import load

    nothing = np.zeros((0, encoder.dim), np.float32)
    file = memory_file(encoder, spec)
    try:
        data = file.read_bytes()
    except OSError:
        return nothing
    try:
        vectors = load(data)[_NAME].astype(np.float32)
    except Exception:  # noqa: BLE001  # whatever a damaged file raises
        return nothing
    fits = vectors.ndim == 2 and vectors.shape[1] == encoder.dim and np.isfinite(vectors).all()
    return vectors[-MOST_KEPT:] if fits else nothing


def remember(encoder: EncoderInfo, spec: CropSpec, vectors: NDArray[np.float32]) -> int:
    """Keep these ``(n, dim)`` vectors; return how many of them were new.

    Raises
    ------
    StorageError
        They cannot be written.
    """
    from safetensors.numpy import save

    known = remembered(encoder, spec)
    fresh = [vector for vector in vectors if not _is_among(vector, known)]
    if not fresh:
        return 0
    kept = np.concatenate([known, np.stack(fresh)])[-MOST_KEPT:].astype(np.float16)
    file = memory_file(encoder, spec)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"“Not a cell” cannot be remembered ({error}).") from error
    write_bytes(file, save({_NAME: kept}))
    return len(fresh)


def teaching(encoder: EncoderInfo, spec: CropSpec) -> NDArray[np.float32]:
    """``(n, dim)`` of the remembered vectors, those that teach a project: at regular intervals."""
    known = remembered(encoder, spec)
    return known[:: -(-len(known) // MOST_USED) or 1]


def forget() -> int:
    """Remove what is remembered of all encoders; return how many files there were.

    Raises
    ------
    StorageError
        A file cannot be removed.
    """
    files = list(memory_folder().glob("*.safetensors"))
    try:
        for file in files:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"“Not a cell” cannot be forgotten ({error}).") from error
    return len(files)


def _is_among(vector: NDArray[np.float32], known: NDArray[np.float32]) -> bool:
    if not len(known):
        return False
    apart = np.linalg.norm(known - vector, axis=1)
    return bool(apart.min() <= SAME * max(float(np.linalg.norm(vector)), 1e-12))
