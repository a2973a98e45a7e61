"""Fine-tuning against fastai: ``python benchmarks/finetune_fastai.py FOLDER [--epochs 3]``.

Network, images, split, batch and epochs are the same: one frozen epoch, then all layers, one
cycle each, at the same learning rates; random initial weights unless a file is given. Each runs
in a process of its own, which reports wall time and peak memory. Only this benchmark needs
fastai:
``pip install fastai``.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from napari_hemacells.core.train.classifier import ClassifierConfig
from napari_hemacells.core.train.classifier.pipeline import train
from napari_hemacells.core.train.classifier.training import TrainJob

RATE, LOWER = 2e-3, 0.1


def ours(options: argparse.Namespace) -> dict[str, float]:
    """Train with this package."""
    recipe = ClassifierConfig(
        arch=options.arch,
        weights=str(options.weights or "none"),
        size=options.size,
        frozen_epochs=1,
        epochs=options.epochs,
        rate=RATE,
        lower=LOWER,
        batch=options.batch,
        brightness=0.2,
        stain=0.0,
        precision="fp32",
    )
    outcome = train(TrainJob(options.folder, options.out, recipe))
    figures = outcome.figures["validation"]
    return {name: figures[name]["value"] for name in ("accuracy", "kappa", "balanced_accuracy")}


def fastai(options: argparse.Namespace) -> dict[str, float]:
    """Train with fastai, on the split that this package wrote."""
    import timm
    import torch
    from fastai import vision as _  # noqa: F401  # says at once when it is not installed
    from fastai.vision import all as fv
    from sklearn import metrics

    with (options.out / "split.csv").open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    held_out = [place for place, row in enumerate(rows) if row["part"] == "validation"]
    fv.set_seed(0)
    loaders = fv.DataBlock(
        blocks=(fv.ImageBlock, fv.CategoryBlock),
        get_x=lambda row: options.folder / row["path"],
        get_y=lambda row: row["label"],
        splitter=fv.IndexSplitter(held_out),
        item_tfms=fv.Resize(options.size, method="squish"),
        batch_tfms=fv.aug_transforms(
            flip_vert=True, max_rotate=180, max_zoom=1.1, max_lighting=0.2, max_warp=0
        ),
    ).dataloaders(rows, bs=options.batch, num_workers=0)
    body = timm.create_model(options.arch, pretrained=False, num_classes=0, global_pool="")
    if options.weights:
        body.load_state_dict(timm.models.load_state_dict(str(options.weights)), strict=False)
    head = fv.create_head(body.num_features, loaders.c)
    learner = fv.Learner(
        loaders,
        torch.nn.Sequential(body, head),
        loss_func=fv.CrossEntropyLossFlat(),
        splitter=lambda network: [fv.params(network[0]), fv.params(network[1])],
    )
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(options.epochs, RATE, freeze_epochs=1)
        said, truth = learner.get_preds()
    predicted = said.argmax(1)
    return {
        "accuracy": metrics.accuracy_score(truth, predicted),
        "kappa": metrics.cohen_kappa_score(truth, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
    }


def measured(work: str, options: argparse.Namespace) -> None:
    """Print figures, seconds and peak memory of one of the two as JSON."""
    began, before = time.monotonic(), time.process_time()
    result = {"ours": ours, "fastai": fastai}[work](options)
    result["seconds"] = round(time.monotonic() - began, 1)
    result["cpu seconds"] = round(time.process_time() - before, 1)
    result["peak MB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", choices=["ours", "fastai"])
    options = parser.parse_args()
    options.folder = options.folder.resolve()
    if options.only:
        measured(options.only, options)
        return
    out = tempfile.mkdtemp()
    print("| | accuracy | kappa | balanced accuracy | seconds | CPU seconds | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for work in ("ours", "fastai"):
        given = [sys.executable, __file__, *sys.argv[1:], "--only", work, "--out", out]
        done = subprocess.run(given, check=True, stdout=subprocess.PIPE, env=os.environ)  # noqa: S603
        row = json.loads(done.stdout.splitlines()[-1])
        print(f"| {work} | " + " | ".join(f"{one:.4g}" for one in row.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
