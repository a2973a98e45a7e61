"""What a worker has beside its processor: the job and, loaded once, the networks it needs."""

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import cast

from distributed import Worker, WorkerPlugin, get_worker

from napari_hemacells.cli.job import Failed, Finish, Job, Outcome, attempt
from napari_hemacells.cli.sources import Source
from napari_hemacells.cli.threads import one_thread, one_torch_thread
from napari_hemacells.core.errors import ImageError, StorageError


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
        self.token = token
        self.finish: Finish
        self._limits: ExitStack

    async def setup(self, worker: Worker) -> None:  # noqa: ARG002  # dask's signature
        """Load everything, in a thread: the worker must go on answering its scheduler."""
        self.finish = await asyncio.to_thread(self.job.prepare)
        self._limits = ExitStack()
        self._limits.enter_context(one_thread())

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002
        """Give the worker back its threads."""
        self._limits.close()


def work_on(name: str, source: Source, *, seen: bool) -> Outcome:
    """Return what came of an image on this worker.

    Parameters
    ----------
    name
        That of the run's equipment.
    source
        The image.
    seen
        Whether the command sees the image: then the worker must see it too.
    """
    equipment = cast("Equipment", get_worker().plugins[name])
    refused = _out_of_sight(equipment, source) if seen else None
    if refused:
        return refused
    one_torch_thread()
    return attempt(equipment.job.steps(source, equipment.finish))


def _out_of_sight(equipment: Equipment, source: Source) -> Failed | None:
    """Return why this worker can neither read the image nor write its results, if it cannot."""
    job, host = equipment.job, socket.gethostname()
    if not equipment.token.is_file():
        return Failed(
            StorageError(
                f"The folder {job.folder} cannot be seen from the worker on {host}: choose one "
                "that all machines share under the same path."
            )
        )
    file = job.here / source.path
    if not file.exists():
        return Failed(
            ImageError(
                f"There is no file {file} on the machine {host}: images must lie where all "
                "workers see them under the same path."
            )
        )
    return None
