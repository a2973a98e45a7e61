"""Jobs that the tests run in a child process."""

from __future__ import annotations

import errno
import os
import sys
import time
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train import TrainingReport
from napari_hemacells.core.train.selfsupervised.config import AdaptOutcome
from napari_hemacells.samples.smear import rehearsal_fields

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.train.selfsupervised.config import AdaptJob


def count(steps: int) -> Generator[TrainingReport, None, str]:
    for step in range(steps):
        print("a library talks to standard output")
        yield TrainingReport(step, steps, phase="train", losses={"total": 1 / (step + 1)})
    return f"counted to {steps}"


def tell_about_itself(_: None) -> Generator[TrainingReport, None, dict[str, object]]:
    yield TrainingReport(0, 1)
    heavy = [name for name in ("torch", "napari", "qtpy", "PyQt6") if name in sys.modules]
    return {"pid": os.getpid(), "heavy": heavy, "threads": os.environ["OMP_NUM_THREADS"]}


def sleep(seconds: float) -> Generator[TrainingReport, None, None]:
    yield TrainingReport(0, 1, str(os.getpid()), phase="train")
    time.sleep(seconds)


def hold(megabytes: int) -> Generator[TrainingReport, None, None]:
    kept = bytearray(os.urandom(1) * (megabytes << 20))
    yield TrainingReport(0, 1, str(os.getpid()), phase="train")
    time.sleep(60 + len(kept) * 0)


def refuse(_: None) -> Generator[TrainingReport, None, None]:
    yield TrainingReport(0, 1)
    raise TrainingError("The loss is not a number any more: use a lower rate.")


def stumble(_: None) -> Generator[TrainingReport, None, None]:
    yield TrainingReport(0, 1)
    raise KeyError("sides")


def fill_the_disk(_: None) -> Generator[TrainingReport, None, None]:
    yield TrainingReport(0, 1)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill_the_memory(_: None) -> Generator[TrainingReport, None, None]:
    yield TrainingReport(0, 1)
    raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")


def adapt_and_wait(job: AdaptJob) -> Generator[TrainingReport, None, None]:
    assert (job.folder / "crops.npz").is_file()
    yield TrainingReport(0, 1, f"child {os.getpid()}", phase="train")
    time.sleep(600)


def adapt_on_a_full_disk(job: AdaptJob) -> Generator[TrainingReport, None, None]:
    yield TrainingReport(0, 1)
    (job.out.parent / ".encoder.part").write_bytes(b"half of it")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def adapt_for_the_worse(job: AdaptJob) -> Generator[TrainingReport, None, AdaptOutcome]:
    yield TrainingReport(0, 1)
    return AdaptOutcome(None, "", job.base, 0.9, 0.7, 60, 12, 1, 0.1)


def small_rehearsal():
    return rehearsal_fields(range(1), (160, 240))
