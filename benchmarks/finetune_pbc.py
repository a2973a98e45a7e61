"""Fine-tuning on class folders: ``python benchmarks/finetune_pbc.py DATA/pbc --recipe thorough``.

Trains as ``hemacells train`` does and prints the figures of the validation part, wall and CPU
seconds, and peak memory. With ``--sub-classes``, PBC's file names give 13 classes.
"""

from __future__ import annotations

import argparse
import csv
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from napari_hemacells.core.malloc import keep_freed_memory
from napari_hemacells.core.train.classifier import preset_config
from napari_hemacells.core.train.classifier.pipeline import train_steps
from napari_hemacells.core.train.classifier.training import TrainJob

SUB_CLASSES = {"neutrophil": ("BNE", "SNE"), "ig": ("MMY", "PMY", "MY")}


def sub_class(file: Path) -> str:
    """Return the class, with the sub-class if the file's name begins with one."""
    known = SUB_CLASSES.get(file.parent.name, ())
    found = next((one for one in known if file.name.upper().startswith(one)), "")
    return f"{file.parent.name} {found}".strip()


def with_sub_classes(folder: Path, table: Path) -> Path:
    """Write a table of the folder's images with their sub-classes."""
    with table.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(("path", "label"))
        rows.writerows(
            (file.resolve(), sub_class(file)) for file in sorted(folder.glob("*/*.jpg"))
        )
    return table


def in_words(part: str, figures: dict[str, Any]) -> str:
    """Return the overall figures with their intervals."""
    told = []
    for name in ("accuracy", "kappa", "balanced_accuracy", "macro_f1"):
        value, low, high = figures[name].values()
        told.append(f"{name} {value:.4f} ({low:.4f} to {high:.4f})")
    return f"{part} (n = {figures['n']}): {', '.join(told)}, ECE {figures['ece']:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--weights", default="auto", help="imagenet: never saw PBC")
    parser.add_argument("--sub-classes", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--test", type=float, default=0.0)
    options = parser.parse_args()
    keep_freed_memory()  # as the command's own process does
    out = options.out or Path(tempfile.mkdtemp())
    out.mkdir(parents=True, exist_ok=True)
    source = options.folder.resolve()
    if options.sub_classes:
        source = with_sub_classes(source, out / "sub_classes.csv")
    recipe = preset_config(options.recipe, {"test": options.test, "weights": options.weights})
    began, before = time.monotonic(), time.process_time()
    steps = train_steps(TrainJob(source, out, recipe))
    while True:
        try:
            report = next(steps)
        except StopIteration as end:
            outcome = end.value
            break
        if report.metrics:
            told = ", ".join(f"{name} {value:.4f}" for name, value in report.metrics.items())
            print(f"{time.monotonic() - began:7.0f} s  {report.message}: {told}", flush=True)
    for part, figures in outcome.figures.items():
        print(in_words(part, figures))
        if "tta" in figures:
            print(in_words(f"{part}, averaged over copies", figures["tta"]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{time.monotonic() - began:.0f} s wall, {time.process_time() - before:.0f} s of CPU,")
    print(f"{peak:.0f} MB at most. Started from {outcome.weights}. {outcome.split}. {out}")


if __name__ == "__main__":
    main()
