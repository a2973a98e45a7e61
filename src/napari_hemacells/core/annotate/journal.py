"""An append-only journal: a record is on disk when ``append`` returns.

One JSON line per record, with its CRC-32 and number::

    {"crc":"5f0c…","n":7,"record":{"kind":"set_labels",…}}

The checksum covers the bytes after it. The first line names the format and its version. A crash
during a write leaves an incomplete last line; the next opening moves it to ``….torn``. Damage
anywhere else is reported with its line number, and nothing is written.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout

from napari_hemacells.core.errors import ProjectError, StorageError
from napari_hemacells.core.fsio import storage_error, sync_folder, write_all

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = "napari-hemacells journal"
VERSION = 1
_BINARY = getattr(os, "O_BINARY", 0)  # Windows would turn line ends into two bytes


class Journal:
    """A journal file, held open and locked until :meth:`close`.

    Parameters
    ----------
    path
        The file; it and its folder are created if missing.

    Attributes
    ----------
    torn
        Bytes of an incomplete last line removed at opening, usually 0.

    Raises
    ------
    StorageError
        If the file cannot be written, or is open in another window or process.
    ProjectError
        For a file of another format or a newer version, and for damage before its last line.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.torn = 0
        self._descriptor: int | None = None
        self._lock = FileLock(f"{self.path}.lock", timeout=0, thread_local=False)
        self._acquire()
        try:
            self._open()
        except OSError as error:
            self.close()
            raise storage_error(error, self.path, "The annotations cannot be saved") from error
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return self._count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, record: dict[str, Any]) -> None:
        """Write one record; it is on the disk when this returns.

        Raises
        ------
        StorageError
            If it could not be written; the file then ends with the last good record.
        """
        if self._descriptor is None:
            raise StorageError(f"“{self.path}” is closed: open the project again.")
        line = encode(self._count + 1, record)
        try:
            self._cut_back()
            self._dirty = True
            write_all(self._descriptor, line)
        except OSError as error:
            self._try_to_cut_back()
            raise storage_error(error, self.path, "This click was not saved") from error
        self._dirty = False
        self._size += len(line)
        self._count += 1

    def read(self) -> Iterator[dict[str, Any]]:
        """All records in order, without the header line."""
        return read_journal(self.path)

    def close(self) -> None:
        """Close and unlock the file; closing twice does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._lock.release()

    def _acquire(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout as error:
            raise StorageError(
                f"“{self.path.parent}” is open in another window or program: close it there, "
                "or save this session in another folder."
            ) from error
        except OSError as error:
            raise storage_error(error, self.path, "The annotations cannot be saved") from error

    def _open(self) -> None:
        extent = scan_journal(self.path) if self.path.exists() else JournalExtent(0, 0, b"")
        if extent.tail:
            _keep(self.path.with_name(self.path.name + ".torn"), extent.tail)
            self.torn = len(extent.tail)
        self._descriptor = os.open(
            self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, 0o644
        )
        self._size, self._count = extent.size, extent.lines - 1
        self._dirty = bool(extent.tail)
        self._cut_back()
        if extent.lines == 0:
            self.append({"format": FORMAT, "version": VERSION})
            sync_folder(self.path.parent)

    def _cut_back(self) -> None:
        if self._dirty and self._descriptor is not None:
            os.ftruncate(self._descriptor, self._size)
            os.fsync(self._descriptor)
            self._dirty = False

    def _try_to_cut_back(self) -> None:
        # The failure that brought us here is the one to report; the next append, or the next
        # opening, cuts back what could not be cut now.
        try:
            self._cut_back()
        except OSError:
            self._dirty = True


@dataclass(frozen=True)
class JournalExtent:
    """The number of good lines of a journal, their bytes, and an incomplete last line."""

    lines: int
    size: int
    tail: bytes


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """Yield every complete record of a journal file, which may be open elsewhere.

    Raises
    ------
    ProjectError
        As :class:`Journal` does.
    """
    yield from (record for n, record in _lines(path) if n > 0)


def scan_journal(path: Path) -> JournalExtent:
    """Return the extent of a journal's good lines; raises as :class:`Journal` does."""
    lines = sum(1 for _ in _lines(path))
    with path.open("rb") as file:
        size = sum(len(file.readline()) for _ in range(lines))
        return JournalExtent(lines, size, file.read())


def encode(number: int, record: dict[str, Any]) -> bytes:
    """One line of a journal."""
    body = json.dumps({"n": number, "record": record}, separators=(",", ":")).encode()[1:]
    return b'{"crc":"%08x",%s\n' % (zlib.crc32(body), body)


def decode(line: bytes) -> tuple[int, dict[str, Any]] | None:
    """Return number and record of a line, ``None`` if it is incomplete or damaged."""
    head, body = line[:18], line[18:-1]
    if not line.endswith(b"\n") or head != b'{"crc":"%08x",' % zlib.crc32(body):
        return None
    values = json.loads(b"{" + body)
    return int(values["n"]), values["record"]


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as file:
        for number, line in enumerate(file):
            entry = decode(line)
            if entry is None and not file.read(1):
                return
            if entry is None or entry[0] != number:
                raise ProjectError(
                    f"Line {number + 1} of “{path}” is damaged. Nothing was changed: restore the "
                    "file from a copy, or delete what follows the line before it."
                )
            if number == 0:
                _check_format(path, entry[1])
            yield entry


def _check_format(path: Path, header: dict[str, Any]) -> None:
    if header.get("format") != FORMAT:
        raise ProjectError(f"“{path}” is not a journal of HemaCells: open another project folder.")
    if header.get("version") != VERSION:
        raise ProjectError(
            f"“{path}” was written by a newer version of HemaCells (journal format "
            f"{header.get('version')}, this version reads {VERSION}): update napari-hemacells."
        )


def _keep(path: Path, tail: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _BINARY, 0o644)
    try:
        write_all(descriptor, tail + b"\n")
    finally:
        os.close(descriptor)
    sync_folder(path.parent)
