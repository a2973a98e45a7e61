"""Damaged and forged files of every kind: each is read, or refused with a sentence.

::

    python benchmarks/mutated_files.py [--count 100000] [--seed 0] [--kinds PNG …] [--keep DIR]

Small valid files are changed by chance (bits, cuts, insertions, numbers in headers, values of
JSON, with checksums made right again) and read as the program reads them. Counted for each kind:
how many were read; refused with one of the program's own errors; escaped with another error, or
ended the process; took more than 10 s of processor time or 30 s; took more than 1 GB of memory.
A file is made again with its number: ``--kinds PNG --number 17``. Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import random
import resource
import select
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")

from file_kinds import Kind, kinds_of_others
from mutations import change_bytes
from napari_hemacells.core.errors import HemaCellsError
from own_file_kinds import own_kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTCOMES = ("read", "refused", "escaped", "hung", "above 1 GB")
CPU_SECONDS, SECONDS = 10, 30
MOST_MEMORY = 10**9  # bytes that reading a file may add
ADDRESS_SPACE = 3 * 10**9  # bytes that a process may ask for beyond what it has
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108  # whose files cost no disk
BATCH = 4000  # files that one process reads
REPORT = struct.Struct("<IB")


class HangError(BaseException):
    """Too long: no reader may catch it."""


@dataclass(frozen=True)
class Run:
    """A kind with its valid files, the seed, and where escapes are kept and remembered."""

    kind: Kind
    seed: int
    folder: Path
    content: dict[Path, bytes]
    keep: Path | None
    seen: Path


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="files over all kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", help="names of kinds; all without")
    parser.add_argument("--number", type=int, help="read only this file, and show the error")
    parser.add_argument("--keep", type=Path, help="folder for the files that escape")
    given = parser.parse_args()
    known = [*kinds_of_others(), *own_kinds()]
    chosen = [kind for kind in known if not given.kinds or kind.name in given.kinds]
    if given.number is not None:
        for kind in chosen:
            show(kind, given.seed, given.number)
        return
    share = given.count / sum(kind.weight for kind in chosen)
    print("| kind | files | read | refused | escaped | hung | above 1 GB | s |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    total: Counter[str] = Counter()
    for place, kind in enumerate(chosen):
        count = max(1, round(share * kind.weight))
        if place == len(chosen) - 1:
            count = max(1, given.count - total["files"])
        began = time.monotonic()
        counted = run(kind, given.seed, count, given.keep)
        total += counted + Counter(files=count)
        print_row(kind.name, count, counted, time.monotonic() - began)
    print_row("**all**", total["files"], total, None)
    bad = sum(total[name] for name in OUTCOMES[2:])
    sys.exit(1 if bad else 0)


def print_row(name: str, count: int, counted: Counter[str], seconds: float | None) -> None:
    """Print a row of the table."""
    cells = [name, f"{count:,}", *(f"{counted[outcome]:,}" for outcome in OUTCOMES)]
    took = "" if seconds is None else f"{seconds:.0f}"
    print("| " + " | ".join([*cells, took]) + " |", flush=True)


def run(kind: Kind, seed: int, count: int, keep: Path | None) -> Counter[str]:
    """Read so many files of a kind in processes of their own, and count what came of them."""
    with sample(kind) as (folder, content), tempfile.TemporaryDirectory(dir=fast_folder()) as seen:
        return _run(Run(kind, seed, folder, content, keep, Path(seen)), count)


def _run(job: Run, count: int) -> Counter[str]:
    counted: Counter[str] = Counter()
    first = 0
    while first < count:
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read_end)
            work(job, range(first, min(count, first + BATCH)), write_end)
        os.close(write_end)
        for number, outcome in reports(read_end, child):
            counted[OUTCOMES[outcome]] += 1
            first = number + 1
        os.close(read_end)
        _, status = os.waitpid(child, 0)
        if status:  # of the file after the last that was told
            hung = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            counted["hung" if hung else "escaped"] += 1
            print(f"{job.kind.name} {first}: ended with status {status}", file=sys.stderr)
            first += 1
    return counted


def reports(descriptor: int, child: int) -> Iterator[tuple[int, int]]:
    """Yield number and outcome of each file; end a process that says nothing for too long."""
    while True:
        ready, _, _ = select.select([descriptor], [], [], SECONDS)
        if not ready:
            os.kill(child, signal.SIGKILL)
            return
        data = os.read(descriptor, REPORT.size)
        if not data:
            return
        yield REPORT.unpack(data)


def work(job: Run, numbers: range, descriptor: int) -> None:
    """Read files and tell what came of each; never returns."""
    status = 3
    try:
        quiet()
        signal.signal(signal.SIGPROF, _hang)
        limit_memory()
        for number in numbers:
            outcome, error = one(job, number)
            if error is not None:
                note(job, number, error)
            os.write(descriptor, REPORT.pack(number, outcome))
        status = 0
    except BaseException:  # noqa: BLE001  # a fork must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(status)


def one(job: Run, number: int) -> tuple[int, BaseException | None]:
    """Change a file and read it: its outcome, and the error that is none of the program's."""
    restore(job.folder, job.content)
    name, data = changed(job.kind, job.content, job.seed, number)
    (job.folder / name).write_bytes(data)
    reset_peak()
    before = memory("VmRSS")
    error: BaseException | None = None
    outcome = "read"
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        job.kind.read(job.folder)
    except HemaCellsError as refused:
        error, outcome = refused, "refused"
    except HangError as hung:
        error, outcome = hung, "hung"
    except BaseException as escaped:  # noqa: BLE001  # these are counted
        error, outcome = escaped, "escaped"
    signal.setitimer(signal.ITIMER_PROF, 0)
    if memory("VmHWM") - before > MOST_MEMORY or _asked_for_too_much(error):
        outcome = "above 1 GB"
    return OUTCOMES.index(outcome), None if outcome in {"read", "refused"} else error


def changed(kind: Kind, content: dict[Path, bytes], seed: int, number: int) -> tuple[Path, bytes]:
    """Return which file is changed and to what: the same for the same number."""
    rng = random.Random(  # noqa: S311
        zlib.crc32(f"{kind.name}/{seed}/{number}".encode())
    )
    pattern, way = rng.choice(kind.changes)
    names = [name for name in content if _matches(name, pattern)]
    name = rng.choice(sorted(names))
    try:
        return name, way(rng, content[name])
    except Exception:  # noqa: BLE001  # a change that is none here, such as of a deep list
        return name, change_bytes(rng, content[name])


def _matches(name: Path, pattern: str) -> bool:
    return name.match(pattern.removeprefix("**/"))


def show(kind: Kind, seed: int, number: int) -> None:
    """Read one file here and print its error."""
    quiet()
    with sample(kind) as (folder, content):
        name, data = changed(kind, content, seed, number)
        (folder / name).write_bytes(data)
        print(name, len(data), data[:600])
        try:
            kind.read(folder)
        except BaseException:  # noqa: BLE001
            traceback.print_exc()


@contextlib.contextmanager
def sample(kind: Kind) -> Iterator[tuple[Path, dict[Path, bytes]]]:
    """Give a folder with a valid file of a kind, which is read once, and its content."""
    folder = Path(tempfile.mkdtemp(dir=fast_folder()))
    try:
        kind.make(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        content = {
            path.relative_to(folder): path.read_bytes() for path in files if path.suffix != ".lock"
        }
        kind.read(folder)  # a valid file is read, or the figures mean nothing
        yield folder, content
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def restore(folder: Path, content: dict[Path, bytes]) -> None:
    """Put the valid files back, and take away what reading has left."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):
                path.rmdir()
        elif path.relative_to(folder) not in content:
            path.unlink()
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != data:
            path.write_bytes(data)


def note(job: Run, number: int, error: BaseException) -> None:
    """Print an escape where none like it was seen before; keep its files."""
    where = traceback.extract_tb(error.__traceback__)[-1:]
    place = f"{type(error).__name__} {where[0].filename}:{where[0].lineno}" if where else "?"
    mark = job.seen / f"{zlib.crc32(place.encode()):08x}"
    if mark.exists():
        return
    mark.touch()
    print(f"\n{job.kind.name} {number}: {place}", file=sys.stderr)
    traceback.print_exception(error, limit=-4, chain=False, file=sys.stderr)
    if job.keep is not None:
        target = job.keep / f"{job.kind.name.replace('/', ' ')} {number}"
        shutil.copytree(job.folder, target, dirs_exist_ok=True)


def memory(which: str) -> int:
    """Return ``VmRSS`` (now) or ``VmHWM`` (the most since the last reset), in bytes."""
    with Path("/proc/self/status").open(encoding="ascii") as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith(which))


def reset_peak() -> None:
    """Begin to look anew for the most memory."""
    with Path("/proc/self/clear_refs").open("w", encoding="ascii") as counter:
        counter.write("5")


def limit_memory() -> None:
    """Let this process ask for so much beyond what it has, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if os.name == "posix" else 0
    most = pages * resource.getpagesize() + ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _asked_for_too_much(error: BaseException | None) -> bool:
    """Whether memory ran out anywhere on the way to an error."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _hang(*_: object) -> None:
    raise HangError


def quiet() -> None:
    """Let no library warn."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


def fast_folder() -> str | None:
    """Return a folder in memory where there is one."""
    return str(MEMORY_FOLDER) if MEMORY_FOLDER.is_dir() else None


if __name__ == "__main__":
    main()
