"""A job in a process of its own: its reports come back, it can be ended, its memory is gone after.

The child is a fresh interpreter. Nothing of the parent is inherited: no Qt, no napari, no torch.
It does not run the parent's main script again either, which :mod:`multiprocessing` would: a script
without ``if __name__ == "__main__"`` that opens napari would open it a second time.

What parent and child say to one another.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.progress import TrainingReport

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_hemacells.core.errors import HemaCellsError


@dataclass(frozen=True)
class JobRequest:
    """What to do: the first and only thing that the parent says."""

    job: Callable[[Any], Generator[TrainingReport, None, Any]]
    params: Any
    threads: int | None


@dataclass(frozen=True)
class ReportMessage:
    """How far the job is."""

    report: TrainingReport


@dataclass(frozen=True)
class ResultMessage:
    """The job's result; nothing comes after it."""

    result: Any


@dataclass(frozen=True)
class ErrorMessage:
    """A sentence for the user, and where it comes from; nothing comes after it."""

    error: HemaCellsError
    traceback: str


JobParams = TypeVar("JobParams")
Result = TypeVar("Result")

MODULE = "napari_hemacells.core.train.subprocess_main"
HEARTBEAT = 0.2  # seconds between two chances to stop the one who listens
TERMINATE_TIMEOUT_S = 0.4  # seconds to end by oneself before being ended
THREAD_ENV_VARS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
KILLED = -9
NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)


class SubprocessJob(Generic[JobParams, Result]):
    """A generator function that runs in a child process.

    Parameters
    ----------
    job
        A function of an importable module; given `params`, it yields reports and returns a result.
    params
        What it is given; can be pickled, as must its reports and its result.
    threads
        Cores that its numerical libraries use; all of them if ``None``.

    Examples
    --------
    Drive it to the end (or in a thread, with :meth:`cancel` called from another one)::

        run = ChildRun(fine_tune, params, threads=1)
        for report in run.reports():
            print(report.message)
    """

    def __init__(
        self,
        job: Callable[[JobParams], Generator[TrainingReport, None, Result]],
        params: JobParams,
        *,
        threads: int | None = None,
    ) -> None:
        if job.__module__ == "__main__":
            raise TypeError(f"{job.__name__} must be importable: the child reads no main script.")
        self._order = JobRequest(job, params, threads)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = False

    @property
    def pid(self) -> int | None:
        """The child's process number, once it runs."""
        return None if self._process is None else self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the child runs."""
        return self._process is not None and self._process.poll() is None

    def reports(self) -> Generator[TrainingReport, None, Result]:
        """Yield what the job reports, and the last report again while it is silent.

        Closing the generator ends the child.

        Raises
        ------
        HemaCellsError
            What the job raised.
        TrainingError
            The job failed otherwise, was cancelled, or its process was ended from outside.
        """
        with tempfile.TemporaryFile() as complaints:
            process = self._start(complaints)
            messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
            reader = threading.Thread(target=_read, args=(_pipe(process.stdout), messages))
            reader.start()
            try:
                last = yield from _iter_reports(messages)
                cancelled = self._cancelled
                _wait(process)
            finally:
                self.cancel()
                reader.join()
                _close(process.stdout)
            if isinstance(last, ResultMessage):
                result: Result = last.result
                return result
            raise _error(last, process.returncode, complaints, cancelled=cancelled)

    def cancel(self) -> None:
        """End the child, from any thread; it is gone when this returns, in well under a second."""
        with self._lock:
            self._cancelled = True
            process = self._process
        if process is not None:
            _terminate(process)

    def _start(self, complaints: IO[bytes]) -> subprocess.Popen[bytes]:
        parcel = pickle.dumps(self._order)
        with self._lock:
            if self._cancelled:
                raise TrainingError("The training was cancelled before it began.")
            process = self._process = subprocess.Popen(  # noqa: S603  # ourselves, nobody else
                [sys.executable, "-m", MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env=_environment(self._order.threads),
                creationflags=NO_WINDOW,
            )
        try:
            _pipe(process.stdin).write(parcel)
            _pipe(process.stdin).flush()
        except OSError:
            pass  # it ended at once; listening to it says why
        return process


class SubprocessJobError(Exception):
    """What the child wrote when it failed: a traceback, or its last words."""


def _environment(threads: int | None) -> dict[str, str]:
    """Return the child's environment: it finds the same modules, and uses so many cores."""
    path = os.pathsep.join(part for part in sys.path if part)
    here = {**os.environ, "PYTHONPATH": path}
    return here if threads is None else {**here, **dict.fromkeys(THREAD_ENV_VARS, str(threads))}


def _read(stream: IO[bytes], messages: queue.SimpleQueue[Any]) -> None:
    """Put every message of the stream into the queue; None when there will be no more."""
    try:
        while True:
            messages.put(pickle.load(stream))  # noqa: S301  # from a process that we started
    except (EOFError, OSError, ValueError, pickle.UnpicklingError):
        messages.put(None)


def _iter_reports(
    messages: queue.SimpleQueue[Any],
) -> Generator[TrainingReport, None, ResultMessage | ErrorMessage | None]:
    """Yield the reports; return the last message, or None where the child fell silent."""
    report = TrainingReport(0, 0, "Starting")
    while True:
        yield report
        try:
            message = messages.get(timeout=HEARTBEAT)
        except queue.Empty:
            continue
        if not isinstance(message, ReportMessage):
            return message  # type: ignore[no-any-return]  # Ended, Failed or None
        report = message.report


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Give the child, which has said its last, the time to leave."""
    try:
        process.wait(TERMINATE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return  # it will be ended


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """End a process."""
    _close(process.stdin)
    process.terminate()
    try:
        process.wait(TERMINATE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _close(stream: IO[bytes] | None) -> None:
    try:
        _pipe(stream).close()
    except OSError:
        return  # what was left in it had no reader any more


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise TrainingError("The training process has no connection to this program.")
    return stream


def _error(
    last: ErrorMessage | None, code: int | None, complaints: IO[bytes], *, cancelled: bool
) -> HemaCellsError:
    """Return the sentence, with what the child wrote as its cause."""
    if isinstance(last, ErrorMessage):
        last.error.__cause__ = SubprocessJobError(last.traceback)
        return last.error
    if cancelled:
        return TrainingError("The training was cancelled.")
    complaints.seek(0)
    words = complaints.read().decode(errors="replace").strip()[-4000:]
    error = TrainingError(_exit_reason(code, words))
    error.__cause__ = SubprocessJobError(words)
    return error


def _exit_reason(code: int | None, words: str) -> str:
    if code == KILLED:
        return (
            "The training was ended by the system, most likely because the memory was full: "
            "close other programs and start it again; it goes on from the last checkpoint."
        )
    last = words.splitlines()[-1] if words else f"code {code}"
    return (
        f"The training process ended unexpectedly ({last}). Your annotations are untouched; "
        "started again, the training goes on from its last checkpoint."
    )
