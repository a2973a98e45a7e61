"""Images, and parts of large ones, handed to workers a few at a time; what came of each image."""

import secrets
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from distributed import Client, Future, KilledWorker, as_completed

from napari_hemacells.cli.cluster.connect import ClusterError, connected, equip
from napari_hemacells.cli.cluster.equipment import Equipment
from napari_hemacells.cli.cluster.tasks import begin, do_parts, end
from napari_hemacells.cli.console import BatchBar
from napari_hemacells.cli.job import WORK_FOLDER, Failed, Job, Outcome, no_memory
from napari_hemacells.cli.sharing import Sharing
from napari_hemacells.cli.sources import Source
from napari_hemacells.core.detect.parts import Plan
from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.store.atomic import discard, write_bytes

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
