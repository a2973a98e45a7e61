"""Sentences for what a disk can answer, and the few system calls that need care.

Files that are there whole or not at all, and what is left of them when a process is killed.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from collections import Counter
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files.safe_files import is_link, open_stream, unreadable_error, walk

if os.name == "posix":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

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
        with _hold_new(temporary, _make_file):
            yield temporary
            _sync_file(temporary)
            _rename(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise storage_error(error, path, f"“{path.name}” was not saved") from error
    finally:
        discard(temporary)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside ``folder`` to fill; it takes the place when the block ends well.

    Between two renames the older folder lies under a hidden name. Whatever ends the process there,
    :func:`recover` brings it back.

    Raises
    ------
    StorageError
        As :func:`atomic_path` does; an older folder stays as it was.
    """
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    old = temporary.with_suffix(".old")
    recover(folder)
    try:
        with _hold_new(temporary, partial(Path.mkdir, parents=True)):
            yield temporary
            for file in filter(Path.is_file, walk(temporary)):
                _sync_file(file)
            _exchange(temporary, folder, old)
        sync_folder(folder.parent)
    except OSError as error:
        failure = storage_error(error, folder, f"“{folder.name}” was not saved")
        if os.path.lexists(old) and not os.path.lexists(folder):
            failure = StorageError(
                f"{failure} The one before is safe in “{old}” and comes back when “{folder.name}” "
                "is opened or saved again."
            )
        raise failure from error
    finally:
        discard(temporary)
        if os.path.lexists(folder):
            discard(old)


def _exchange(new: Path, folder: Path, old: Path) -> None:
    """Put a folder in the place of another, which goes to ``old``; or leave all as it was."""
    try:
        if os.path.lexists(folder):
            _rename(folder, old)
        _rename(new, folder)
    except BaseException:  # Ctrl-C too
        if os.path.lexists(old) and not os.path.lexists(folder):
            with suppress(OSError):  # then it is brought back at the next opening
                _rename(old, folder)
        raise


def _rename(source: Path, target: Path) -> None:
    """Rename, with patience for a virus scanner that has just opened the file."""
    for pause in (0.05, 0.2, 0.5) if os.name == "nt" else ():
        try:
            source.replace(target)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    source.replace(target)


_HIDDEN = re.compile(
    r"\.(?P<name>.+)\.(?:[0-9a-f]{8}|\d{1,7})\.(?:part|old)"
    r"|\.[^.]+-[0-9a-f]{16}-[0-9a-z_]{8}\.tmp"  # of embeddings, once
)
_TRIES = 20  # to hold a new file that others clear up as if it were abandoned
_ABANDONED = 24 * 3600  # seconds; where a system cannot tell who holds a file, its age does


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Mark a hidden file or folder as in use until the block, or the process, ends."""
    descriptor = None
    for _ in range(50):
        try:
            descriptor = _lock(path)
        except BlockingIOError:  # somebody looks whether it is in use
            time.sleep(0.01)
        else:
            break
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def _hold_new(path: Path, make: Callable[[Path], None]) -> Iterator[None]:
    """Make a hidden file or folder and hold it, again if it is cleared up before it is held."""
    for _ in range(_TRIES):
        make(path)
        with hold(path):
            if os.path.lexists(path):
                yield
                return
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def _make_file(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))


def in_use(path: Path) -> bool:
    """Whether a process that is alive holds a hidden file or folder; False where there is none."""
    held = _is_held(path)
    return _is_young(path) if held is None else held


def _is_held(path: Path) -> bool | None:
    """Whether a process holds a file or folder, None where a system cannot tell."""
    try:
        descriptor = _lock(path)
    except BlockingIOError:
        return True
    if descriptor is None:
        return None
    os.close(descriptor)
    return False


def clear_unused(path: Path) -> None:
    """Remove a hidden file or folder unless a process that is alive holds it."""
    try:
        descriptor = _lock(path)
    except BlockingIOError:
        return
    if descriptor is None and _is_young(path):
        return
    try:
        discard(path)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _is_young(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime < _ABANDONED
    except OSError:
        return False


def _lock(path: Path) -> int | None:
    """Return a descriptor that holds a file or folder, None where a system has no such thing.

    Raises
    ------
    BlockingIOError
        Somebody else holds it.
    """
    if os.name != "posix":
        return None
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:  # some network drives
        os.close(descriptor)
        return None
    return descriptor


def recover(folder: Path) -> None:
    """Bring back a folder whose exchange was cut off, and remove what else it left beside it.

    An exchange that another process is at is waited for, two seconds at most.
    """
    for _ in range(100):
        left = _leftovers(folder.parent, folder.name)
        if os.path.lexists(folder) or not any(in_use(path) for path in left):
            break
        time.sleep(0.02)
    for path in left:
        _clear(path)


def sweep(folder: Path, names: Iterable[str] = ()) -> None:
    """Clear up what killed processes left in a folder, and in all of these parts of it.

    What somebody is still writing stays, a folder that was moved aside comes back, and links are
    not followed.
    """
    for left in _leftovers(folder):
        _clear(left)
    for part in (folder / name for name in names):
        if part.is_dir() and not is_link(part):
            with suppress(OSError):  # what may not be read cannot be cleared up
                for path in [part, *walk(part)]:
                    if path.is_dir() and not is_link(path):
                        for left in _leftovers(path):
                            _clear(left)


def _leftovers(folder: Path, name: str | None = None) -> list[Path]:
    """Return the hidden files and folders of writes in a folder, those of one name if given."""
    leftovers = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _HIDDEN.fullmatch(entry.name)
            if match is not None and name in {None, match["name"]}:
                leftovers.append(Path(entry.path))
    return sorted(leftovers, reverse=True)  # what is to replace an older folder before that


def _clear(path: Path) -> None:
    """Remove a leftover; an older folder whose successor did not come takes its name again."""
    match = _HIDDEN.fullmatch(path.name)
    if path.suffix != ".old" or match is None:
        clear_unused(path)
    elif not _is_held(path.with_suffix(".part")):
        folder = path.with_name(match["name"])
        if os.path.lexists(folder):
            discard(path)
        else:
            with suppress(OSError):  # another process was faster
                path.replace(folder)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file; raises as :func:`atomic_path` does."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a file of at most ``limit`` bytes.

    Raises
    ------
    StorageError
        For a file that cannot be read or is larger, and for a link, a pipe or a device.
    """
    try:
        with open_stream(path) as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise unreadable_error(error, path) from error
    if len(data) > limit:
        raise StorageError(f"“{path}” is larger than {limit} bytes and was not read.")
    return data


def reserve_folder(parent: Path, pattern: str) -> Path:
    """Make a folder named by the present time, and by a later second where that is taken.

    Parameters
    ----------
    pattern
        As of :meth:`datetime.datetime.strftime`, with the seconds.

    Raises
    ------
    StorageError
        Where it cannot be made.
    """
    moment = datetime.now().astimezone()
    while True:
        folder = parent / moment.strftime(pattern)
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except FileExistsError:
            moment += timedelta(seconds=1)
        except OSError as error:
            raise storage_error(error, folder, f"“{folder.name}” was not made") from error
        else:
            return folder


def set_aside(path: Path, why: str) -> Path:
    """Give a file another name beside it, ``NAME.WHY`` or with a number, and return that.

    Raises
    ------
    StorageError
        Where it cannot be renamed.
    """
    target = _free_name(path, why)
    try:
        path.replace(target)
    except OSError as error:
        raise storage_error(error, path, f"“{path.name}” was not put aside") from error
    return target


def keep_beside(path: Path, why: str, data: bytes) -> Path:
    """Write what belongs to a file beside it, named as :func:`set_aside` does."""
    target = _free_name(path, why)
    write_bytes(target, data)
    return target


def _free_name(path: Path, why: str) -> Path:
    target, number = path.with_name(f"{path.name}.{why}"), 1
    while os.path.lexists(target):
        number += 1
        target = path.with_name(f"{path.name}.{why}-{number}")
    return target


def discard(path: Path) -> None:
    """Remove a file or folder that may or may not exist, as far as the system lets us."""
    if path.is_dir() and not is_link(path):
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
