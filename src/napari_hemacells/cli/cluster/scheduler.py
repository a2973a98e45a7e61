"""Images, and parts of large ones, handed to workers a few at a time; what came of each image.

What a worker has beside its processor: the job and, loaded once, the networks it needs.

What workers are asked to do. Small things travel: names, plans and counts; images do not.
"""

import asyncio
import secrets
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeAlias, cast

from distributed import (
    Client,
    Future,
    KilledWorker,
    Worker,
    WorkerPlugin,
    as_completed,
    get_worker,
)

from napari_hemacells.cli.cluster.connect import ClusterError, connected, equip
from napari_hemacells.cli.console import BatchBar
from napari_hemacells.cli.image_job import (
    WORK_FOLDER,
    Failed,
    Finish,
    Found,
    Job,
    Outcome,
    Record,
    attempt,
    is_large,
    no_memory,
)
from napari_hemacells.cli.inputs import Source
from napari_hemacells.cli.parallel import Sharing, one_thread, one_torch_thread
from napari_hemacells.core.detect.checkpoint import Finished
from napari_hemacells.core.detect.pipeline import detect_part, plan_steps
from napari_hemacells.core.detect.plan import Plan
from napari_hemacells.core.detect.stitching import join
from napari_hemacells.core.detect.tiling import Part
from napari_hemacells.core.errors import ImageError, StorageError
from napari_hemacells.core.fsio import discard, write_bytes
from napari_hemacells.core.types import SmearImage
from napari_hemacells.core.types.cells import PartCells
from napari_hemacells.core.types.progress import run_to_end


class Equipment(WorkerPlugin):
    """Loads a job's networks once when a worker starts, or starts again.

    Parameters
    ----------
    job
        What is to be done with every image.
    name
        One name a run, so that runs may share a cluster.
    token
        A file in the folder of the results: a worker that does not see it writes elsewhere.
    """

    def __init__(self, job: Job, name: str, token: Path) -> None:
        self.job = job
        self.name = name
        self.finish: Finish
        self._token = token
        self._limits: ExitStack

    async def setup(self, worker: Worker) -> None:  # noqa: ARG002  # dask's signature
        """Load everything, in a thread: the worker must go on answering its scheduler."""
        self.finish = await asyncio.to_thread(self.job.prepare)
        self._limits = ExitStack()
        self._limits.enter_context(one_thread())

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002
        """Give the worker back its threads."""
        self._limits.close()

    def check_sight(self, source: Source) -> None:
        """Check that this worker sees the image and the folder of the results.

        Raises
        ------
        ImageError, StorageError
            If it does not; the sentence names the machine.
        """
        host = socket.gethostname()
        if not self._token.is_file():
            raise StorageError(
                f"The folder {self.job.folder} cannot be seen from the worker on {host}: choose "
                "one that all machines share under the same path."
            )
        file = self.job.here / source.path
        if not file.exists():
            raise ImageError(
                f"There is no file {file} on the machine {host}: images must lie where all "
                "workers see them under the same path."
            )


def equipment(name: str) -> Equipment:
    """Return the run's equipment on this worker, in a thread that is ready to work."""
    one_torch_thread()
    return cast("Equipment", get_worker().plugins[name])


def begin(name: str, source: Source, seen: bool) -> Outcome | Plan:
    """Return what came of an image, or of a large one the plan, its parts not yet done.

    Parameters
    ----------
    name
        That of the run's equipment.
    source
        The image.
    seen
        Whether the command sees the image: then the worker must see it too.
    """
    return attempt(partial(_begin, name, source, seen))


def do_parts(name: str, source: Source, plan: Plan, places: Sequence[int]) -> int | Failed:
    """Return how many cells there are in some parts of a large image, kept on the disk."""
    return attempt(partial(_do_parts, name, source, plan, places))


def end(name: str, source: Source, plan: Plan) -> Outcome:
    """Return what came of a large image all of whose parts are on the disk."""
    return attempt(partial(_end, name, source, plan))


def _begin(name: str, source: Source, seen: bool) -> Record | Plan:
    tools = equipment(name)
    job = tools.job
    if seen:
        tools.check_sight(source)
    image = job.read(source)
    if job.own is not None or not is_large(image):
        return run_to_end(job.steps_of(source, image, tools.finish))
    if not job.go_on:
        job.forget_parts(source)
    plan = run_to_end(plan_steps(image, job.params))
    Finished(job.parts_folder(source), plan)  # made by one worker, before others look into it
    return plan


def _do_parts(name: str, source: Source, plan: Plan, places: Sequence[int]) -> int:
    tools = equipment(name)
    tools.check_sight(source)
    finished = Finished(tools.job.parts_folder(source), plan)
    parts = [plan.parts[place] for place in places]
    return sum(len(_cells_of(tools.job, source, plan, part, finished)) for part in parts)


def _end(name: str, source: Source, plan: Plan) -> Record:
    tools = equipment(name)
    tools.check_sight(source)
    finished = Finished(tools.job.parts_folder(source), plan)
    found = [_cells_of(tools.job, source, plan, part, finished) for part in plan.parts]
    image = _opened(tools.job, source)
    record = run_to_end(tools.finish(Found(source, image, join(plan, found))))
    tools.job.forget_parts(source)
    return record


def _cells_of(job: Job, source: Source, plan: Plan, part: Part, finished: Finished) -> PartCells:
    """Return the cells of a part, read back or, where it is missing, computed and kept."""
    found = finished.read(part)
    if found is None:
        found = detect_part(_opened(job, source), plan, part)
        finished.write(part, found)
    return found


@lru_cache(maxsize=1)
def _opened(job: Job, source: Source) -> SmearImage:
    """Return the image that this worker's last part was of, opened once."""
    return job.read(source)


PARTS_A_TASK = 4  # about a second of work

Outcomes: TypeAlias = Generator[tuple[int, Outcome], None, None]


def on_cluster(
    job: Job, todo: Sequence[tuple[int, Source]], sharing: Sharing, bar: BatchBar
) -> Outcomes:
    """Yield place and outcome of each image as it is done, in whatever order.

    Raises
    ------
    HemaCellsError
        If the workers cannot be had, or lack something that every image needs.
    """
    name = f"hemacells-{secrets.token_hex(8)}"
    with _token(job.folder, name) as token, connected(sharing) as client:
        equip(client, Equipment(job, name, token), name)
        try:
            yield from Foreman(client, job, name, bar).outcomes(todo)
        finally:
            if sharing.scheduler is not None:
                client.unregister_worker_plugin(name)


@dataclass
class Underway:
    """An image that workers have begun.

    Attributes
    ----------
    place
        Its place in the batch.
    plan
        How it is taken apart; ``None`` where it is done whole.
    left
        Parts that are not done.
    cells
        Cells in those that are.
    """

    place: int
    source: Source
    plan: Plan | None = None
    left: int = 0
    cells: int = 0
    failed: bool = False


@dataclass(frozen=True)
class Task:
    """Something that one worker does at a time, and the image it belongs to."""

    image: Underway
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    parts: int = 0


class Foreman:
    """Keeps each thread of the workers busy with one task, and no more than one.

    More would only wait at a worker, and be suspected with the one that it dies of. Parts of
    images that are underway go first, so that few images are: the memory is bounded.
    """

    def __init__(self, client: Client, job: Job, name: str, bar: BatchBar) -> None:
        self._client = client
        self._job = job
        self._name = name
        self._bar = bar
        self._ready: deque[Task] = deque()
        self._handed: dict[Future[Any], Task] = {}
        self._running = as_completed(loop=client.loop)

    def outcomes(self, todo: Sequence[tuple[int, Source]]) -> Outcomes:
        """Yield place and outcome of each image as it is done."""
        waiting = iter(todo)
        self._hand_out(waiting)
        try:
            for future in self._running:
                task = self._handed.pop(future)
                yield from self._take(task, _result(future))
                self._hand_out(waiting)
        finally:
            self._client.cancel(list(self._handed), force=True)

    def _hand_out(self, waiting: Iterator[tuple[int, Source]]) -> None:
        threads: dict[str, int] = self._client.nthreads()
        while len(self._handed) < max(1, sum(threads.values())):
            task = self._ready.popleft() if self._ready else self._next_image(waiting)
            if task is None:
                return
            if task.image.failed:
                continue
            future = self._client.submit(
                task.call, *task.arguments, key=f"{self._name}-{secrets.token_hex(8)}", pure=False
            )
            self._handed[future] = task
            self._running.add(future)

    def _next_image(self, waiting: Iterator[tuple[int, Source]]) -> Task | None:
        place, source = next(waiting, (-1, None))
        if source is None:
            return None
        seen = (self._job.here / source.path).exists()
        return Task(Underway(place, source), begin, (self._name, source, seen))

    def _take(self, task: Task, result: Any) -> Outcomes:
        """Yield what came of the task's image, if it is done with it; else ready its next."""
        image = task.image
        if image.failed:
            return
        if isinstance(result, Failed):
            image.failed = True
            yield image.place, result
        elif isinstance(result, Plan):
            image.plan, image.left = result, len(result.parts)
            self._ready.extend(self._tasks_of(image, result))
        elif task.parts:
            image.left -= task.parts
            image.cells += result
            self._move(image)
        else:
            yield image.place, result
        if image.plan is not None and not image.left and task.call is not end:
            self._ready.append(Task(image, end, (self._name, image.source, image.plan)))

    def _tasks_of(self, image: Underway, plan: Plan) -> Iterator[Task]:
        for start in range(0, len(plan.parts), PARTS_A_TASK):
            places = range(start, min(start + PARTS_A_TASK, len(plan.parts)))
            yield Task(
                image, do_parts, (self._name, image.source, plan, places), parts=len(places)
            )

    def _move(self, image: Underway) -> None:
        total = len(image.plan.parts) if image.plan else 1
        done = (total - image.left) / total
        self._bar.move(image.source.name, done, image.cells, f"{image.cells:,} cells found")


def _result(future: Future[Any]) -> Any:
    """Return what a task returned, or why it failed; an error in the program is raised.

    Raises
    ------
    ClusterError
        If the connection to the scheduler was lost.
    """
    if future.status in {"cancelled", "lost"}:
        raise ClusterError(
            "The connection to the scheduler was lost. Finished images are whole; the same "
            "command with --skip-done goes on."
        )
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, KilledWorker):
        return Failed(
            ImageError(
                "The processes that worked on this image were ended from outside, most likely "
                "because the memory was full. Try it alone, or with fewer --workers."
            )
        )
    if isinstance(error, MemoryError):
        return Failed(no_memory())
    raise error


@contextmanager
def _token(folder: Path, name: str) -> Iterator[Path]:
    """Give a file in the folder of the results by which workers know that they see it too."""
    token = folder / WORK_FOLDER / f"{name}.token"
    write_bytes(token, b"")
    try:
        yield token
    finally:
        discard(token)
