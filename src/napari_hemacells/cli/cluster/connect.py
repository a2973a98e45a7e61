"""Connect to worker processes on this computer, or to a dask scheduler started by others."""

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from tempfile import TemporaryDirectory

import dask
import psutil
from distributed import Client, LocalCluster, Nanny, Security, WorkerPlugin

from napari_hemacells import __version__
from napari_hemacells.cli.parallel import WorkerPlan
from napari_hemacells.core.errors import HemaCellsError

CONNECT_TIMEOUT_S = 15  # seconds to reach a scheduler
WORKERS_TIMEOUT_S = 30  # seconds to wait for its first worker
LOGGING_OFF = logging.CRITICAL + 1

CONFIG = {
    # A worker that dies takes with it the image it works on, and no other that waits in its queue;
    # the image is tried once more, in case its neighbours were to blame.
    "distributed.scheduler.allowed-failures": 1,
    "distributed.scheduler.worker-saturation": 1.0,
    # Our tasks hold the interpreter for seconds inside the network.
    "distributed.admin.tick.limit": "1h",
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
}


class ClusterError(HemaCellsError):
    """Workers cannot be reached or used."""


@contextmanager
def connect_client(sharing: WorkerPlan) -> Iterator[Client]:
    """Give a client of the requested workers.

    Raises
    ------
    ClusterError
        If the scheduler cannot be reached, has no workers, or workers of another version.
    """
    with _logging_silenced(), dask.config.set(CONFIG):
        if sharing.scheduler is None:
            yield from _local(sharing.workers)
        else:
            yield from _remote(sharing.scheduler)


def _local(workers: int) -> Iterator[Client]:
    with ExitStack() as opened:
        # dask's own folder would keep the leavings of processes that are ended at once
        scratch = TemporaryDirectory(prefix="hemacells-", ignore_cleanup_errors=True)
        folder = opened.enter_context(scratch)
        with _ignore_interrupts():
            # Whoever reaches the scheduler can run code in its workers: nobody on this computer
            # may without the keys, which are made for this run and kept in memory alone.
            security = Security.temporary()
            try:
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    dashboard_address=None,
                    local_directory=folder,
                    silence_logs=LOGGING_OFF,
                    protocol="tls://",
                    security=security,
                )
            except (RuntimeError, OSError, TimeoutError) as error:
                raise ClusterError(
                    f"{workers} processes could not be started on this computer, which may be too "
                    "busy: run the command again with --workers 1."
                ) from error
            opened.enter_context(cluster)
            client = opened.enter_context(Client(cluster, set_as_default=False, security=security))
        try:
            yield client
        finally:
            cluster.sync(_end_workers, cluster)


@contextmanager
def _ignore_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C until the block ends, and permanently in the processes that it starts.

    A terminal sends it to all of them, and each would print a traceback. This process ends them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def _end_workers(cluster: LocalCluster) -> None:
    """End the worker processes at once: either all is written, or the user has stopped the run."""
    nannies = [worker for worker in cluster.workers.values() if isinstance(worker, Nanny)]
    closing = [asyncio.ensure_future(nanny.close()) for nanny in nannies]
    await asyncio.sleep(0)  # from here on they take the end of their process as wanted
    for nanny in nannies:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(nanny.pid).kill()
    await asyncio.gather(*closing)


def register_plugin(client: Client, plugin: WorkerPlugin, name: str) -> None:
    """Register the plugin on every worker, also on those that join later.

    Raises
    ------
    ClusterError
        If workers end while they set it up.
    HemaCellsError
        What the plugin raises.
    """
    for chance in (1, 0):
        try:
            client.register_plugin(plugin, name=name)
        except OSError as error:
            if chance:
                continue  # a worker ended meanwhile; the one in its place gets the plugin too
            raise ClusterError(
                "Workers ended while they loaded the networks, most likely because "
                "memory ran out. Use fewer --workers."
            ) from error
        return


def _remote(address: str) -> Iterator[Client]:
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"No dask scheduler answers at {address}. Start one with “dask scheduler” and give "
            "the address that it prints."
        ) from error
    try:
        _check_workers(client, address)
        yield client
    finally:
        with suppress(OSError, TimeoutError):
            client.close(timeout=1)


def _check_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKERS_TIMEOUT_S)
    except TimeoutError as error:
        raise ClusterError(
            f"The scheduler at {address} has no workers. Start some with “dask worker {address}”."
        ) from error
    versions = client.run(worker_version)
    for worker, version in versions.items():
        if version != __version__:
            raise ClusterError(
                f"The worker {worker} has napari-hemacells {version or 'not installed'}, this "
                f"computer has {__version__}: install the same version on all machines."
            )


def worker_version() -> str:
    """Return the version of this package where it is called."""
    return __version__


@contextmanager
def _logging_silenced() -> Iterator[None]:
    """Keep the libraries' own log off the terminal: failures are reported for each image."""
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", "asyncio")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(LOGGING_OFF)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
