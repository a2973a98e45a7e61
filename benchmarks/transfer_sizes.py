"""The same weights at other sizes of crops, on cells of laboratories that they have not met.

``python benchmarks/transfer_sizes.py [DATA] [--weights imagenet bundled] [--sizes 96x2 160x1]
[--tasks ...]`` prints a Markdown table: balanced accuracy at 1, 5 and 10 annotated cells a class,
the mean difference from the first row and its deviation between draws (every row has the same
draws), and the milliseconds of processor time a crop, in turns. A size is the side of the crop in
pixels and the number of quarter turns. Crops above 128 px are cut anew from the pictures.
``--weights`` takes files of ``training/train_encoder.py`` too.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as nnf

from laboratory_sets import USUAL, Vectors, encode
from napari_hemacells.core.encode.blood_network import BloodFeatures, Readout
from napari_hemacells.core.encode.builtin import (
    ARCHITECTURE,
    BUNDLED_WEIGHTS,
    SIGMA,
    STAGES,
    fill_blood_network,
    imagenet_backbone,
    imagenet_info,
    read_encoder_info,
)
from napari_hemacells.core.encode.network import NetworkEncoder, StageFeatures
from napari_hemacells.core.evaluate.fewshot import score_draw, select_shots
from napari_hemacells.core.types import CropSpec
from transfer import TASKS, of_task
from transfer_sets import KEPT, transfer_sets

SIZES = ("96x2", "96x4", "128x1", "128x2", "160x1", "160x2")
WHITE = ("Jiangxi, white cells", "Raabin, white cells", "Chula, white cells")
TIMED, TURNS = 16, 5  # crops at once, and times each encoder is asked


class Turned(nn.Module):
    """A network on crops of one size, the mean over quarter turns."""

    def __init__(self, network: nn.Module, size: int, turns: int) -> None:
        super().__init__()
        self.network, self.size, self.turns = network, size, turns

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """``(n, dim)`` of ``(n, 3, rows, cols)``."""
        if images.shape[-1] != self.size:
            side = (self.size, self.size)
            images = nnf.interpolate(images, size=side, mode="bilinear", antialias=True)
        views = [self.network(torch.rot90(images, turn, (2, 3))) for turn in range(self.turns)]
        return torch.stack(views).mean(dim=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--weights", nargs="+", default=["bundled", "imagenet"])
    parser.add_argument("--sizes", nargs="+", default=list(SIZES))
    parser.add_argument("--tasks", nargs="+", default=list(WHITE), choices=list(TASKS))
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5, 10])
    parser.add_argument("--repeats", type=int, default=40)
    chosen = parser.parse_args()
    encoders = {
        (weights, size): sized(weights, *map(int, size.split("x")))
        for weights in chosen.weights
        for size in chosen.sizes
    }
    shots = " | ".join(f"{n} shot{'s' * (n > 1)}" for n in chosen.shots)
    print(f"| cells | weights | size | {shots} |\n{'|---' * (3 + len(chosen.shots))}|")
    for task in chosen.tasks:
        first = None
        for (weights, size), by in encoders.items():
            crops = of_task(task, vectors(chosen.data, TASKS[task][0], by, f"{weights}-{size}"))
            scores = [accuracies(crops, count, chosen.repeats) for count in chosen.shots]
            first = first or scores
            told = " | ".join(map(in_words, scores, first))
            print(f"| {task} | {Path(weights).name} | {size} | {told} |", flush=True)
    print("\n| weights | size | ms a crop |\n|---|---|---|")
    for (weights, size), spent in milliseconds(encoders).items():
        print(f"| {Path(weights).name} | {size} | {spent:.1f} |")


def sized(weights: str, size: int, turns: int) -> NetworkEncoder:
    """Return ImageNet's, the bundled or another encoder at a size."""
    if weights == "imagenet":
        network = StageFeatures(imagenet_backbone(), STAGES, SIGMA)
        return NetworkEncoder(Turned(network, size, turns).eval(), imagenet_info(), "cpu")
    file = BUNDLED_WEIGHTS if weights == "bundled" else Path(weights)
    info = read_encoder_info(file)
    readout = {**info.preprocessing["readout"], "size": size, "turns": turns}
    make = partial(timm.create_model, ARCHITECTURE, pretrained=False)
    features = BloodFeatures(make, Readout(**readout))
    fill_blood_network(features, {name: value.float() for name, value in load_file(file).items()})
    return NetworkEncoder(features, info, "cpu")


def side_of(name: str) -> int:
    """Return the side to which crops are cut: the usual one, or that of a larger encoder."""
    return max(USUAL.size, int(name.rpartition("-")[2].partition("x")[0]))


def vectors(data: Path, cells: str, by: NetworkEncoder, name: str) -> Vectors:
    """Return the embeddings of a set, kept by the encoder's weights and size."""
    found = transfer_sets(data, CropSpec(size=side_of(name)))[cells]
    size = name.rpartition("-")[2]
    file = KEPT / f"{cells.replace(' ', '-')}-{by.info.sha256[:12]}-{size}.npy"
    if not file.exists():
        np.save(file, encode(found, by).rows)
    return Vectors(np.load(file), found.labels)


def accuracies(crops: Any, count: int, repeats: int) -> np.ndarray:
    """Return the balanced accuracy of each draw."""
    drawn = []
    for draw in range(repeats):
        random = np.random.default_rng([0, count, draw])
        taught = select_shots(crops, crops.names, count, "random", random)
        drawn.append(score_draw(crops, taught).scores[0])
    return np.array(drawn)


def in_words(scores: np.ndarray, first: np.ndarray) -> str:
    """Return the mean, and the difference from the first row with its deviation."""
    gain = scores - first
    return f"{scores.mean():.3f} ({gain.mean():+.3f} ± {gain.std():.3f})"


def milliseconds(encoders: dict[tuple[str, str], NetworkEncoder]) -> dict[tuple[str, str], float]:
    """Return the median processor time a crop on one thread, each encoder in turn."""
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    spent: dict[tuple[str, str], list[float]] = {key: [] for key in encoders}
    for turn in range(TURNS + 1):
        for (weights, size), by in encoders.items():
            side = side_of(f"-{size}")
            crops = random.integers(0, 256, (TIMED, side, side, 3), dtype=np.uint8)
            start = time.process_time()
            by.encode(crops)
            if turn:  # the first one folds the batch norms
                spent[weights, size].append((time.process_time() - start) / TIMED * 1000)
    return {key: float(np.median(of)) for key, of in spent.items()}


if __name__ == "__main__":
    main()
