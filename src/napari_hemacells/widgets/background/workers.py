"""Background jobs in threads: one of each kind; answers of replaced jobs are dropped."""

from __future__ import annotations

import atexit
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from napari.qt.threading import GeneratorWorker
from qtpy.QtCore import QObject, QThreadPool, Signal

from napari_hemacells.core.errors import HemaCellsError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_hemacells.core.types import Progress

JobKind: TypeAlias = Literal[
    "open", "detect", "embed", "classify", "export", "propose", "train", "shift", "map", "read",
    "recall", "compare", "pace", "rate", "preview", "rank", "encoder", "tiles", "watch",
    "start", "folders", "heat", "keep", "consensus",
]  # fmt: skip
JobSteps: TypeAlias = "Callable[[], Generator[Progress, None, Any]]"


_PATIENCE_MS = 60_000  # for the step at which a worker can stop, when Python ends
# Qt gives a pool as many threads as there are cores. On two cores, tiles and an embedding would
# keep every other job of the dock waiting for minutes.
_THREADS = 32


@atexit.register
def end_workers() -> None:
    """End every worker before Python takes away the Qt objects that its thread still calls.

    Qt's event loop does that where it ends; a script may have none.
    """
    with suppress(RuntimeError):  # not in time: its thread goes with the process
        GeneratorWorker.await_workers(_PATIENCE_MS)


class UnexpectedError(Exception):
    """An unexpected error; its cause is chained."""


@dataclass(frozen=True)
class RefusedResult:
    """A job that ended with an error message for the user."""

    error: HemaCellsError


def catch_refusals(steps: JobSteps) -> Generator[Progress, None, Any]:
    """Run the steps; return known errors as results and chain those that superqt would hide."""
    try:
        return (yield from steps())
    except HemaCellsError as error:
        return RefusedResult(error)
    except RuntimeError as error:
        # superqt takes any RuntimeError for a deleted Qt object and says nothing to anyone.
        raise UnexpectedError(str(error)) from error


class JobRunner(QObject):
    """At most one job of each kind; a new one replaces the old one, whose answer is dropped."""

    progressed = Signal(str, object)  # kind, Progress
    returned = Signal(str, object)  # kind, what the steps returned
    refused = Signal(str, object)  # kind, HemaCellsError
    failed = Signal(str, object)  # kind, any other Exception
    stopped = Signal(str)  # kind; it ended, however it did

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._running: dict[JobKind, tuple[int, GeneratorWorker]] = {}
        self._ticket = 0
        self._closed = False
        pool = QThreadPool.globalInstance()
        if pool is not None and pool.maxThreadCount() < _THREADS:
            pool.setMaxThreadCount(_THREADS)

    def start(self, kind: JobKind, steps: JobSteps) -> None:
        """Run the steps in a thread, replacing a running job of this kind."""
        self.cancel(kind)
        self._ticket += 1
        worker = GeneratorWorker(catch_refusals, steps)
        # A number, not the worker: a worker that its own signals hold would never be freed.
        for signal, slot in (
            (worker.yielded, self._on_yield),
            (worker.returned, self._on_return),
            (worker.errored, self._on_error),
        ):
            signal.connect(partial(slot, kind, self._ticket))
        self._running[kind] = (self._ticket, worker)
        worker.start()

    def running(self, kind: JobKind) -> bool:
        """Whether a job of this kind is running."""
        return kind in self._running

    @property
    def busy(self) -> tuple[JobKind, ...]:
        """The kinds of the running jobs."""
        return tuple(self._running)

    def cancel(self, kind: JobKind) -> bool:
        """Stop a job at its next step, drop its answer, and return whether there was one."""
        _, worker = self._running.pop(kind, (0, None))
        if worker is None:
            return False
        worker.quit()
        if not self._closed:
            self.stopped.emit(kind)
        return True

    def close(self) -> None:
        """Stop everything; later answers are ignored."""
        self._closed = True
        for kind in self.busy:
            self.cancel(kind)

    def _mine(self, kind: JobKind, ticket: int) -> bool:
        return self._running.get(kind, (0, None))[0] == ticket

    def _on_yield(self, kind: JobKind, ticket: int, progress: object) -> None:
        if self._mine(kind, ticket):
            self.progressed.emit(kind, progress)

    def _on_return(self, kind: JobKind, ticket: int, result: object) -> None:
        if not self._mine(kind, ticket):
            return
        self._end(kind)
        if isinstance(result, RefusedResult):
            self.refused.emit(kind, result.error)
        else:
            self.returned.emit(kind, result)

    def _on_error(self, kind: JobKind, ticket: int, error: object) -> None:
        if self._mine(kind, ticket):
            self._end(kind)
            self.failed.emit(kind, error)

    def _end(self, kind: JobKind) -> None:
        del self._running[kind]
        self.stopped.emit(kind)
