"""An append-only journal: a record is on disk when ``append`` returns.

One JSON line per record, with its CRC-32 and number::

    {"crc":"5f0c…","n":7,"record":{"kind":"set_labels",…}}

The checksum covers the bytes after it. The first line names the format and its version. A crash
in the middle of a write leaves a torn last line; it is cut off at the next opening and kept in
``….torn``. Damage anywhere else is reported with the line, and nothing is written.

Other programs (a sync tool, a backup) may delete or replace the file while it is open. So before a
line is added, the file under the name is compared with the one that is open; what was written is
kept in memory as well.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from filelock import FileLock, Timeout

from napari_hemacells.core.errors import ProjectError, StorageError
from napari_hemacells.core.files.fsio import (
    keep_beside,
    set_aside,
    storage_error,
    sync_folder,
    write_all,
    write_bytes,
)
from napari_hemacells.core.files.safe_files import is_regular, open_regular, open_stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORMAT = "napari-hemacells journal"
VERSION = 1
_APPENDING = os.O_RDWR | os.O_CREAT | os.O_APPEND


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
        Where the file cannot be written, is open in another window or process, or is a link.
    ProjectError
        For a file of another format or a newer version, and for damage before its last line.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.torn = 0
        self._descriptor: int | None = None
        self._content = bytearray()
        self._seen: _Seen | None = None
        is_regular(Path(f"{self.path}.lock"))
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
            Where it could not be written; the file then ends with the last good record. Also
            where the file is not the one that was opened (:meth:`replaced`).
        """
        if self._descriptor is None:
            raise StorageError(f"“{self.path}” is closed: open the project again.")
        if self.replaced():
            raise StorageError(
                f"This click was not saved: another program has changed “{self.path}”. Open the "
                "project again."
            )
        line = encode(self._count + 1, record)
        try:
            self._cut_back()
            self._dirty = True
            write_all(self._descriptor, line)
        except OSError as error:
            self._try_to_cut_back()
            raise storage_error(error, self.path, "This click was not saved") from error
        self._dirty = False
        self._content += line
        self._count += 1
        self._look()

    def replaced(self) -> bool:
        """Whether the file under the name was deleted or holds something else than was written.

        The same content in another file (a backup that was put back) is taken for the journal.

        Raises
        ------
        StorageError
            Where the folder is gone, or may not be read.
        """
        self._try_to_cut_back()
        if self._descriptor is None or self._dirty:
            return False
        try:
            about = self.path.lstat()
            if _Seen.of(about) == self._seen:
                return False
            with open_stream(self.path) as file:
                same = file.read() == self._content
            if same:
                if about.st_nlink > 1:  # a backup has it under another name
                    write_bytes(self.path, bytes(self._content))
                self._reopen()
        except FileNotFoundError as error:
            if self.path.parent.is_dir():
                return True
            raise storage_error(error, self.path, "This click was not saved") from error
        except StorageError:
            return True  # a link or a folder has its name
        except OSError as error:
            raise storage_error(error, self.path, "This click was not saved") from error
        return not same

    def written(self) -> list[dict[str, Any]]:
        """Every record that was read or written here, whatever became of the file."""
        lines = bytes(self._content).splitlines(keepends=True)[1:]
        return [entry[1] for entry in map(decode, lines) if entry is not None]

    def others(self) -> list[dict[str, Any]] | None:
        """The records that lie under the name now; ``None`` where there are none, or damaged."""
        try:
            torn = is_regular(self.path) and scan_journal(self.path).tail
            return list(read_journal(self.path)) if is_regular(self.path) and not torn else None
        except (StorageError, OSError):
            return None

    def keep_others(self) -> Path | None:
        """Keep what lies under the name now beside it; where it is kept, ``None`` for nothing.

        Raises
        ------
        StorageError
            Where that cannot be written.
        """
        if not os.path.lexists(self.path):
            return None
        try:
            with open_stream(self.path) as file:
                return keep_beside(self.path, "replaced", file.read())
        except (StorageError, OSError):  # a link, a folder, or unreadable
            return set_aside(self.path, "replaced")

    def keep_own(self) -> Path:
        """Keep what was read and written here beside the journal; raises as `keep_others`."""
        return keep_beside(self.path, "own", bytes(self._content))

    def write_anew(self, records: Iterable[dict[str, Any]]) -> None:
        """Write the whole journal under its name, and go on with it.

        Raises
        ------
        StorageError
            Where it cannot be written.
        """
        header: dict[str, Any] = {"format": FORMAT, "version": VERSION}
        lines = [encode(n, record) for n, record in enumerate([header, *records])]
        if os.name == "nt" and self._descriptor is not None:  # an open file cannot be replaced
            os.close(self._descriptor)
            self._descriptor = None
        write_bytes(self.path, b"".join(lines))
        self._content, self._count = bytearray(b"".join(lines)), len(lines) - 1
        try:
            self._reopen()
        except OSError as error:
            raise storage_error(error, self.path, "The annotations cannot be saved") from error

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
        extent = scan_journal(self.path) if is_regular(self.path) else JournalExtent(0, b"", b"")
        if extent.tail:
            _keep(self.path.with_name(self.path.name + ".torn"), extent.tail)
            self.torn = len(extent.tail)
        self._content, self._count = bytearray(extent.content), extent.lines - 1
        if extent.lines and self.path.lstat().st_nlink > 1:  # a backup has it under another name
            write_bytes(self.path, extent.content)
        self._reopen()
        self._dirty = bool(extent.tail)
        self._cut_back()
        self._look()
        if extent.lines == 0:
            self.append({"format": FORMAT, "version": VERSION})
            sync_folder(self.path.parent)

    def _reopen(self) -> None:
        descriptor = open_regular(self.path, _APPENDING)
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._dirty = False
        self._look()

    def _look(self) -> None:
        """Note what the open file looks like after we have written to it."""
        if self._descriptor is not None:
            # Windows names the device of an open file in another way; it lets nobody replace it.
            windows = os.name == "nt"
            about = self.path.lstat() if windows else os.fstat(self._descriptor)
            self._seen = _Seen.of(about)

    def _cut_back(self) -> None:
        if self._dirty and self._descriptor is not None:
            os.ftruncate(self._descriptor, len(self._content))
            os.fsync(self._descriptor)
            self._dirty = False
            self._look()

    def _try_to_cut_back(self) -> None:
        # The failure that brought us here is the one to report; the next append, or the next
        # opening, cuts back what could not be cut now.
        try:
            self._cut_back()
        except OSError:
            self._dirty = True


class _Seen(NamedTuple):
    """What tells one file, in one state, from another."""

    device: int
    inode: int
    links: int
    size: int
    changed: int

    @classmethod
    def of(cls, about: os.stat_result) -> Self:
        """Of what the system says of a file."""
        return cls(about.st_dev, about.st_ino, about.st_nlink, about.st_size, about.st_mtime_ns)


@dataclass(frozen=True)
class JournalExtent:
    """The number of good lines of a journal, their bytes, and an incomplete last line."""

    lines: int
    content: bytes
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
    with open_stream(path) as file:
        content = b"".join(file.readline() for _ in range(lines))
        return JournalExtent(lines, content, file.read())


def torn_line_sentence(path: Path) -> str:
    """Return what to say of a journal whose last line is left out because it is torn."""
    return (
        f"The last line of “{path.name}” is torn, as when a computer stops in the middle of a "
        "click: that annotation is left out. Open the project in napari, and look whether your "
        "last annotation is there."
    )


def encode(number: int, record: dict[str, Any]) -> bytes:
    """One line of a journal."""
    body = json.dumps({"n": number, "record": record}, separators=(",", ":")).encode()[1:]
    return b'{"crc":"%08x",%s\n' % (zlib.crc32(body), body)


def decode(line: bytes) -> tuple[int, dict[str, Any]] | None:
    """Return number and record of a line, ``None`` if it is incomplete or damaged.

    Raises
    ------
    ValueError
        For a line with the right checksum that holds something else than a number and a record.
    """
    head, body = line[:18], line[18:-1]
    if not line.endswith(b"\n") or head != b'{"crc":"%08x",' % zlib.crc32(body):
        return None
    try:
        values = json.loads(b"{" + body)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    number, record = values.get("n"), values.get("record")
    if type(number) is not int or not isinstance(record, dict):
        raise ValueError("it holds no number and record")
    return number, record


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with open_stream(path) as file:
        for number, line in enumerate(file):
            try:
                entry = decode(line)
            except ValueError as error:
                raise _damaged_line_error(path, number) from error
            if entry is None and not file.read(1):
                return
            if entry is None or entry[0] != number:
                raise _damaged_line_error(path, number)
            if number == 0:
                _check_format(path, entry[1])
            yield entry


def _damaged_line_error(path: Path, number: int) -> ProjectError:
    return ProjectError(
        f"Line {number + 1} of “{path}” is damaged. Nothing was changed: restore the file from a "
        "copy, or delete what follows the line before it."
    )


def _check_format(path: Path, header: dict[str, Any]) -> None:
    if header.get("format") != FORMAT:
        raise ProjectError(f"“{path}” is not a journal of HemaCells: open another project folder.")
    if header.get("version") != VERSION:
        raise ProjectError(
            f"“{path}” was written by a newer version of HemaCells (journal format "
            f"{header.get('version')}, this version reads {VERSION}): update napari-hemacells."
        )


def _keep(path: Path, tail: bytes) -> None:
    descriptor = open_regular(path, _APPENDING)
    try:
        write_all(descriptor, tail + b"\n")
    finally:
        os.close(descriptor)
    sync_folder(path.parent)
