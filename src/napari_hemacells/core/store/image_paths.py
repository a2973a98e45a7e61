"""Where the images of a project are: by path, from the project folder, and by content.

Whether a file is still the one it was, told quickly whatever its size.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import ImageError, StorageError
from napari_hemacells.core.files.safe_files import check_readable, open_stream

if TYPE_CHECKING:
    from napari_hemacells.core.store.schema import StoredImage

FULL_HASH_BYTES = 64 * 2**20  # bytes; larger files are sampled
SAMPLE_COUNT, SAMPLE_BYTES = 32, 64 * 2**10
SAMPLED_PREFIX = "sampled-"


def fingerprint(path: Path) -> str | None:
    """SHA-256 of a file's bytes; of a large file, of its size and 32 pieces of 64 KiB.

    ``None`` for a folder (OME-Zarr): whether that is the same image, only its pixels tell.

    Raises
    ------
    StorageError
        For a pipe or a device.
    """
    if path.is_dir():
        return None
    size = path.stat().st_size
    if size <= FULL_HASH_BYTES:
        return _sha256(path)
    digest = hashlib.sha256(f"{size} ".encode())
    with open_stream(path, follow=True) as file:
        for number in range(SAMPLE_COUNT):
            file.seek((size - SAMPLE_BYTES) * number // (SAMPLE_COUNT - 1))
            digest.update(file.read(SAMPLE_BYTES))
    return SAMPLED_PREFIX + digest.hexdigest()


def matches_fingerprint(path: Path, stored: str | None) -> bool:
    """Whether a file has the fingerprint that was stored, by whichever version did so."""
    if stored is None or path.is_dir():
        return False
    if stored.startswith(SAMPLED_PREFIX) or path.stat().st_size <= FULL_HASH_BYTES:
        return fingerprint(path) == stored
    return _sha256(path) == stored  # stored before large files were sampled


def _sha256(path: Path) -> str:
    with open_stream(path, follow=True) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def image_reference(folder: Path, path: Path | None) -> dict[str, str | None]:
    """Return how a project in this folder refers to a file; nothing of one that is not there."""
    if path is None or not Path(path).exists():
        return {"path": None, "relative": None, "file_sha256": None}
    file = Path(path).absolute()
    digest = fingerprint(file)
    return {"path": str(file), "relative": relative_path(folder, file), "file_sha256": digest}


def relative_path(folder: Path, path: Path) -> str | None:
    """Return the path from the folder; ``None`` on another drive."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return None


def rebase_reference(folder: Path, stored: StoredImage) -> StoredImage:
    """Return the image as a project in this folder refers to it."""
    if stored.path is None:
        return stored
    return stored.model_copy(update={"relative": relative_path(folder, Path(stored.path))})


def candidate_paths(folder: Path, stored: StoredImage) -> list[Path]:
    """Return where the image may be: first where it lies beside the project."""
    paths = []
    if stored.relative is not None:
        paths.append(Path(os.path.normpath(folder / stored.relative)))
    if stored.path is not None:
        paths.append(Path(stored.path))
    return list(dict.fromkeys(paths))


def has_content(path: Path, stored: StoredImage) -> bool:
    """Whether the file shows the image that was added; a pipe or a device never does."""
    from napari_hemacells.core.image import read_image

    try:
        check_readable(path)
        if matches_fingerprint(path, stored.file_sha256):
            return True
        return read_image(path).key == stored.key  # the same pixels in another file
    except (ImageError, StorageError, OSError):
        return False
