"""Speed of one process against two: 50 fields, one of them damaged, detected and classified.

::

    python benchmarks/cluster.py --data ../shared/data --workers 2

Runs the command line as a user does, start-up included, one setting after the other; checks that
the results are the same bytes, and prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image


def fields(folder: Path, data: Path, number: int) -> None:
    """Link this many BCCD fields into the folder; the last is damaged."""
    folder.mkdir()
    names = (data / "bccd" / "val.txt").read_text().split()[: number - 1]
    for name in names:
        (folder / f"{name}.jpg").symlink_to((data / "bccd" / "images" / f"{name}.jpg").resolve())
    (folder / "damaged.jpg").write_bytes(b"no picture")


def crops(folder: Path, data: Path) -> None:
    """Copy some cells of two classes, to fit a model."""
    for kind in ("lymphocyte", "neutrophil"):
        (folder / kind).mkdir(parents=True)
        for file in sorted((data / "pbc" / kind).glob("*.jpg"))[:10]:
            Image.open(file).save(folder / kind / f"{file.stem}.png")


def timed(*arguments: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Seconds that the command took, and its exit code."""
    program = "from napari_hemacells.cli import main; main()"
    start = time.perf_counter()
    done = subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    return time.perf_counter() - start, done


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def compare(command: list[str], folder: Path, workers: int) -> dict[str, object]:
    """Seconds with one process and with several; the results must be the same."""
    result: dict[str, object] = {}
    for number in (0, workers):
        out = folder / f"{command[0]}{number}"
        told = folder / "told.json"
        arguments = ["--out", str(out), "--workers", str(number), "--json", str(told)]
        seconds, done = timed(*command, *arguments)
        assert done.returncode == 3, done.stderr
        said = json.loads(told.read_text())
        assert [Path(one["image"]).name for one in said["failed"]] == ["damaged.jpg"]
        result[f"seconds_{max(number, 1)}"] = round(seconds, 1)
        result["images"] = len(said["images"])
    first, second = (written(folder / f"{command[0]}{number}") for number in (0, workers))
    assert first == second
    one, several = float(str(result["seconds_1"])), float(str(result[f"seconds_{workers}"]))
    return {**result, "times_as_fast": round(one / several, 2), "same_bytes": True}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fields(folder / "fields", given.data, given.images)
        crops(folder / "crops", given.data)
        _, fitted = timed("fit", str(folder / "crops"), "--out", str(folder / "model"))
        assert fitted.returncode == 0, fitted.stderr
        images = str(folder / "fields")
        model = ["--model", str(folder / "model"), "--allow-other-scale"]
        print(json.dumps({
            "detect": compare(["detect", images], folder, given.workers),
            "classify": compare(["classify", images, *model], folder, given.workers),
        }))  # fmt: skip


if __name__ == "__main__":
    main()
