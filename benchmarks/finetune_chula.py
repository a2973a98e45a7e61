"""Red-cell anomalies: ``python benchmarks/finetune_chula.py DATA --out DIR [--compare ARCH …]``.

Chula's red cells are cut around their centres; the classes are those with at least 50 cells,
without the uncategorised. Training uses only the training blocks of files, and its validation
part consists of whole blocks. The figures are those of the held-out blocks (files 40-59, 140-159,
240-259), which no training of this project has seen, the bundled encoder's included.

``--compare`` trains each architecture (``hemacells train … --compare``) on at most ``--most``
crops per class and writes its table. Without it, the bundled encoder is fine-tuned on all crops,
with class weights (``--sampling weights``) or without.
"""

from __future__ import annotations

import argparse
import csv
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blood_sets import UNCATEGORISED, chula_points, cut_chula
from napari_hemacells.core.evaluate.held_out import CHULA_BLOCK, is_held_out_chula
from napari_hemacells.core.malloc import keep_freed_memory
from napari_hemacells.core.store import load_bundle
from napari_hemacells.core.train.classifier import preset_config
from napari_hemacells.core.train.classifier.benchmark import compare_architectures_steps
from napari_hemacells.core.train.classifier.pipeline import train_steps
from napari_hemacells.core.train.classifier.training import TrainJob
from napari_hemacells.core.train.evaluate_bundle import evaluate_bundle_steps

if TYPE_CHECKING:
    from collections.abc import Generator

LEAST = 50
NAMES = (
    "normal",
    "macrocyte",
    "microcyte",
    "spherocyte",
    "target cell",
    "stomatocyte",
    "ovalocyte",
    "teardrop",
    "burr cell",
    "schistocyte",
    "uncategorised",
    "hypochromia",
    "elliptocyte",
)


def write_crops(data: Path, out: Path, most: int | None) -> tuple[Path, Path]:
    """Return a table of the training crops, and a folder of the held-out crops."""
    points = chula_points(data)
    counts = {kind: sum(one.kind == kind for one in points) for kind in range(len(NAMES))}
    kept = [one for one in points if counts[one.kind] >= LEAST and one.kind != UNCATEGORISED]
    table, test = out / "train.csv", out / "held_out"
    rows = []
    for kind in sorted({one.kind for one in kept}):
        own = [one for one in kept if one.kind == kind]
        learned = [one for one in own if not is_held_out_chula(one.number)]
        order = np.random.default_rng(0).permutation(len(learned))[:most]
        for one in (learned[place] for place in sorted(order.tolist())):
            file = cut_chula(data, out / "train" / NAMES[kind], one)
            rows.append((file.resolve(), NAMES[kind], f"block {one.number // CHULA_BLOCK}"))
        for one in own:
            if is_held_out_chula(one.number):
                cut_chula(data, test / NAMES[kind], one)
    with table.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("path", "label", "group"), *rows])
    print({NAMES[kind]: counts[kind] for kind in sorted({one.kind for one in kept})})
    return table, test


def told(steps: Generator[Any, None, Any]) -> Any:
    """Return the result of the steps; print one line per epoch."""
    began = time.monotonic()
    while True:
        try:
            report = next(steps)
        except StopIteration as end:
            return end.value
        if report.metrics:
            words = ", ".join(f"{name} {value:.4f}" for name, value in report.metrics.items())
            print(f"{time.monotonic() - began:7.0f} s  {report.message}: {words}", flush=True)


def main() -> None:
    """Cut the crops, train, evaluate on the held-out blocks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--compare", nargs="+", default=[])
    parser.add_argument("--most", type=int, help="crops per class; default: all")
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--sampling", default="none")
    parser.add_argument("--size", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument(
        "--rate", type=float, help="learning rate of the head; default: the recipe's"
    )
    options = parser.parse_args()
    keep_freed_memory()  # as the command's own process does
    options.out.mkdir(parents=True, exist_ok=True)
    table, test = write_crops(options.data, options.out, options.most)
    given = ("size", "epochs", "rate", "weights", "sampling")
    changes = {name: getattr(options, name) for name in given}
    recipe = preset_config(
        options.recipe, {key: value for key, value in changes.items() if value is not None}
    )
    job = TrainJob(table, options.out, recipe, name=options.out.name)
    if options.compare:
        print(told(compare_architectures_steps(job, options.compare)).as_markdown())
        return
    outcome = told(train_steps(job))
    bundle = load_bundle(outcome.model)
    found = told(evaluate_bundle_steps(bundle, test, bundle.make_encoder("auto"))).figures
    for name in ("accuracy", "balanced_accuracy", "kappa", "macro_f1"):
        value, low, high = found[name].values()
        print(f"held-out blocks, {name}: {value:.3f} ({low:.3f} to {high:.3f})")
    for name, one in found["classes"].items():
        print(
            f"  {name:14} n {one['n']:5}  F1 {one['f1']['value']:.3f}  recall "
            f"{one['recall']['value']:.3f}  precision {one['precision']['value']:.3f}"
        )
    often = [one["f1"]["value"] for one in found["classes"].values() if one["n"] >= LEAST]
    print(
        f"macro-F1 over the {len(often)} classes with {LEAST} held-out cells or more: "
        f"{np.mean(often):.3f}"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{outcome.seconds:.0f} s, {time.process_time():.0f} s of CPU, {peak:.0f} MB at most")
    print(f"{outcome.weights}. {outcome.split}")


if __name__ == "__main__":
    main()
