"""Detection on large images: speed, memory, time against area, and influence of the tiles.

::

    python benchmarks/large_images.py [--json FILE] [--threads 2] [--keep FOLDER] [--small]

Every run is a process of its own that opens the image from disk (a tiled OME-TIFF with a
pyramid), so that its peak memory is that of the whole program, PyTorch included. Wall time
depends on the load of the machine, which is printed; CPU time hardly does. Loading the network is
not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_hemacells.core.types import Cells, Progress

FIELD = (480, 640)
SIZES = ((2000, 3667), (3000, 5500), (6000, 11000))  # one shape, areas 1 : 2.25 : 9
SMALL_SIZES = ((1000, 1833), (1500, 2750), (2000, 3667))
TILES = (384, 512, 1024)
METHODS = ("learned", "classical")
ROUNDS = 5  # of the small field


def main() -> None:
    """Run all measurements, or one image in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--keep", type=Path, help="folder for the images, which are reused if they exist"
    )
    parser.add_argument("--small", action="store_true", help="a quick run on smaller images")
    parser.add_argument("--run", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(_measured(*options.run, threads=options.threads)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        sizes = SMALL_SIZES if options.small else SIZES
        results = _all_runs(_images(folder, sizes), options.threads)
    _show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def _images(folder: Path, sizes: tuple[tuple[int, int], ...]) -> list[Path]:
    """Return a field and three large smears on disk, rendered if they are missing."""
    from PIL import Image

    from napari_hemacells.samples.mosaic import smear_mosaic
    from napari_hemacells.samples.smear import synthetic_smear

    folder.mkdir(parents=True, exist_ok=True)
    field = folder / "field.png"
    if not field.exists():
        Image.fromarray(synthetic_smear(0, FIELD).image).save(field)
    files = [field]
    for rows, cols in sizes:
        file = folder / f"smear-{rows}x{cols}.ome.tif"
        if not file.exists():
            print(f"Rendering {file.name} …", flush=True)
            # In a process of its own: a process begins with the peak memory of the one before it.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as painters:
                painters.submit(smear_mosaic, file, (rows, cols)).result()
        files.append(file)
    return files


def _all_runs(files: list[Path], threads: int) -> dict[str, Any]:
    results: dict[str, Any] = {"threads": threads, "runs": []}
    for method in METHODS:
        plan = [(files[0], 0, ROUNDS), *((file, 0, 1) for file in files[1:])]
        plan += [(files[-1], tile, 1) for tile in TILES]
        for file, tile, rounds in plan:
            results["runs"].append(_in_child(method, file, tile, rounds, threads))
        results[method] = _summary(results["runs"], method)
    return results


def _in_child(method: str, file: Path, tile: int, rounds: int, threads: int) -> dict[str, Any]:
    """Return the measurements of a process of its own."""
    command = [sys.executable, __file__, "--threads", str(threads)]
    command += ["--run", method, str(file), str(tile), str(rounds)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)  # noqa: S603
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(_line(result), flush=True)
    return result


def _measured(method: str, file: str, tile: str, rounds: str, *, threads: int) -> dict[str, Any]:
    """Return seconds, cells and peak memory of detection in this process."""
    from napari_hemacells.core.detect import detect_steps, preload_detector
    from napari_hemacells.core.image import read_image
    from napari_hemacells.core.params import DetectParams

    if method == "learned":
        import torch

        torch.set_num_threads(threads)
    preload_detector(method)  # type: ignore[arg-type]
    image = read_image(Path(file))
    params = DetectParams(method=method)  # type: ignore[arg-type]
    walls, cpus, gaps, count = [], [], [], 0
    for _ in range(int(rounds)):
        start, busy = time.perf_counter(), time.process_time()
        count, longest = _watched(detect_steps(image, params, tile=int(tile) or None))
        walls.append(time.perf_counter() - start)
        cpus.append(time.process_time() - busy)
        gaps.append(longest)
    return {
        "method": method,
        "shape": list(image.shape),
        "tile": int(tile),
        "cells": count,
        "seconds": statistics.median(walls),
        "cpu_seconds": statistics.median(cpus),
        "longest_step": max(gaps),
        "megapixels": image.shape[0] * image.shape[1] / 1e6,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "load": os.getloadavg()[0],
    }


def _watched(steps: Generator[Progress, None, Cells]) -> tuple[int, float]:
    """Return the number of cells of the steps, and the longest time between two reports."""
    longest, last = 0.0, time.perf_counter()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return len(end.value), longest
        now = time.perf_counter()
        longest, last = max(longest, now - last), now


def _summary(runs: list[dict[str, Any]], method: str) -> dict[str, Any]:
    """Return the fit of time against area, and how the cell counts differ."""
    own = [run for run in runs if run["method"] == method]
    large = [run for run in own if run["megapixels"] > 1 and not run["tile"]]
    area = np.array([run["megapixels"] for run in large])
    fits = {}
    for name in ("seconds", "cpu_seconds"):
        time_of = np.array([run[name] for run in large])
        slope, offset = np.polyfit(area, time_of, 1)
        rest = time_of - (slope * area + offset)
        determined = 1 - float((rest**2).sum() / ((time_of - time_of.mean()) ** 2).sum())
        fits[name] = {
            "a_megapixel": float(slope), "offset": float(offset), "r2": determined,
            "exponent": float(np.polyfit(np.log(area), np.log(time_of), 1)[0]),
        }  # fmt: skip
    counts = [run["cells"] for run in own if run["tile"]]
    spread = (max(counts) - min(counts)) / max(1, *counts)
    return {"fits": fits, "counts_by_tile": counts, "spread": spread}


def _line(run: dict[str, Any]) -> str:
    rows, cols = run["shape"]
    speed, cpu = (run["megapixels"] / run[name] for name in ("seconds", "cpu_seconds"))
    return (
        f"{run['method']:10}{rows:>6} × {cols:<6} tile "
        f"{run['tile'] or 'usual':>5}  {run['cells']:>6} cells  "
        f"{run['seconds']:7.2f} s  {speed:5.2f} MP/s  ({cpu:.2f} MP per CPU "
        f"second)  peak {run['peak_mb']:5.0f} MB  longest step "
        f"{run['longest_step']:.2f} s  load {run['load']:.1f}"
    )


def _show(results: dict[str, Any]) -> None:
    for method in METHODS:
        one = results[method]
        print(f"\n{method}: cells for tiles of {TILES}: {one['counts_by_tile']}, "
              f"differ by {100 * one['spread']:.2f} %")  # fmt: skip
        for name, fit in one["fits"].items():
            print(
                f"  {name}: {fit['a_megapixel']:.3f} s per megapixel +  "
                f"{fit['offset']:.1f} s, R² {fit['r2']:.4f}, grows with area to the power "
                f"{fit['exponent']:.2f}"
            )


if __name__ == "__main__":
    main()
