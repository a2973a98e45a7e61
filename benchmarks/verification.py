"""Same kind or not, for kinds that nobody annotated: the protocol of the few-shot thesis on PBC.

::

    OMP_NUM_THREADS=1 python benchmarks/verification.py ../shared/data/pbc --out DIR
        [--only NAME …] [--repeats 10] [--choose] [--references] [--weights FILE]

Learns from 20 pictures of each of platelet, neutrophil, immature granulocyte, erythroblast and
eosinophil, chooses the threshold there, and tests on balanced pairs of basophil, lymphocyte and
monocyte. Each variant's figures are written to ``DIR/NAME.json``; one that is there is not
measured again. ``--choose`` measures on the training kinds alone, each two of them left out in
turn: what was chosen was chosen so. ``--references`` prints the thresholds of the vectors as they
are, over all kinds (:func:`~napari_hemacells.core.classify.verification.default_likeness`).
``--weights`` measures an encoder of ``training/train_encoder.py``, such as one trained with
``--sources pbc --without basophil lymphocyte monocyte``.
"""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from napari_hemacells.core.classify.verification import likeness_of_pairs, pair_distances
from napari_hemacells.core.encode import Encoder, load_encoder
from napari_hemacells.core.encode.builtin import load_blood_encoder
from napari_hemacells.core.evaluate import read_folder
from napari_hemacells.core.malloc import keep_freed_memory
from napari_hemacells.core.params import SiameseParams
from napari_hemacells.core.train.siamese.verification import verification_steps
from napari_hemacells.core.types import CropSpec
from napari_hemacells.core.types.progress import run_to_end

TRAIN = ("platelet", "neutrophil", "ig", "erythroblast", "eosinophil")
TEST = ("basophil", "lymphocyte", "monocyte")
REFERENCE_CELLS = 50


class Variant(NamedTuple):
    """What is measured: parameters, encoder, turns, and most repeats that are worth the time."""

    params: dict[str, Any]
    encoder: str | Encoder = "imagenet"
    turns: int = 4
    most: int = 100


VARIANTS = {
    "thesis": Variant({"network": "thesis"}),
    "imagenet-plain": Variant({"network": "distance"}, turns=1),
    "imagenet": Variant({"network": "distance"}),
    "imagenet-head": Variant({"network": "head"}, turns=1),
    "imagenet-head-triplet": Variant({"network": "head", "loss": "triplet"}, turns=1),
    "imagenet-head-similarity": Variant({"network": "head", "loss": "multi-similarity"}, turns=1),
    "bundled": Variant({"network": "distance"}, "bundled"),  # has seen the test kinds
}


def main() -> None:
    """Measure, write, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--references", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    if options.references:
        print_references(options.folder)
        return
    if options.weights is not None:
        encoder = load_blood_encoder(options.weights, "cpu")
        variant = Variant({"network": "distance"}, encoder, turns=1)
        many = {"repeats": options.repeats, "per_class": options.per_class}
        print(row(options.weights.stem, measure(options.folder, variant, TRAIN, TEST, **many)))
        return
    for name in options.only:
        if options.choose:
            print(name, choosing(options.folder, VARIANTS[name], options), flush=True)
        else:
            print(row(name, measured(name, options)), flush=True)


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    file = options.out / f"{name}.json"
    if not file.exists():
        repeats = min(options.repeats, VARIANTS[name].most)
        many = {"repeats": repeats, "per_class": options.per_class}
        record = measure(options.folder, VARIANTS[name], TRAIN, TEST, **many)
        file.write_text(json.dumps(record, indent=1))
    record = json.loads(file.read_text())
    return dict(record)


def measure(
    folder: Path,
    variant: Variant,
    train: tuple[str, ...],
    test: tuple[str, ...],
    *,
    repeats: int,
    per_class: int,
) -> dict[str, Any]:
    steps = verification_steps(
        folder,
        train,
        test,
        per_class=per_class,
        repeats=repeats,
        encoder=variant.encoder,
        params=SiameseParams(**variant.params),
        turns=variant.turns,
    )
    return run_to_end(steps).to_dict()


def choosing(folder: Path, variant: Variant, options: argparse.Namespace) -> str:
    """Return the mean over each two training kinds left out; the test kinds are not looked at."""
    records = [
        measure(
            folder,
            variant,
            tuple(name for name in TRAIN if name not in out),
            out,
            repeats=options.repeats,
            per_class=options.per_class,
        )
        for out in combinations(TRAIN, 2)
    ]
    means = [float(np.mean([record[key] for record in records])) for key in ("accuracy", "auroc")]
    return f"accuracy {means[0]:.3f}, AUROC {means[1]:.3f}"


def row(name: str, record: dict[str, Any]) -> str:
    low, high = record["ci95"]
    kinds = ", ".join(f"{key} {share:.2f}" for key, share in record["accuracy_by_kinds"].items())
    return (
        f"| {name} | {record['seen']} | {record['accuracy']:.3f} ({low:.3f} to {high:.3f}) | "
        f"{record['auroc']:.3f} | {record['repeats']} | {kinds} |"
    )


def print_references(folder: Path) -> None:
    for name in ("imagenet", "bundled", "blood-2"):
        read = read_folder(folder, CropSpec(), load_encoder(name))
        labels, random = np.array(read.labels), np.random.default_rng(0)
        rows = [
            random.permutation(np.flatnonzero(labels == kind))[:REFERENCE_CELLS]
            for kind in np.unique(labels)
        ]
        chosen = np.concatenate(rows)
        distances, same = pair_distances(read.vectors[chosen], labels[chosen])
        found = likeness_of_pairs(distances, same, "")
        print(name, f"{found.threshold:.3f} {found.middle:.3f} {found.slope:.1f}", flush=True)


if __name__ == "__main__":
    main()
