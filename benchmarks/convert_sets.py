"""Write public datasets as class folders of crops: ``python benchmarks/convert_sets.py DATA OUT``.

``wbc_jiangxi`` becomes ``OUT/wbc_jiangxi/<class>/NNN.png``; ``pbc`` already has this form.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from pathlib import Path


def convert_jiangxi(source: Path, target: Path) -> dict[str, int]:
    """Return the number of images of each class, copied into class folders."""
    counts: dict[str, int] = {}
    with (source / "labels.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            folder = target / row["class"]
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / "images" / row["image"], folder / row["image"])
            counts[row["class"]] = counts.get(row["class"], 0) + 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("out", type=Path, nargs="?", default=Path("build/sets"))
    chosen = parser.parse_args()
    target = chosen.out / "wbc_jiangxi"
    print(f"{target}: {convert_jiangxi(chosen.data / 'wbc_jiangxi', target)}")


if __name__ == "__main__":
    main()
