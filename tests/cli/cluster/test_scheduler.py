"""Many images on workers: the same bytes as in one process, failures by image, going on."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from distributed import LocalCluster
from PIL import Image

from napari_hemacells.cli import batch, image_job
from napari_hemacells.cli.cluster import connect, scheduler
from napari_hemacells.core.detect.classical import pipeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLASSICAL = ["--method", "classical", "--cell-diameter", "16"]


def draw_field(rows: int, cols: int, seed: int) -> np.ndarray:
    """Red discs of 16 px on glass, each a little aside of its place on a grid."""
    rng = np.random.default_rng(seed)
    pixels = np.full((rows, cols, 3), (235, 228, 232), np.float64)
    at_row, at_col = np.indices((rows, cols))
    for row in range(16, rows - 15, 32):
        for col in range(16, cols - 15, 32):
            down, right = rng.integers(-4, 5, 2)
            disc = np.hypot(at_row - row - down, at_col - col - right) <= 8
            pixels[disc] = (205, 110, 115)
    return (pixels + rng.normal(0, 3, pixels.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    """Four fields, the third of them damaged."""
    folder = tmp_path / "fields"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(draw_field(96, 128, number)).save(folder / f"{number}.png")
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:900])
    return folder


@pytest.fixture
def in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are threads of this process: the same messages, without the start of processes."""
    monkeypatch.setattr(connect, "LocalCluster", partial(LocalCluster, processes=False))


@pytest.fixture
def by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of a few tiles is large enough to be shared."""
    monkeypatch.setattr(image_job, "LARGE_IMAGE_PIXELS", 100_000)
    monkeypatch.setattr(pipeline, "MAX_SINGLE_PART_PIXELS", 0)
    monkeypatch.setattr(scheduler, "PARTS_PER_TASK", 1)


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


@pytest.fixture
def detect(hemacells, fields: Path, tmp_path: Path) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Detect in the fields, and in what else is named; the result and what it says as JSON."""

    def run(*more: Any, out: str = "out") -> tuple[Any, dict[str, Any]]:
        target = tmp_path / f"{out}.json"
        target.unlink(missing_ok=True)
        given = ["--out", tmp_path / out, *CLASSICAL, "--json", target, *more]
        result = hemacells("detect", fields, *given)
        told = json.loads(target.read_text().replace(f"/{out}/", "/OUT/"))
        return result, told

    return run


def test_workers_write_the_same_bytes_in_the_same_order(detect, in_threads, tmp_path) -> None:
    alone, told_alone = detect("--workers", 0, out="alone")
    shared, told_shared = detect("--workers", 2, out="shared")
    assert alone.exit_code == shared.exit_code == 3
    assert told_shared == told_alone
    assert [one["name"] for one in told_shared["images"]] == ["0", "1", "3"]
    assert [one["cells"] for one in told_shared["images"]] == [12, 12, 12]
    assert written(tmp_path / "shared") == written(tmp_path / "alone")
    assert shared.stdout == alone.stdout.replace("/alone/", "/shared/")


def test_a_damaged_image_is_named_and_harms_no_other(detect, in_threads, fields) -> None:
    result, told = detect("--workers", 2)
    assert [one["image"] for one in told["failed"]] == [str(fields / "2.png")]
    assert "1 of 4 images failed" in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_shows_where_a_worker_failed(detect, in_threads) -> None:
    result, _ = detect("--workers", 2, "--debug")
    assert "read_image" in result.stderr


def test_quiet_says_nothing_but_failures(hemacells, fields, in_threads, tmp_path) -> None:
    (fields / "2.png").unlink()
    given = ["--out", tmp_path / "out", *CLASSICAL, "--workers", 2, "--quiet"]
    result = hemacells("detect", fields, *given)
    assert result.exit_code == 0
    assert result.output == ""


def test_a_large_image_is_shared_by_parts(
    detect, in_threads, by_parts, fields, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(fields / "wide.tif", draw_field(96, 1200, 7), photometric="rgb")
    tasks_of_parts: list[int] = []
    done = scheduler.detect_part
    monkeypatch.setattr(
        scheduler, "detect_part", lambda *given: tasks_of_parts.append(1) or done(*given)
    )
    _, told_alone = detect("--workers", 0, out="alone")
    assert not tasks_of_parts
    _, told_shared = detect("--workers", 2, out="shared")
    assert len(tasks_of_parts) > 1
    assert told_shared == told_alone
    assert told_shared["images"][-1]["cells"] == 3 * 37
    assert written(tmp_path / "shared") == written(tmp_path / "alone")
    assert not list((tmp_path / "shared").rglob("*.npz"))


def test_skip_done_goes_on_and_tells_all(detect, tmp_path, fields) -> None:
    _, told = detect()
    (tmp_path / "out" / "1.labels.tif").unlink()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.csv")}
    result, again = detect("--skip-done")
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.csv")}
    assert again == told
    assert [path.name[0] for path in before if before[path] != after[path]] == ["1"]
    assert result.stdout.count("done before") == 2


@pytest.mark.parametrize("change", ["settings", "image"])
def test_skip_done_does_again_what_has_changed(detect, fields, tmp_path, change: str) -> None:
    detect()
    if change == "image":
        Image.fromarray(draw_field(96, 160, 9)).save(fields / "0.png")
    more = ["--sensitivity", "0.6"] if change == "settings" else []
    result, told = detect("--skip-done", *more)
    assert result.stdout.count("done before") == (0 if change == "settings" else 2)
    assert told["images"][0]["shape"] == ([96, 128] if change == "settings" else [96, 160])


def test_ctrl_c_leaves_whole_images_and_says_how_to_go_on(
    hemacells, fields, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt, calls = batch.run_or_fail, []

    def interrupted(work: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return attempt(work)

    given = ["detect", fields, "--out", tmp_path / "out", *CLASSICAL]
    with monkeypatch.context() as patched:
        patched.setattr(batch, "run_or_fail", interrupted)
        stopped = hemacells(*given)
    assert stopped.exit_code == 130
    assert "2 images are complete" in stopped.stderr
    assert "--skip-done" in stopped.stderr
    assert len(list((tmp_path / "out").glob("*.csv"))) == 2
    assert hemacells(*given, "--skip-done").stdout.count("done before") == 2


def test_scheduler_and_workers_together_are_wrong_usage(hemacells, fields, tmp_path) -> None:
    given = ["--out", tmp_path, "--workers", 2, "--scheduler", "tcp://127.0.0.1:1"]
    result = hemacells("detect", fields, *given)
    assert result.exit_code == 2
    assert "--scheduler" in result.stderr


def test_a_scheduler_that_does_not_answer_is_told(
    hemacells, fields, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "CONNECT_TIMEOUT_S", 0.2)
    given = ["--out", tmp_path, "--scheduler", "tcp://127.0.0.1:1"]
    result = hemacells("detect", fields, *given)
    assert result.exit_code == 3
    assert "tcp://127.0.0.1:1" in result.stderr
    assert "Traceback" not in result.stderr
