"""Workers that are processes: models loaded once, killed workers, a scheduler of others."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import openpyxl
import psutil
import pytest
from PIL import Image

from napari_hemacells.cli.cluster import connect
from napari_hemacells.cli.cluster import scheduler as drive
from napari_hemacells.cli.cluster.scheduler import JobPlugin
from napari_hemacells.cli.detect import DetectJob
from napari_hemacells.cli.parallel import WorkerPlan
from napari_hemacells.core.params import DetectParams
from napari_hemacells.samples import synthetic_smear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

PATIENCE_S = 200  # seconds, on a computer with much else to do


@pytest.fixture(scope="module")
def smears(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pieces of a drawn smear, one of them damaged."""
    folder = tmp_path_factory.mktemp("smears")
    pixels = synthetic_smear(seed=0).image[:480, :480]
    for number in range(6):
        row, col = 40 * number, 30 * number
        Image.fromarray(pixels[row : row + 240, col : col + 240]).save(folder / f"{number}.png")
    (folder / "4.png").write_bytes(b"no picture")
    return folder


def command(*arguments: Any) -> list[str]:
    program = "from napari_hemacells.cli import main; main()"
    return [sys.executable, "-c", program, *map(str, arguments)]


def run(*arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def written(folder: Path) -> dict[str, Any]:
    """The files by name: their bytes, of a workbook (which has its time in it) the values."""
    return {
        path.name: values(path) if path.suffix == ".xlsx" else path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.is_file()
    }


def values(workbook: Path) -> dict[str, list[tuple[Any, ...]]]:
    book = openpyxl.load_workbook(workbook, read_only=True)
    return {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets}


def wait_for(is_so: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_two_processes_classify_to_the_same_bytes(smears: Path, tmp_path: Path) -> None:
    crops = tmp_path / "crops"
    pixels = Image.open(smears / "0.png")
    for number in range(8):
        (crops / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        box = (20 * number, 20 * number, 20 * number + 60, 20 * number + 60)
        pixels.crop(box).save(crops / "ab"[number % 2] / f"{number}.png")
    assert run("fit", crops, "--out", tmp_path / "model").returncode == 0
    for workers, out in ((0, "alone"), (2, "shared")):
        given = ["--model", tmp_path / "model", "--allow-other-scale", "--overlay"]
        done = run("classify", smears, "--out", tmp_path / out, "--workers", workers, *given)
        assert done.returncode == 3, done.stderr
        assert "1 of 6 images failed" in done.stderr
    assert written(tmp_path / "shared") == written(tmp_path / "alone")
    assert len(list((tmp_path / "shared").glob("*.overlay.png"))) == 5


def test_each_worker_loads_its_networks_once(smears: Path, tmp_path: Path) -> None:
    def count_loads() -> tuple[int, int]:  # inside, so that it is sent to the workers whole
        import torch

        from napari_hemacells.core.detect.learned.model import bundled_model

        return bundled_model.cache_info().misses, torch.get_num_threads()

    job = DetectJob(tmp_path, tmp_path, DetectParams(), None)
    (tmp_path / "token").touch()
    with connect.connect_client(WorkerPlan(workers=2)) as client:
        connect.register_plugin(client, JobPlugin(job, "run", tmp_path / "token"), "run")
        sources = drive_sources(smears)
        foreman = drive.TaskScheduler(client, job, "run", Bar())
        outcomes = dict(foreman.outcomes(list(enumerate(sources))))
        loads_and_threads = client.run(count_loads)
    assert len(outcomes) == 6
    assert list(loads_and_threads.values()) == [(1, 1), (1, 1)]


def drive_sources(folder: Path) -> list[Any]:
    from napari_hemacells.cli.inputs import find_images, name_results

    return name_results(find_images([str(folder)]))


class Bar:
    def move(self, *told: Any) -> None:
        return


@contextmanager
def dask_cluster(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Give the address of a scheduler with one worker, both started by dask's own commands."""
    dask = [sys.executable, "-m", "dask"]
    quiet = {"stderr": subprocess.STDOUT, "stdout": subprocess.PIPE, "text": True, "cwd": folder}
    scheduler = subprocess.Popen(
        [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"], **quiet
    )
    started = [scheduler]
    try:
        said = next(filter(None, (re.search(r"tcp://\S+:\d+", one) for one in scheduler.stdout)))
        worker = [*dask, "worker", said[0], "--nthreads", "1", "--no-dashboard"]
        started.append(subprocess.Popen(worker, **quiet))
        yield said[0], scheduler
    finally:
        for one in reversed(started):
            one.terminate()
            one.communicate(timeout=PATIENCE_S)


def test_workers_of_a_scheduler_started_elsewhere(smears: Path, tmp_path: Path) -> None:
    with dask_cluster(tmp_path) as (address, scheduler):
        shared = ["--scheduler", address, "--out", tmp_path / "shared"]
        done = run("detect", smears, *shared, "--method", "classical", "--json", tmp_path / "j")
        assert done.returncode == 3, done.stderr
        assert scheduler.poll() is None
    run("detect", smears, "--out", tmp_path / "alone", "--method", "classical", "--workers", 0)
    assert written(tmp_path / "shared") == written(tmp_path / "alone")


def test_a_killed_worker_costs_no_image(smears: Path, tmp_path: Path) -> None:
    target = tmp_path / "told.json"
    out = tmp_path / "out"
    given = ["detect", smears, "--out", out, "--workers", 2, "--json", target]
    with subprocess.Popen(
        command(*given), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        wait_for(lambda: list(out.glob("*.csv")) or running.poll() is not None)
        workers = [
            one
            for one in psutil.Process(running.pid).children(recursive=True)
            if "spawn_main" in " ".join(one.cmdline())
        ]
        workers[-1].kill()
        _, said = running.communicate(timeout=PATIENCE_S)
    told = json.loads(target.read_text())
    assert running.returncode == 3
    assert [one["name"] for one in told["images"]] == ["0", "1", "2", "3", "5"]
    assert [one["image"] for one in told["failed"]] == [str(smears / "4.png")]
    assert "Traceback" not in said
    assert "distributed" not in said


def test_nobody_without_the_keys_of_the_run_reaches_its_workers() -> None:
    from distributed import Client
    from distributed.comm import parse_address

    with connect.connect_client(WorkerPlan(workers=1)) as client:
        client.wait_for_workers(1, timeout=PATIENCE_S)
        address = client.scheduler.address
        addresses = [address, *client.scheduler_info()["workers"]]
        for target in addresses:
            protocol, place = parse_address(target)
            assert protocol == "tls"
            for tried in (target, f"tcp://{place}"):
                program = (
                    "from distributed import Client\n"
                    f"client = Client({tried!r}, timeout=4, set_as_default=False)\n"
                    "print(client.submit(int, 7).result(timeout=4))"
                )
                stranger = subprocess.run(
                    [sys.executable, "-c", program],
                    capture_output=True, text=True, timeout=PATIENCE_S, check=False,
                )  # fmt: skip
                assert stranger.returncode != 0
                assert "7" not in stranger.stdout
        own = Client(address, security=client.security, timeout=10, set_as_default=False)
        with own:
            assert own.submit(int, 7).result(timeout=30) == 7
