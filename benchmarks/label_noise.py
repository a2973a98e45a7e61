"""Detection of wrong labels that were added on purpose: ``python … ../shared/data``.

5 % of PBC's crops get another class, drawn at random, in several repeats. The figure is the share
of them among the first 8 % of the list of suspected wrong labels. The labels are judged by linear
heads on a frozen encoder with cross-validation (``--encoders``), and by networks fine-tuned on
the wrong labels of the other folds (``--network imagenet``). The bundled encoder was trained on
PBC's true labels: its figure is not a test, and is marked as such.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.encode import EmbeddingCache, load_encoder
from napari_hemacells.core.evaluate.class_folders import ClassFolder, read_folder
from napari_hemacells.core.train.classifier import preset_config
from napari_hemacells.core.train.classifier.cross_validation import cross_validate_steps
from napari_hemacells.core.train.classifier.dataset import Example
from napari_hemacells.core.train.classifier.label_noise import (
    LabelCheck,
    check_embedding_labels,
    check_out_of_fold,
)
from napari_hemacells.core.train.classifier.training import TrainJob
from napari_hemacells.core.types import CropSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

WRONG, LOOKED_AT = 0.05, 0.08


def flip(labels: list[str], seed: int) -> tuple[list[str], NDArray[np.intp]]:
    """Return the labels with 5 % of them wrong, and their indices."""
    random = np.random.default_rng(seed)
    classes = sorted(set(labels))
    wrong = random.choice(len(labels), round(WRONG * len(labels)), replace=False)
    given = list(labels)
    for place in wrong:
        given[place] = random.choice([one for one in classes if one != labels[place]])
    return given, wrong


def found_share(check: LabelCheck, wrong: set[str]) -> dict[str, float]:
    """Return the share of wrong labels in the first 8 %, and what is flagged."""
    first = {one.name for one in check.suspects[: round(LOOKED_AT * len(check.suspects))]}
    flagged = {one.name for one in check.suspects if one.flagged}
    return {
        "found": len(first & wrong) / len(wrong),
        "flagged": float(len(flagged)),
        "flagged rightly": len(flagged & wrong) / max(1, len(flagged)),
    }


def told(what: str, rows: list[dict[str, float]]) -> None:
    """Print the mean over the seeds, and the minimum."""
    shares = [one["found"] for one in rows]
    right = np.mean([one["flagged rightly"] for one in rows])
    flagged = np.mean([one["flagged"] for one in rows])
    print(f"{what}: {np.mean(shares):.3f} of the wrong labels in the first "
f"{LOOKED_AT:.0%} (minimum of {len(rows)} draws {min(shares):.3f}); "
f"{flagged:.0f} flagged, {right:.2f} of them correctly", flush=True)  # fmt: skip


def by_heads(folder: ClassFolder, seeds: int) -> list[dict[str, float]]:
    """Return the result of linear heads, by draw."""
    rows = []
    for seed in range(seeds):
        given, wrong = flip(list(folder.labels), seed)
        items = [
            Example(file, label, name=str(file))
            for file, label in zip(folder.files, given, strict=True)
        ]
        check = check_embedding_labels(folder.vectors, items, seed=seed)
        rows.append(found_share(check, {str(folder.files[place]) for place in wrong}))
    return rows


def some_of_each(pbc: Path, most: int) -> list[Path]:
    """Return at most this many images of each class."""
    classes = sorted(one for one in pbc.resolve().iterdir() if one.is_dir())
    return [file for one in classes for file in sorted(one.glob("*.jpg"))[:most]]


def by_network(
    files: list[Path], weights: str, changes: dict[str, object], folds: int, seed: int
) -> dict[str, float]:
    """Return the result of networks fine-tuned on the wrong labels of the other folds."""
    given, wrong = flip([one.parent.name for one in files], seed)
    folder = Path(tempfile.mkdtemp())
    with (folder / "noisy.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(("path", "label"))
        rows.writerows(zip(files, given, strict=True))
    recipe = preset_config("quick", {"weights": weights, "seed": seed, **changes})
    job = TrainJob(folder / "noisy.csv", folder / "run", recipe)
    for report in cross_validate_steps(job, folds):
        if report.metrics:
            print(f"  {report.message}", flush=True)
    return found_share(check_out_of_fold(folder / "run"), {str(files[place]) for place in wrong})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--encoders", nargs="*", default=["imagenet", "bundled"])
    parser.add_argument(
        "--network", choices=("imagenet", "bundled"), help="initial weights of the networks"
    )
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--most", type=int, default=600, help="crops per class, for the networks")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    options = parser.parse_args()
    pbc, cache = options.data / "pbc", EmbeddingCache(Path(tempfile.gettempdir()) / "label_noise")
    for name in options.encoders:
        judge = load_encoder(name, options.device)
        folder = read_folder(pbc, CropSpec(), judge, cache)
        began = time.monotonic()
        rows = by_heads(folder, options.seeds)
        seconds = (time.monotonic() - began) / options.seeds
        told(f"heads on {name} (has seen: {judge.info.seen}), {seconds:.1f} s a check", rows)
    if options.network:
        changes = {"epochs": options.epochs, "device": options.device, "tta": 0}
        files = some_of_each(pbc, options.most)
        rows = [
            by_network(files, options.network, changes, options.folds, seed)
            for seed in range(options.seeds)
        ]
        seen = "ImageNet" if options.network == "imagenet" else "PBC's true labels before"
        told(f"networks fine-tuned from {options.network} weights (trained on: {seen}) "
f"on {len(files)} crops, {options.folds} folds, {options.epochs} epochs "
"of the body",
             rows)  # fmt: skip


if __name__ == "__main__":
    main()
