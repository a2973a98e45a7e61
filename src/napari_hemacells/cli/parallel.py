"""How the images of a command are shared among processes.

Each process calculates with one thread, so that the results are the same for any number of
processes.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from napari_hemacells.cli.options import ShareOptions
from napari_hemacells.core.image.files import picture_size
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.image.ome_zarr import is_zarr
from napari_hemacells.core.image.plane_selection import PlaneSelection

# Of 66 megapixels one process was done in 47 s, two workers in 34 s, 8 s of which were their start
# and end (two cores, busy with other things too): they are ahead from about 16 megapixels on.
# Twice that, so that nobody waits longer for having more cores.
PARALLEL_MEGAPIXELS = 32.0
MEMORY_PER_WORKER = (
    1.5 * 2**30
)  # bytes: the libraries and networks, and a field of some megapixels


@dataclass(frozen=True)
class WorkerPlan:
    """Where the work is done: in this process, worker processes, or workers of a scheduler."""

    workers: int = 0
    scheduler: str | None = None

    @property
    def is_serial(self) -> bool:
        """Whether this process does all the work."""
        return self.scheduler is None and self.workers <= 1

    @property
    def words(self) -> str:
        """Where the work is done, for messages."""
        if self.scheduler is not None:
            return f"workers of {self.scheduler}"
        return f"{self.workers} processes"


def plan_workers(
    share: ShareOptions, files: Sequence[Path], selection: PlaneSelection = WHOLE_PICTURE
) -> WorkerPlan:
    """Return how to share these images: as requested, or as their size is worth it."""
    if share.scheduler is not None:
        return WorkerPlan(scheduler=share.scheduler)
    if share.workers is not None:
        return WorkerPlan(workers=share.workers)
    if not is_worth_parallelising(files, selection):
        return WorkerPlan()
    return WorkerPlan(workers=max_workers())


def max_workers() -> int:
    """Return the number of processes for which cores and memory suffice, at least 1."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    return max(1, min(CPU_COUNT, int(MEMORY_LIMIT / MEMORY_PER_WORKER)))


def is_worth_parallelising(
    files: Iterable[Path], selection: PlaneSelection = WHOLE_PICTURE
) -> bool:
    """Whether the images are large enough in total for more than one process."""
    total = 0.0
    for file in files:
        total += megapixels(file, selection)
        if total >= PARALLEL_MEGAPIXELS:
            return True
    return False


def megapixels(file: Path, selection: PlaneSelection = WHOLE_PICTURE) -> float:
    """Return the size of an image from its header; 0 if it cannot be read.

    OME-Zarr counts as worth sharing: nobody uses it for small images.
    """
    if file.is_dir():
        return PARALLEL_MEGAPIXELS if is_zarr(file) else 0.0
    rows, cols = picture_size(file, selection)
    return rows * cols / 1e6


@contextmanager
def single_threaded() -> Iterator[None]:
    """Run the block with one thread for the network and for linear algebra.

    Sums of floats depend on how they are split among threads: scores and centres of the learned
    detector differ by up to 2e-5 between one thread and two. Work is shared among processes
    instead.
    """
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")  # a job without a network must not pay for its import
    before = torch.get_num_threads() if torch else 1
    with threadpool_limits(1):
        limit_torch_threads()
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


def limit_torch_threads() -> None:
    """Let the network use one thread when it is called from this thread."""
    torch = sys.modules.get("torch")
    if torch:
        torch.set_num_threads(1)
