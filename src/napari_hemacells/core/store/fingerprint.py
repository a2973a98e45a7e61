"""Whether a file is still the one it was, told quickly whatever its size."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = 64 * 2**20  # bytes; larger files are sampled
SAMPLES, PIECE = 32, 64 * 2**10
SAMPLED = "sampled-"


def fingerprint(path: Path) -> str | None:
    """SHA-256 of a file's bytes; of a large file, of its size and 32 pieces of 64 KiB.

    ``None`` for a folder (OME-Zarr): whether that is the same image, only its pixels tell.
    """
    if path.is_dir():
        return None
    size = path.stat().st_size
    if size <= WHOLE:
        return _sha256(path)
    digest = hashlib.sha256(f"{size} ".encode())
    with path.open("rb") as file:
        for number in range(SAMPLES):
            file.seek((size - PIECE) * number // (SAMPLES - 1))
            digest.update(file.read(PIECE))
    return SAMPLED + digest.hexdigest()


def matches(path: Path, stored: str | None) -> bool:
    """Whether a file has the fingerprint that was stored, by whichever version did so."""
    if stored is None or path.is_dir():
        return False
    if stored.startswith(SAMPLED) or path.stat().st_size <= WHOLE:
        return fingerprint(path) == stored
    return _sha256(path) == stored  # stored before large files were sampled


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
