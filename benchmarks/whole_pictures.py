"""``classify --whole`` end to end: ``python benchmarks/whole_pictures.py DATA/pbc --out DIR``.

Sorts pictures of each class into a part to learn from and a part to be asked about, runs the
commands ``fit``, ``train`` and ``classify --whole`` on them as a user does, and prints a table of
their accuracy with Wilson intervals. An unknown picture counts as wrong in the first column, by
its most probable class in the second.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from scipy.stats import binomtest

COMMAND = [sys.executable, "-c", "from napari_hemacells.cli import main; main()"]
UNKNOWN = "(unknown)"


def split(source: Path, out: Path, learn: int, ask: int) -> None:
    """Link pictures into ``learn`` and ``ask``, drawn by a hash of their names."""
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        files = sorted(
            (path for path in folder.iterdir() if path.is_file()),
            key=lambda path: hashlib.sha256(path.name.encode()).hexdigest(),
        )
        parts = {"learn": files[:learn], "ask": files[learn : learn + ask]}
        for part, chosen in parts.items():
            (out / part / folder.name).mkdir(parents=True, exist_ok=True)
            for file in chosen:
                link = out / part / folder.name / file.name
                if not link.exists():
                    link.symlink_to(file.resolve())


def run(*arguments: object) -> float:
    """Run a command of hemacells; return its seconds."""
    began = time.monotonic()
    subprocess.run([*COMMAND, *map(str, arguments)], check=True)  # noqa: S603  # our own command
    return time.monotonic() - began


def accuracy(right: int, total: int) -> str:
    interval = binomtest(right, total).proportion_ci(method="wilson")
    return f"{right / total:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def row(name: str, table: Path, seconds: tuple[float, float]) -> str:
    with table.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    truth = [Path(one["file"]).parent.name for one in rows]
    shown = sum(one["class"] == label for one, label in zip(rows, truth, strict=True))
    nearest = sum(one["predicted"] == label for one, label in zip(rows, truth, strict=True))
    unknown = sum(one["class"] == UNKNOWN for one in rows)
    cells = [name, f"{len(rows)}", accuracy(shown, len(rows)), accuracy(nearest, len(rows)),
             f"{unknown}", f"{seconds[0]:.0f} s", f"{seconds[1]:.0f} s"]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="class folders of pictures of one cell each")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--learn", type=int, default=150, help="pictures a class")
    parser.add_argument("--ask", type=int, default=50, help="pictures a class")
    parser.add_argument("--epochs", type=int, default=2, help="of the fine-tuned models")
    parser.add_argument("--only", default="", help="models whose name has this")
    options = parser.parse_args()
    split(options.folder, options.out, options.learn, options.ask)
    learn, ask = options.out / "learn", options.out / "ask"
    quick = ["train", learn, "--recipe", "quick", "--epochs", options.epochs, "--no-report"]
    models = {
        "few-shot head, bundled encoder": ["fit", learn],
        "few-shot head, ImageNet encoder": ["fit", learn, "--encoder", "imagenet"],
        "fine-tuned, bundled encoder": quick,
        "fine-tuned, ImageNet weights": [*quick, "--weights", "imagenet"],
    }
    print(
        "| model | pictures | accuracy | accuracy, nearest class | unknown | learning | asking |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name, arguments in models.items():
        if options.only not in name:
            continue
        folder = options.out / name.replace(", ", " ").replace(" ", "-")
        model = folder / "model"
        target = folder if arguments[0] == "train" else model
        learning = run(*arguments, "--out", target, "--quiet")
        asked = folder / "asked"
        asking = run("classify", "--whole", ask, "--model", model, "--out", asked, "--quiet")
        print(row(name, asked / "cells.csv", (learning, asking)), flush=True)
    print(f"{os.cpu_count()} cores; load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
