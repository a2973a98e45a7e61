"""What a worker has beside its processor: the job and, loaded once, the networks it needs."""

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import cast

from distributed import Worker, WorkerPlugin, get_worker

from napari_hemacells.cli.job import Finish, Job
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
