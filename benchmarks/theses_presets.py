"""Each preset of the theses run once, at a size that two cores bear.

::

    OMP_NUM_THREADS=1 python benchmarks/theses_presets.py ../shared/data --out DIR
        [--a-class 20] [--size 64] [--batch 16] [--only anomalies resnet]

What is not the preset's is said in each row: fewer pictures, smaller ones, a smaller batch, and
the EfficientNet with ImageNet weights that comes with the package where a ResNet's could not be
had (``vit``: a ViT-tiny from nothing). Such a run shows that a preset does what it says and
learns; its figures are no measure of the thesis. PBC has no patients: cells of one may be in
two parts. Thermograms are split by patient, living and dead cells by field.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from PIL import Image

from four_conditions import live_dead
from napari_hemacells.core.evaluate import list_class_folders
from napari_hemacells.core.files.text_tables import write_table
from napari_hemacells.core.malloc import keep_freed_memory
from napari_hemacells.core.train.classifier import preset_config
from napari_hemacells.core.train.classifier.pipeline import train
from napari_hemacells.core.train.classifier.training import TrainJob

PACKAGED = {"arch": "bundled", "weights": "imagenet"}
VIT = {"arch": "vit_tiny_patch16_224", "weights": "none", "lower": 1.0}
CHANGES: dict[str, dict[str, Any]] = {
    "anomalies": PACKAGED,
    "resnet": PACKAGED,
    "vit": VIT,
    "vit-mixup": VIT,
    "five-shot": PACKAGED,
    "thermograms": PACKAGED,
    "alive-dead": {"epochs": 4},
}


def main() -> None:
    """Write the pictures, train with each preset, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--a-class", type=int, default=20)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--only", nargs="+", default=list(CHANGES))
    chosen = parser.parse_args()
    keep_freed_memory()
    rows: dict[str, dict[str, Any]] = {}
    for name in chosen.only:
        folder = chosen.out / name
        folder.mkdir(parents=True, exist_ok=True)
        source = _pictures(name, chosen, folder)
        changes = CHANGES[name] | {"size": chosen.size, "batch": chosen.batch}
        if name != "five-shot":
            changes["test"] = 0.2
        outcome = train(TrainJob(source, folder / "run", preset_config(name, changes), name))
        test = outcome.figures["test"]
        rows[name] = {
            "changed": changes,
            "pictures": outcome.split,
            "began with": outcome.weights,
            "epochs": len(outcome.history),
            "test": {key: test[key] for key in ("n", "accuracy", "balanced_accuracy")},
            "first loss": outcome.history[0].train_loss,
            "last loss": outcome.history[-1].train_loss,
            "seconds": round(outcome.seconds),
        }
        print(_row(name, rows[name]), flush=True)
        (chosen.out / "presets.json").write_text(json.dumps(rows, indent=1))


def _pictures(name: str, chosen: argparse.Namespace, folder: Path) -> Path:
    """Return the folder or table of the preset's pictures."""
    random = np.random.default_rng(0)
    if name == "thermograms":
        return _thermograms(chosen.data / "dmr_ir", folder / "frames")
    if name == "alive-dead":
        found = live_dead(chosen.data)
        rows = []
        for label in np.unique(found.labels):
            own = random.permutation(np.flatnonzero(found.labels == label))[: 4 * chosen.a_class]
            for place in own:
                file = folder / "cells" / f"{label}-{place}.png"
                file.parent.mkdir(exist_ok=True)
                Image.fromarray(found.crops[place]).save(file)
                rows.append((str(file.resolve()), label, f"field {found.groups[place]}"))
    else:
        rows = [
            (str(files[place]), label, "")
            for label, files in list_class_folders((chosen.data / "pbc").resolve()).items()
            for place in random.permutation(len(files))[: chosen.a_class]
        ]
    write_table(folder / "cells.csv", ("path", "label", "group"), rows)
    return folder / "cells.csv"


def _thermograms(source: Path, folder: Path) -> Path:
    """Write every exam as a thermogram of floats in a class folder; return the table."""
    frames = np.load(source / "exams_centidegrees.npz")
    rows = []
    for exam in pd.read_csv(source / "exams.csv").itertuples():
        file = folder / f"{str(exam.exam).rpartition('.')[0]}.celsius.tif"
        file.parent.mkdir(parents=True, exist_ok=True)
        celsius = (frames[exam.exam] / 100).astype(np.float32)
        tifffile.imwrite(file, celsius[::2, ::2])
        rows.append((str(file.resolve()), exam.label, f"patient {exam.patient}"))
    write_table(folder / "frames.csv", ("path", "label", "group"), rows)
    return folder / "frames.csv"


def _row(name: str, row: dict[str, Any]) -> str:
    accuracy, balanced = (row["test"][key] for key in ("accuracy", "balanced_accuracy"))
    changed = ", ".join(f"{key} {value}" for key, value in row["changed"].items())
    return (
        f"| {name} | {changed} | {row['pictures'].split(';')[0]} | {row['epochs']} | "
        f"{row['first loss']:.2f} → {row['last loss']:.2f} | {_figure(accuracy)} | "
        f"{_figure(balanced)} | {row['seconds']} |"
    )


def _figure(figure: dict[str, float | None]) -> str:
    value, low, high = (figure[key] for key in ("value", "low", "high"))
    if value is None:
        return "–"
    return f"{value:.2f}" + ("" if low is None else f" ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
