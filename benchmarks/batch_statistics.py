"""Batch statistics for a new laboratory: ``benchmarks/batch_statistics.py DATA SET=FILE``.

An encoder is trained without one laboratory (``training/train_encoder.py --sources``), with new
batch-norm statistics (the default) or with those of ImageNet (``--statistics frozen``). The
benchmark prints its few-shot accuracy on the held-out laboratory, with these statistics and with
statistics estimated again on the crops of that laboratory, without classes (AdaBN, Li et al.
2016)::

    python benchmarks/batch_statistics.py ../shared/data pbc=build/no-pbc/encoder.safetensors
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import TYPE_CHECKING

from laboratories import EVERY, draw_scores, enough, figure, head_of_table
from laboratory_sets import CropSet, bccd_crops, chula_crops, encode, folder_crops
from napari_hemacells.core.encode import Encoder, choose_device
from napari_hemacells.core.encode.builtin import BUNDLED_FORMS, load_blood_encoder
from napari_hemacells.core.encode.network import NetworkEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

TURNS = BUNDLED_FORMS["bundled"].turns
CROPS: dict[str, Callable[[Path], CropSet]] = {
    "pbc": lambda data: folder_crops("pbc", data / "pbc", EVERY),
    "chula": chula_crops,
    "bccd": bccd_crops,
}


def estimated_again(by: Encoder, found: CropSet) -> Encoder:
    """Return the encoder with the mean batch statistics of these crops, 64 at a time."""
    from torch import nn

    if not isinstance(by, NetworkEncoder):
        raise TypeError("only a network has batch statistics: choose another encoder")
    network = copy.deepcopy(by.network)
    again = NetworkEncoder(network, by.info, by.device)
    layers = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over the batches
        layer.train()
    for start in range(0, len(found.crops) - 16, 64):
        again.encode(found.crops[start : start + 64])
    for layer in layers:
        layer.eval()
    return again


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("held_out", nargs="+", metavar="SET=FILE")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5, 10])
    parser.add_argument("--repeats", type=int, default=50)
    chosen = parser.parse_args()
    shots = [f"{one} shots" for one in chosen.shots]
    head_of_table(["held out", "encoder", "statistics", *shots])
    for one in chosen.held_out:
        name, file = one.split("=", 1)
        found = CROPS[name](chosen.data)
        by = load_blood_encoder(Path(file), choose_device("auto").name, TURNS)
        for words, encoder in (
            ("as trained", by),
            ("estimated again", estimated_again(by, found)),
        ):
            vectors = encode(found, encoder)
            classes = enough(vectors.labels, chosen.shots)
            told = [
                figure(draw_scores(vectors, None, count, chosen.repeats, classes))
                for count in chosen.shots
            ]
            print(f"| {name} | {file} | {words} | {' | '.join(told)} |", flush=True)
    print(
        f"\nBalanced accuracy, {chosen.repeats} draws, seed 0, annotated cells only; middle 95 %."
    )


if __name__ == "__main__":
    main()
