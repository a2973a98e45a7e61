"""Detection of a large image, killed half-way and resumed: the same cells, less work.

::

    python benchmarks/kill_and_resume.py [--image FILE] [--method learned] [--at 0.5] [--json FILE]

``hemacells detect`` runs three times in its own processes: once without interruption; once until
the given share of the parts is on disk, then ``kill -9``; and once more in the folder of the
killed run. The last table must have the same bytes as the first, and no part that was finished
before the kill may have been written again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHAPE = (6000, 11000)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}


def main() -> None:
    """Run the three detections and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, help="any large image; default: one is rendered")
    parser.add_argument("--method", default="learned", choices=("learned", "classical"))
    parser.add_argument("--at", type=float, default=0.5, help="share of the parts before the kill")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        result = measure(options.image or _painted(folder), folder, options.method, options.at)
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


def measure(image: Path, folder: Path, method: str, share: float) -> dict[str, object]:
    """Return seconds, parts and whether the tables are the same."""
    began = time.perf_counter()
    _start(image, folder / "peace", method).wait()
    in_peace = time.perf_counter() - began
    parts = _parts_of(image, method)
    killed_after, kept = _kill(image, folder / "killed", method, round(share * parts))
    began = time.perf_counter()
    again = _start(image, folder / "killed", method)
    rewritten = _watch(again, folder / "killed", kept)
    resumed = time.perf_counter() - began
    tables = [_table(folder / name) for name in ("peace", "killed")]
    return {
        "image": image.name, "method": method, "parts": parts,
        "seconds_in_peace": round(in_peace, 1),
        "killed_after_seconds": round(killed_after, 1), "parts_on_disk_then": len(kept),
        "seconds_to_resume": round(resumed, 1), "parts_written_again": rewritten,
        "cells": tables[0][1], "same_table": tables[0] == tables[1],
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def _painted(folder: Path) -> Path:
    from napari_hemacells.samples.mosaic import smear_mosaic

    file = folder / "smear.ome.tif"
    smear_mosaic(file, SHAPE)
    return file


def _start(image: Path, out: Path, method: str) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).with_name("hemacells")), "detect", str(image)]
    command += ["--out", str(out), "--method", method, "--workers", "1", "--quiet", "--skip-done"]
    return subprocess.Popen(command, env=ENVIRONMENT)  # noqa: S603


def _parts_of(image: Path, method: str) -> int:
    """Return how many parts the plan of this image has."""
    from napari_hemacells.core.detect.pipeline import plan_steps
    from napari_hemacells.core.image import read_image
    from napari_hemacells.core.params import DetectParams
    from napari_hemacells.core.types.progress import run_to_end

    params = DetectParams(method=method)  # type: ignore[arg-type]
    return len(run_to_end(plan_steps(read_image(image), params)).parts)


def _done(out: Path) -> dict[Path, int]:
    """Return the finished parts on disk and when each was written."""
    found = {}
    for file in out.rglob("*.npz"):
        try:
            found[file] = file.stat().st_mtime_ns
        except FileNotFoundError:
            continue  # given its final name just now
    return found


def _kill(image: Path, out: Path, method: str, parts: int) -> tuple[float, dict[Path, int]]:
    """Return when the process was killed and what it had finished by then."""
    began = time.perf_counter()
    process = _start(image, out, method)
    while len(_done(out)) < parts:
        if process.poll() is not None:
            message = "The detection ended before it could be killed: give a smaller --at."
            raise SystemExit(message)
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return time.perf_counter() - began, _done(out)


def _watch(process: subprocess.Popen[bytes], out: Path, kept: dict[Path, int]) -> int:
    """Return how many finished parts were written a second time before the process ended."""
    again = set()
    while process.poll() is None:
        now = _done(out)
        again |= {file for file, at in kept.items() if file in now and now[file] != at}
        time.sleep(0.05)
    return len(again)


def _table(out: Path) -> tuple[str, int]:
    """Return the hash and the number of rows of the table of cells."""
    (file,) = out.glob("*.cells.csv")
    content = file.read_bytes()
    return hashlib.sha256(content).hexdigest(), content.count(b"\n") - 1


if __name__ == "__main__":
    main()
