"""Images handed to workers a few at a time, and what came of each."""

import secrets
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from distributed import Client, Future, KilledWorker, as_completed

from napari_hemacells.cli.cluster.connect import ClusterError, connected
from napari_hemacells.cli.cluster.equipment import Equipment, work_on
from napari_hemacells.cli.console import BatchBar
from napari_hemacells.cli.done import FOLDER
from napari_hemacells.cli.job import Failed, Job, Outcome, no_memory
from napari_hemacells.cli.sharing import Sharing
from napari_hemacells.cli.sources import Source
from napari_hemacells.core.errors import ImageError
from napari_hemacells.core.store.atomic import discard, write_bytes


def on_cluster(
    job: Job, todo: Sequence[tuple[int, Source]], sharing: Sharing, bar: BatchBar
) -> Generator[tuple[int, Outcome], None, None]:
    """Yield place and outcome of each image as it is done, in whatever order.

    Raises
    ------
    HemaCellsError
        If the workers cannot be had, or lack something that every image needs.
    """
    name = f"hemacells-{secrets.token_hex(8)}"
    with _token(job.folder, name) as token, connected(sharing) as client:
        client.register_plugin(Equipment(job, name, token), name=name)
        try:
            yield from _in_window(client, job, name, todo)
        finally:
            if sharing.scheduler is not None:
                client.unregister_worker_plugin(name)


def _in_window(
    client: Client, job: Job, name: str, todo: Sequence[tuple[int, Source]]
) -> Generator[tuple[int, Outcome], None, None]:
    """Yield the outcomes, with one image a thread of the workers in their hands at a time.

    More would only wait at a worker, and be suspected with it when it dies.
    """
    waiting = iter(todo)
    places: dict[Future[Outcome], int] = {}
    running = as_completed(loop=client.loop)

    def hand_out(number: int) -> None:
        for place, source in islice(waiting, number):
            seen = (job.here / source.path).exists()
            future = client.submit(
                work_on, name, source, seen=seen, key=f"{name}-{place}", pure=False
            )
            places[future] = place
            running.add(future)

    hand_out(_threads(client))
    try:
        for future in running:
            yield places.pop(future), _outcome(future)
            hand_out(_threads(client) - len(places))
    finally:
        client.cancel(list(places), force=True)


def _threads(client: Client) -> int:
    threads: dict[str, int] = client.nthreads()
    return max(1, sum(threads.values()))


def _outcome(future: Future[Outcome]) -> Outcome:
    """Return what came of a task; an error in the program is raised as it would be here.

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
    token = folder / FOLDER / f"{name}.token"
    write_bytes(token, b"")
    try:
        yield token
    finally:
        discard(token)
