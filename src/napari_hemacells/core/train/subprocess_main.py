"""What the child process runs: ``python -m napari_hemacells.core.train.subprocess_main``.

Reads an order from standard input, writes reports to standard output; whatever else is printed
goes to standard error.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import traceback
from typing import IO, TYPE_CHECKING, Any

from napari_hemacells.core.encode.device import is_out_of_memory
from napari_hemacells.core.errors import HemaCellsError, StorageError, TrainingError
from napari_hemacells.core.files.fsio import FULL
from napari_hemacells.core.malloc import keep_freed_memory
from napari_hemacells.core.train.subprocess_job import ErrorMessage, ReportMessage, ResultMessage

if TYPE_CHECKING:
    from napari_hemacells.core.train.subprocess_job import JobRequest


def main() -> None:
    """Do what is ordered, and tell of it."""
    _lower_priority()
    keep_freed_memory()
    orders, answers = sys.stdin.buffer, _private_output()
    order = pickle.load(orders)  # noqa: S301  # from the process that started us
    threading.Thread(target=_end_with_parent, args=(orders.fileno(),), daemon=True).start()
    try:
        last: ResultMessage | ErrorMessage = ResultMessage(_run(order, answers))
    except HemaCellsError as error:
        last = ErrorMessage(error, traceback.format_exc())
    except (MemoryError, OSError, RuntimeError) as error:
        last = ErrorMessage(_user_facing_error(error), traceback.format_exc())
    _send(last, answers)


def _lower_priority() -> None:
    """Let the program that the user looks at go first."""
    if hasattr(os, "nice"):
        os.nice(5)


def _private_output() -> IO[bytes]:
    """Return standard output for the reports alone; what others print goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _end_with_parent(orders: int) -> None:
    """End this process when the parent, which never says more, is gone.

    Read without a buffer: its lock would be held when the interpreter comes to its end.
    """
    while os.read(orders, 1):
        pass
    os._exit(1)


def _run(order: JobRequest, answers: IO[bytes]) -> Any:
    """Return the job's result."""
    steps = order.job(order.params)
    while True:
        try:
            report = next(steps)
        except StopIteration as end:
            return end.value
        _send(ReportMessage(report), answers)


def _send(message: ReportMessage | ResultMessage | ErrorMessage, answers: IO[bytes]) -> None:
    answers.write(pickle.dumps(message))
    answers.flush()


def _user_facing_error(error: Exception) -> HemaCellsError:
    """Return what the user can do about it.

    Raises
    ------
    Exception
        The error itself where we know no better: the parent shows its last line.
    """
    if isinstance(error, OSError) and error.errno in FULL:
        return StorageError(
            "The disk is full, so the training stopped: free some space and start it again; it "
            "goes on from the last checkpoint."
        )
    if is_out_of_memory(error):
        return TrainingError(
            "The memory is not large enough for this training, even with the smallest batch: "
            "close other programs, or train on fewer or smaller fields."
        )
    raise error


if __name__ == "__main__":
    main()
