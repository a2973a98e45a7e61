"""Send images, and parts of large ones, to dask workers and collect the outcome of each image.

A worker loads the job and its networks once. Only small things are sent (names, plans and
counts), never images.
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

from napari_hemacells.cli.cluster.connect import ClusterError, connect_client, register_plugin
from napari_hemacells.cli.console import BatchBar
from napari_hemacells.cli.image_job import (
    WORK_FOLDER,
    DetectedImage,
    ImageFailure,
    ImageJob,
    ImageOutcome,
    Record,
    ResultWriter,
    is_large,
    out_of_memory_error,
    run_or_fail,
)
from napari_hemacells.cli.inputs import InputImage
from napari_hemacells.cli.parallel import WorkerPlan, limit_torch_threads, single_threaded
from napari_hemacells.core.detect.checkpoint import DetectionCheckpoint
from napari_hemacells.core.detect.pipeline import detect_part, plan_steps
from napari_hemacells.core.detect.plan import Plan
from napari_hemacells.core.detect.stitching import stitch
from napari_hemacells.core.detect.tiling import Part
from napari_hemacells.core.errors import ImageError, StorageError
from napari_hemacells.core.files.fsio import clear_unused, discard, hold, write_bytes
from napari_hemacells.core.types import SmearImage
from napari_hemacells.core.types.cells import PartCells
from napari_hemacells.core.types.progress import run_to_end


class JobPlugin(WorkerPlugin):
    """Loads a job's networks once when a worker starts, or starts again.

    Parameters
    ----------
    job
        What to do with every image.
    name
        A name unique to the run, so that several runs can share a cluster.
    token
        A file in the results folder: a worker that does not see it would write elsewhere.
    """

    def __init__(self, job: ImageJob, name: str, token: Path) -> None:
        self.job = job
        self.name = name
        self.finish: ResultWriter
        self._token = token
        self._limits: ExitStack

    async def setup(self, worker: Worker) -> None:  # noqa: ARG002  # dask's signature
        """Load everything in a thread, because the worker must keep answering its scheduler."""
        self.finish = await asyncio.to_thread(self.job.prepare)
        self._limits = ExitStack()
        self._limits.enter_context(single_threaded())

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002
        """Restore the worker's number of threads."""
        self._limits.close()

    def check_shared_paths(self, source: InputImage) -> None:
        """Check that this worker sees the image and the folder of the results.

        Raises
        ------
        ImageError, StorageError
            If it does not; the message names the machine.
        """
        host = socket.gethostname()
        if not self._token.is_file():
            raise StorageError(
                f"The folder {self.job.folder} cannot be seen by the worker on {host}: "
                "choose a folder that all machines share under the same path."
            )
        file = self.job.working_dir / source.path
        if not file.exists():
            raise ImageError(
                f"There is no file {file} on the machine {host}: put images where all "
                "workers see them under the same path."
            )


def get_job_plugin(name: str) -> JobPlugin:
    """Return the run's equipment on this worker, in a thread that is ready to work."""
    limit_torch_threads()
    return cast("JobPlugin", get_worker().plugins[name])


def start_image(name: str, source: InputImage, seen: bool) -> ImageOutcome | Plan:
    """Return the outcome of an image, or for a large one the plan of its unfinished parts.

    Parameters
    ----------
    name
        Name of the plugin of the run.
    source
        The image.
    seen
        Whether the command sees the image; the worker must then see it too.
    """
    return run_or_fail(partial(_start_image, name, source, seen))


def detect_parts(
    name: str, source: InputImage, plan: Plan, places: Sequence[int]
) -> int | ImageFailure:
    """Detect some parts of a large image, store them on disk, and return their number of cells."""
    return run_or_fail(partial(_detect_parts, name, source, plan, places))


def finish_image(name: str, source: InputImage, plan: Plan) -> ImageOutcome:
    """Return the outcome of a large image all of whose parts are on disk."""
    return run_or_fail(partial(_finish_image, name, source, plan))


def _start_image(name: str, source: InputImage, seen: bool) -> Record | Plan:
    tools = get_job_plugin(name)
    job = tools.job
    if seen:
        tools.check_shared_paths(source)
    image = job.read(source)
    if job.own is not None or not is_large(image):
        return run_to_end(job.steps_for_image(source, image, tools.finish))
    if not job.resume_parts:
        job.discard_parts(source)
    plan = run_to_end(plan_steps(image, job.params))
    DetectionCheckpoint(
        job.parts_folder(source), plan
    )  # made by one worker, before others look into it
    return plan


def _detect_parts(name: str, source: InputImage, plan: Plan, places: Sequence[int]) -> int:
    tools = get_job_plugin(name)
    tools.check_shared_paths(source)
    finished = DetectionCheckpoint(tools.job.parts_folder(source), plan)
    parts = [plan.parts[index] for index in places]
    return sum(
        len(_load_or_detect_part(tools.job, source, plan, part, finished)) for part in parts
    )


def _finish_image(name: str, source: InputImage, plan: Plan) -> Record:
    tools = get_job_plugin(name)
    tools.check_shared_paths(source)
    finished = DetectionCheckpoint(tools.job.parts_folder(source), plan)
    part_cells = [
        _load_or_detect_part(tools.job, source, plan, part, finished) for part in plan.parts
    ]
    image = _read_image_cached(tools.job, source)
    record = run_to_end(tools.finish(DetectedImage(source, image, stitch(plan, part_cells))))
    tools.job.discard_parts(source)
    return record


def _load_or_detect_part(
    job: ImageJob, source: InputImage, plan: Plan, part: Part, finished: DetectionCheckpoint
) -> PartCells:
    """Return the cells of a part, read from disk or else computed and stored."""
    part_cells = finished.read(part)
    if part_cells is None:
        part_cells = detect_part(_read_image_cached(job, source), plan, part)
        finished.write(part, part_cells)
    return part_cells


@lru_cache(maxsize=1)
def _read_image_cached(job: ImageJob, source: InputImage) -> SmearImage:
    """Return the image of this worker's last part; it is opened once."""
    return job.read(source)


PARTS_PER_TASK = 4  # about a second of work

Outcomes: TypeAlias = Generator[tuple[int, ImageOutcome], None, None]


def run_on_cluster(
    job: ImageJob, todo: Sequence[tuple[int, InputImage]], sharing: WorkerPlan, bar: BatchBar
) -> Outcomes:
    """Yield index and outcome of each image as it finishes, in any order.

    Raises
    ------
    HemaCellsError
        If no workers are available, or they lack something that every image needs.
    """
    name = f"hemacells-{secrets.token_hex(8)}"
    with _token(job.folder, name) as token, connect_client(sharing) as client:
        register_plugin(client, JobPlugin(job, name, token), name)
        try:
            yield from TaskScheduler(client, job, name, bar).outcomes(todo)
        finally:
            if sharing.scheduler is not None:
                client.unregister_worker_plugin(name)


@dataclass
class ImageInProgress:
    """An image that workers have started.

    Attributes
    ----------
    place
        Its index in the batch.
    plan
        How it is divided into parts; ``None`` if it is processed as a whole.
    left
        Number of unfinished parts.
    cells
        Number of cells in the finished parts.
    """

    place: int
    source: InputImage
    plan: Plan | None = None
    left: int = 0
    cells: int = 0
    failed: bool = False


@dataclass(frozen=True)
class WorkerTask:
    """A task for one worker, and the image it belongs to."""

    image: ImageInProgress
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    parts: int = 0


class TaskScheduler:
    """Keeps each thread of the workers busy with exactly one task.

    More tasks would only wait at a worker, and would be suspected if it died. Parts of started
    images go first, so that few images are open at a time and memory stays bounded.
    """

    def __init__(self, client: Client, job: ImageJob, name: str, bar: BatchBar) -> None:
        self._client = client
        self._job = job
        self._name = name
        self._bar = bar
        self._ready: deque[WorkerTask] = deque()
        self._submitted: dict[Future[Any], WorkerTask] = {}
        self._running = as_completed(loop=client.loop)

    def outcomes(self, todo: Sequence[tuple[int, InputImage]]) -> Outcomes:
        """Yield index and outcome of each image as it finishes."""
        waiting = iter(todo)
        self._submit_tasks(waiting)
        try:
            for future in self._running:
                task = self._submitted.pop(future)
                yield from self._take(task, _result(future))
                self._submit_tasks(waiting)
        finally:
            self._client.cancel(list(self._submitted), force=True)

    def _submit_tasks(self, waiting: Iterator[tuple[int, InputImage]]) -> None:
        threads: dict[str, int] = self._client.nthreads()
        while len(self._submitted) < max(1, sum(threads.values())):
            task = self._ready.popleft() if self._ready else self._next_image_task(waiting)
            if task is None:
                return
            if task.image.failed:
                continue
            future = self._client.submit(
                task.call, *task.arguments, key=f"{self._name}-{secrets.token_hex(8)}", pure=False
            )
            self._submitted[future] = task
            self._running.add(future)

    def _next_image_task(self, waiting: Iterator[tuple[int, InputImage]]) -> WorkerTask | None:
        index, source = next(waiting, (-1, None))
        if source is None:
            return None
        seen = (self._job.working_dir / source.path).exists()
        return WorkerTask(ImageInProgress(index, source), start_image, (self._name, source, seen))

    def _take(self, task: WorkerTask, result: Any) -> Outcomes:
        """Yield the outcome of the task's image if it is finished; else queue its next task."""
        image = task.image
        if image.failed:
            return
        if isinstance(result, ImageFailure):
            image.failed = True
            yield image.place, result
        elif isinstance(result, Plan):
            image.plan, image.left = result, len(result.parts)
            self._ready.extend(self._part_tasks(image, result))
        elif task.parts:
            image.left -= task.parts
            image.cells += result
            self._move(image)
        else:
            yield image.place, result
        if image.plan is not None and not image.left and task.call is not finish_image:
            self._ready.append(
                WorkerTask(image, finish_image, (self._name, image.source, image.plan))
            )

    def _part_tasks(self, image: ImageInProgress, plan: Plan) -> Iterator[WorkerTask]:
        for start in range(0, len(plan.parts), PARTS_PER_TASK):
            places = range(start, min(start + PARTS_PER_TASK, len(plan.parts)))
            yield WorkerTask(
                image, detect_parts, (self._name, image.source, plan, places), parts=len(places)
            )

    def _move(self, image: ImageInProgress) -> None:
        total = len(image.plan.parts) if image.plan else 1
        done = (total - image.left) / total
        self._bar.move(image.source.name, done, image.cells, f"{image.cells:,} cells found")


def _result(future: "Future[Any]") -> Any:
    """Return the result of a task, or why it failed; an error in the program is raised.

    Raises
    ------
    ClusterError
        If the connection to the scheduler was lost.
    """
    if future.status in {"cancelled", "lost"}:
        raise ClusterError(
            "The connection to the scheduler was lost. Finished images are complete; "
            "run the same command with --skip-done to continue."
        )
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, KilledWorker):
        return ImageFailure(
            ImageError(
                "The processes that worked on this image were ended from outside, most "
                "likely because memory ran out. Process it alone, or use fewer --workers."
            )
        )
    if isinstance(error, MemoryError):
        return ImageFailure(out_of_memory_error())
    raise error


@contextmanager
def _token(folder: Path, name: str) -> Iterator[Path]:
    """Give a file in the results folder, by which workers check that they see the folder."""
    token = folder / WORK_FOLDER / f"{name}.token"
    for left in token.parent.glob("hemacells-*.token"):  # of runs that were killed
        clear_unused(left)
    write_bytes(token, b"")
    try:
        with hold(token):
            yield token
    finally:
        discard(token)
