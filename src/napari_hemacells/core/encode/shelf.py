"""The folder in which encoders that did not come with the package are found again."""

from __future__ import annotations

import hashlib
import shutil
from functools import lru_cache
from pathlib import Path

WEIGHT_ENDINGS = (".safetensors", ".pth", ".pt", ".bin")


def shelf_folder() -> Path:
    """Return the folder; it need not exist."""
    import platformdirs

    return Path(platformdirs.user_data_dir("napari-hemacells")) / "encoders"


def weights_on_shelf(stem: str) -> Path | None:
    """Return the weights file of that name, whatever its ending; None if there is none."""
    files = (shelf_folder() / f"{stem}{ending}" for ending in WEIGHT_ENDINGS)
    return next((file for file in files if file.is_file()), None)


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file's bytes, computed once for each version of it.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    found = file.stat()
    return _digest(file, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(file: Path, _size: int, _changed: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def put_on_shelf(file: Path) -> Path:
    """Return the copy of an encoder's file that a model finds by the file's hash.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    folder = shelf_folder()
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"{file_sha256(file)}.safetensors"
    if not copy.is_file():
        part = copy.with_suffix(".part")
        shutil.copyfile(file, part)
        part.replace(copy)
    return copy


def by_hash(sha256: str) -> Path | None:
    """Return the file on the shelf with that hash; None if there is none."""
    file = shelf_folder() / f"{sha256}.safetensors"
    return file if file.is_file() and file_sha256(file) == sha256 else None
