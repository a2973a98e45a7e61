"""Opening the files of projects and models, which may come from anybody.

Only regular files are opened, and no link is followed: a link in a received folder could point to
any file of the user's. What is opened is checked again once it is open, so that nothing can be
put in its place in between.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import BufferedReader

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)  # Windows has none: it is looked at before opening
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer would wait for ever
_BINARY = getattr(os, "O_BINARY", 0)  # Windows would turn line ends into two bytes
_PLAIN = {stat.S_IFDIR, stat.S_IFREG}
_LINK_TAGS = {0xA000000C, 0xA0000003}  # symbolic links and junctions, not files of OneDrive


def open_regular(path: Path, flags: int = os.O_RDONLY, *, follow: bool = False) -> int:
    """Return a descriptor of a regular file, never of a link, pipe, device or folder.

    Parameters
    ----------
    flags
        As of :func:`os.open`; a file that ``O_CREAT`` makes may be read by everybody.
    follow
        Whether a link to a regular file is one too: for files that the user chose.

    Raises
    ------
    StorageError
        For anything else, with what it is.
    OSError
        As :func:`os.open` does.
    """
    _check_kind(path, follow=follow)
    opening = flags | _BINARY | _NONBLOCK | (0 if follow else _NOFOLLOW)
    try:
        descriptor = os.open(path, opening, 0o644)
    except OSError:
        _check_kind(path, follow=follow)  # a link that came between is named
        raise
    try:
        _check_mode(path, os.fstat(descriptor).st_mode)
        if _NONBLOCK:
            os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_stream(path: Path, *, follow: bool = False) -> BufferedReader:
    """Return a regular file opened to be read; raises as :func:`open_regular` does."""

    def opener(_name: str, flags: int) -> int:
        return open_regular(path, flags, follow=follow)

    return open(path, "rb", opener=opener)  # which a Path's own cannot


def is_regular(path: Path) -> bool:
    """Whether there is a regular file and no link.

    Raises
    ------
    StorageError
        For a link, pipe, device or folder, and where one may not look.
    """
    try:
        _check_kind(path, follow=False)
        return os.path.lexists(path)
    except OSError as error:
        raise unreadable_error(error, path) from error


def check_readable(path: Path) -> None:
    """Return for a regular file, a folder, a link to either, or nothing at all.

    Raises
    ------
    StorageError
        For a pipe or a device, from which reading may never end.
    OSError
        Where one may not look.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    _check_mode(path, mode, folders=True)


def is_link(path: Path) -> bool:
    """Whether a path is a symbolic link, or a junction of Windows."""
    try:
        about = path.lstat()
    except OSError:
        return False
    return stat.S_ISLNK(about.st_mode) or getattr(about, "st_reparse_tag", 0) in _LINK_TAGS


def check_tree(folder: Path, names: Iterable[str]) -> None:
    """Check that these parts of a folder, and all that is in them, are files and folders.

    Raises
    ------
    StorageError
        For the first link, pipe or device, by name, and for a folder that may not be read.
    """
    for name in names:
        part = folder / name
        try:
            if is_link(part):
                raise link_error(part)
            if part.is_dir():
                for path in walk(part):
                    _check_kind(path, follow=False, folders=True)
            else:
                _check_kind(part, follow=False)
        except OSError as error:
            raise unreadable_error(error, part) from error


def walk(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder and in the folders in it; links are yielded, not followed.

    Raises
    ------
    OSError
        Where a folder may not be read.
    """
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        path = Path(entry.path)
        yield path
        if entry.is_dir(follow_symlinks=False) and not is_link(path):
            yield from walk(path)


def copy_regular(
    source: Path, target: Path, ignored: Callable[[str, list[str]], set[str]]
) -> list[Path]:
    """Copy the regular files of a folder into another that exists; return what stayed behind.

    Links, pipes and devices stay behind: what they point to belongs to somebody else.

    Parameters
    ----------
    ignored
        As of :func:`shutil.copytree`; what it names is not mentioned.

    Raises
    ------
    OSError
        What cannot be read or written.
    """
    left_behind: list[Path] = []
    names = sorted(path.name for path in source.iterdir())
    skipped = ignored(str(source), names)
    for name in names:
        if name in skipped:
            continue
        path, copy = source / name, target / name
        if is_link(path) or stat.S_IFMT(path.lstat().st_mode) not in _PLAIN:
            left_behind.append(path)
        elif path.is_dir():
            copy.mkdir()
            left_behind += copy_regular(path, copy, ignored)
        else:
            with open_stream(path) as read, copy.open("xb") as written:
                shutil.copyfileobj(read, written)
            shutil.copystat(path, copy)
    return left_behind


def link_error(path: Path) -> StorageError:
    """What to say of a link where a file or folder of a project or model should be."""
    return StorageError(
        f"“{path}” is a link to another place, where a project or a model must hold the file "
        "itself: it was not opened. Put the file there instead of the link, or ask the sender "
        "for a copy without links."
    )


def unreadable_error(error: OSError, path: Path) -> StorageError:
    """What to say of a file or folder that could not be read, why, and what to do."""
    if error.errno in {errno.EACCES, errno.EPERM}:
        return StorageError(
            f"“{path}” may not be read: ask for the right to read it, or copy it to a folder of "
            "your own."
        )
    return StorageError(
        f"“{path}” could not be read ({error.strerror or error}): is it still there?"
    )


def _check_kind(path: Path, *, follow: bool, folders: bool = False) -> None:
    """Refuse what is there and no regular file, before a device notices that it is opened."""
    try:
        about = path.stat() if follow else path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    if not follow and is_link(path):
        raise link_error(path)
    _check_mode(path, about.st_mode, folders=folders)


def _check_mode(path: Path, mode: int, *, folders: bool = False) -> None:
    if stat.S_ISREG(mode) or (folders and stat.S_ISDIR(mode)):
        return
    kind = "folder" if stat.S_ISDIR(mode) else "pipe" if stat.S_ISFIFO(mode) else "device"
    raise StorageError(f"“{path}” is a {kind} and no file: it was not opened. Choose a file.")
