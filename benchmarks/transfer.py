"""Few annotated cells of a laboratory, or of a kind, that an encoder has not met.

``python benchmarks/transfer.py [DATA] [--file NAME=FILE ...] [--tasks ...]`` prints a Markdown
table: balanced accuracy at 1, 5 and 10 annotated cells a class with the middle 95 % of the draws,
and the expected calibration error, by the head of the package on the annotated cells alone. The
rows are encoders: ImageNet, the bundled ones, and those in files that
``training/train_encoder.py`` wrote, such as one trained without a laboratory (``--sources``) or
without kinds of cells (``--without``). Vectors are kept in the temporary folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from laboratory_sets import CropSet, Vectors, encode
from napari_hemacells.core.encode import Encoder, choose_device, load_encoder
from napari_hemacells.core.encode.builtin import load_blood_encoder
from napari_hemacells.core.evaluate import percentile_interval
from napari_hemacells.core.evaluate.fewshot import EmbeddedCrops, score_draw, select_shots
from napari_hemacells.core.params import ClassifyParams
from transfer_sets import KEPT, LEFT_OUT, MONONUCLEAR, transfer_sets

BLAST = "young"
TASKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Jiangxi, white cells": ("jiangxi", ()),
    "Raabin, white cells": ("raabin", ()),
    "Raabin, other slides": ("raabin other slides", ()),
    "Chula, white cells": ("chula white", ()),
    "PBC, sub-classes": ("pbc", ()),
    "PBC, four immature kinds": ("pbc immature", LEFT_OUT),
    "PBC, those and lymphocyte, monocyte": ("pbc immature", (*LEFT_OUT, *MONONUCLEAR)),
    "PBC, young cells or lymphocyte": ("pbc immature", (BLAST, "LY")),
    "Chula, red cells": ("chula red", ()),
}
FEWEST = 8  # cells of a class
YOUNG = ("MY", "PMY")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--encoders", nargs="*", default=["imagenet", "bundled", "blood-2"])
    parser.add_argument("--file", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument(
        "--turns", type=int, help="quarter turns of those in files, by default as they say"
    )
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5, 10])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument(
        "--unlabelled",
        action="store_true",
        help="learn from the other cells too, as in the dock",
    )
    chosen = parser.parse_args()
    device = choose_device("auto").name
    encoders: dict[str, Encoder] = {name: load_encoder(name) for name in chosen.encoders}
    for named in chosen.file:
        name, _, file = named.partition("=")
        encoders[name] = load_blood_encoder(Path(file), device, chosen.turns)
    sets = transfer_sets(chosen.data)
    shots = " | ".join(f"{n} shot{'s' * (n > 1)}" for n in chosen.shots)
    errors = ", ".join(map(str, chosen.shots))
    print(f"| cells | encoder | {shots} | ECE at {errors} |\n{'|---' * (3 + len(chosen.shots))}|")
    for task in chosen.tasks:
        for name, by in encoders.items():
            crops = of_task(task, vectors(sets[TASKS[task][0]], by), unlabelled=chosen.unlabelled)
            print(
                f"| {task} | {name} | {figures(crops, chosen.shots, chosen.repeats)} |", flush=True
            )
    learned = "with unlabelled cells" if chosen.unlabelled else "annotated cells alone"
    print(f"\n{chosen.repeats} draws, seed 0; {learned}; all others of the set scored.")
    for name, by in encoders.items():
        print(f"{name} ({by.info.name}, {by.info.sha256[:12]}) has seen: {by.info.seen}.")


def vectors(found: CropSet, by: Encoder) -> Vectors:
    """Return the embeddings of a set, kept by the encoder's weights and readout."""
    name = by.info.name.replace(" ", "-").replace(",", "")
    file = KEPT / f"{found.name.replace(' ', '-')}-{name}-{by.info.sha256[:12]}.npy"
    if file.exists():
        return Vectors(np.load(file), found.labels)
    made = encode(found, by)
    np.save(file, made.rows)
    return made


def of_task(task: str, found: Vectors, *, unlabelled: bool = False) -> EmbeddedCrops:
    """Return the cells of a task's classes, or of all classes that have enough."""
    _, classes = TASKS[task]
    labels = found.labels.astype(object)
    if BLAST in classes:
        labels[np.isin(labels, YOUNG)] = BLAST
    names, counts = np.unique(labels.astype(str), return_counts=True)
    kept = np.isin(labels.astype(str), classes or names[counts > FEWEST])
    params = ClassifyParams(unlabelled=unlabelled)
    return EmbeddedCrops(found.rows[kept], labels[kept].astype(str), params)


def figures(crops: EmbeddedCrops, shots: list[int], repeats: int) -> str:
    """Return the cells of a row of the table."""
    told, errors = [], []
    for count in shots:
        drawn = []
        for draw in range(repeats):
            random = np.random.default_rng([0, count, draw])
            taught = select_shots(crops, crops.names, count, "random", random)
            drawn.append(score_draw(crops, taught))
        accuracy = np.array([one.scores[0] for one in drawn])
        low, high = percentile_interval(accuracy)
        told.append(f"{accuracy.mean():.3f} ({low:.3f} to {high:.3f})")
        errors.append(f"{np.mean([one.ece for one in drawn]):.3f}")
    return f"{' | '.join(told)} | {', '.join(errors)}"


if __name__ == "__main__":
    main()
