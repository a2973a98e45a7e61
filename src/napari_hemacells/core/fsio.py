"""Sentences for what a disk can answer, and the few system calls that need care.

Files that are there whole or not at all.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


def storage_error(error: OSError, path: Path, what: str) -> StorageError:
    """Return the sentence for a write that failed: what is not saved, why, what to do.

    Parameters
    ----------
    what
        What was being saved, as the start of a sentence: ``"This click was not saved"``.
    """
    if error.errno in FULL:
        why = f"the disk of “{path.parent}” is full. Free some space and do it again."
    elif error.errno in FORBIDDEN:
        why = (
            f"“{path.parent}” may not be written to. Choose another folder with Save as, "
            "or ask for the right to write there."
        )
    elif error.errno == errno.ENOENT:
        why = f"“{path}” is not there any more. Was a disk removed, or a folder moved?"
    else:
        why = f"“{path}” could not be written ({error.strerror or error})."
    return StorageError(f"{what}: {why}")


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte and wait until they are on the disk."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until a new or renamed entry of a folder is on the disk, where a system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` to write to; it takes the name when the block ends well.

    Raises
    ------
    StorageError
        Where the folder cannot be made or the file not be written; an older file stays as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync_file(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise storage_error(error, path, f"“{path.name}” was not saved") from error
    finally:
        discard(temporary)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside ``folder`` to fill; it takes the place when the block ends well.

    Raises
    ------
    StorageError
        As :func:`atomic_path` does; an older folder stays as it was.
    """
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    old = temporary.with_suffix(".old")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for file in filter(Path.is_file, temporary.rglob("*")):
            _sync_file(file)
        if folder.exists():
            folder.replace(old)
        temporary.replace(folder)
        sync_folder(folder.parent)
    except OSError as error:
        if old.exists() and not folder.exists():
            old.replace(folder)
        raise storage_error(error, folder, f"“{folder.name}” was not saved") from error
    finally:
        discard(temporary)
        discard(old)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file; raises as :func:`atomic_path` does."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a file of at most ``limit`` bytes.

    Raises
    ------
    StorageError
        For a file that cannot be read or is larger.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise StorageError(
            f"“{path}” could not be read ({error.strerror or error}): is it still there?"
        ) from error
    if len(data) > limit:
        raise StorageError(f"“{path}” is larger than {limit} bytes and was not read.")
    return data


def discard(path: Path) -> None:
    """Remove a file or folder that may or may not exist, as far as the system lets us."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # a left-over temporary file harms nobody, the error before it is the one to tell


def file_name(text: str, fallback: str = "unnamed") -> str:
    """``text`` as the name of a file or folder on any system, at most 80 characters."""
    name = _FORBIDDEN.sub("_", text).strip(" .")[:80].rstrip(" .")
    return f"{name}_" if _RESERVED.fullmatch(name) else name or fallback


def distinct_names(
    names: Sequence[str], folders: Sequence[str] | None = None, *, mark: str = "_"
) -> list[str]:
    """Return names of which no two are alike, whatever their case, for files named after others.

    Names that occur more than once get their folder's name before them, where it is given; those
    that still do, `mark` and a number behind them.

    Examples
    --------
    >>> distinct_names(["f", "f", "g"], ["s1", "s2", "s2"]), distinct_names(["f", "F"], ["s", "s"])
    (['s1_f', 's2_f', 'g'], ['s_f', 's_F_2'])
    """
    counts = Counter(name.casefold() for name in names)
    taken: set[str] = set()
    distinct = []
    for name, folder in zip(names, folders or [""] * len(names), strict=True):
        shared = counts[name.casefold()] > 1 and folder
        base = free = f"{folder}_{name}" if shared else name
        number = 1
        while free.casefold() in taken:
            number += 1
            free = f"{base}{mark}{number}"
        taken.add(free.casefold())
        distinct.append(free)
    return distinct


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
