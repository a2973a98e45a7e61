"""The preset *five-shot* of the package in the four conditions of the thesis.

::

    OMP_NUM_THREADS=1 python benchmarks/four_conditions_preset.py live_dead pbc --out DIR
        [--data ../shared/data] [--size 96] [--draws 5]

The pictures, the split, the draws and SimCLR are those of ``four_conditions.py``; what is learned
is ``hemacells train TABLE --recipe five-shot``: 16 one-cycle rounds of all layers at rates from
1e-4 to 1e-3, mirrored pictures, the last round kept. Its network is the EfficientNet with ImageNet
weights that comes with the package, where the thesis had a ResNet18, as no ImageNet weights of
that can be had offline; after SimCLR the adapted encoder is what it starts from (``--weights``).
A few other pictures of the pool fit the confidence, which the figures do not depend on.

The draws are kept one by one in DIR/draws.json: a run that is broken off goes on from there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from four_conditions import CONDITIONS, draws, encode, figure, opened, split
from napari_hemacells.core.encode import load_encoder
from napari_hemacells.core.files.text_tables import write_table
from napari_hemacells.core.malloc import keep_freed_memory
from napari_hemacells.core.params import AdaptParams
from napari_hemacells.core.train.classifier import preset_config
from napari_hemacells.core.train.classifier.pipeline import train
from napari_hemacells.core.train.classifier.training import TrainJob
from napari_hemacells.core.train.selfsupervised.config import AdaptJob
from napari_hemacells.core.train.selfsupervised.dataset import (
    AdaptTrainingSet,
    LabelledCrops,
    write_training_set,
)
from napari_hemacells.core.train.selfsupervised.trainer import adapt
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from four_conditions import Set, Split

VALIDATION = 10  # pictures a class of the pool that fit the confidence


def main() -> None:
    """Train once a draw and condition; print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=["live_dead", "pbc"], metavar="FOLDER")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60, help="batches of SimCLR")
    parser.add_argument("--most", type=int, default=100, help="crops scored per class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--arch", default="bundled")
    chosen = parser.parse_args()
    keep_freed_memory()
    chosen.out.mkdir(parents=True, exist_ok=True)
    kept = chosen.out / "draws.json"
    told: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    for name in chosen.sets:
        found = opened(name, chosen.data)
        parts = split(found, chosen.most, chosen.seed)
        vectors = encode(found.crops, load_encoder("imagenet"))
        data = found, parts, _written(found, chosen.out / name / "cells")
        for adapted in (False, True):
            weights = "imagenet"
            if adapted:
                weights = str(_after_simclr(found, parts, chosen.out / name, chosen))
            for different in (False, True):
                condition = CONDITIONS[2 * different + adapted]
                for draw, taught in enumerate(draws(found, parts, vectors, different, chosen)):
                    key = f"{name}/{condition}/{draw}"
                    if key not in told:
                        told[key] = _trained(data, taught, weights, draw, chosen)
                        kept.write_text(json.dumps(told, indent=1))
                        print(key, told[key], flush=True)
    print(_as_markdown(told, chosen.sets))


def _written(found: Set, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{place}.png" for place in range(len(found.crops))]
    for file, crop in zip(files, found.crops, strict=True):
        if not file.exists():
            Image.fromarray(crop).save(file)
    return [file.resolve() for file in files]


def _after_simclr(found: Set, parts: Split, folder: Path, chosen: argparse.Namespace) -> Path:
    """Return the ImageNet encoder after SimCLR on the pool; what is scored is not seen."""
    out = folder / "adapted.safetensors"
    if not out.exists():
        none = LabelledCrops(found.crops[:0], ())
        params = AdaptParams(steps=chosen.steps, seed=chosen.seed)
        job = AdaptJob(folder / "work", out, params, "imagenet", decided_by_clicks=False)
        write_training_set(job.folder, AdaptTrainingSet(found.crops[parts.pool], none, ()))
        run_to_end(adapt(job))
    return out.resolve()


def _trained(
    data: tuple[Set, Split, list[Path]],
    taught: np.ndarray,
    weights: str,
    draw: int,
    chosen: argparse.Namespace,
) -> dict[str, Any]:
    """Return what the preset says of the scored crops after it learned from the taught ones."""
    found, parts, files = data
    folder = chosen.out / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    others = np.setdiff1d(parts.pool, taught)
    others = np.random.default_rng([chosen.seed, draw, 1]).permutation(others)
    classes = np.unique(found.labels)
    checked = np.concatenate([others[found.labels[others] == one][:VALIDATION] for one in classes])
    rows = [
        (str(files[place]), found.labels[place], part)
        for part, places in (("train", taught), ("validation", checked), ("test", parts.asked))
        for place in places
    ]
    write_table(folder / "cells.csv", ("path", "label", "split"), rows)
    changes = {"arch": chosen.arch, "weights": weights, "size": chosen.size, "seed": draw}
    recipe = preset_config("five-shot", changes)
    outcome = train(TrainJob(folder / "cells.csv", folder / "run", recipe, "five-shot"))
    test = outcome.figures["test"]
    return {
        "balanced": test["balanced_accuracy"]["value"],
        "n": test["n"],
        "loss": [outcome.history[0].train_loss, outcome.history[-1].train_loss],
        "parts": outcome.split,
        "weights": outcome.weights,
        "seconds": round(outcome.seconds, 1),
    }


def _as_markdown(told: dict[str, Any], sets: list[str]) -> str:
    lines = [f"| set | {' | '.join(CONDITIONS)} |", "|---" * (1 + len(CONDITIONS)) + "|"]
    for name in sets:
        cells = []
        for condition in CONDITIONS:
            start = f"{name}/{condition}/"
            values = [row["balanced"] for key, row in told.items() if key.startswith(start)]
            cells.append(figure(np.array(values)))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append(f"{time.process_time() / 60:.0f} min of processor time")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
