"""Sentences for what a disk can answer, and the few system calls that need care."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

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
