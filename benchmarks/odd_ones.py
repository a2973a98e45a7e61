"""How well cells of a kind that nobody annotated are found: ``python benchmarks/odd_ones.py``.

::

    OMP_NUM_THREADS=1 python benchmarks/odd_ones.py [DATA] [--sets pbc wbc_jiangxi chula bccd]
        [--encoders imagenet bundled] [--draws 10] [--shots 10] [--kinds 5] [--odd-cells 60]

Class folders: each kind is left out in turn. In each draw five of the other kinds are annotated,
ten cells each; asked are 60 more cells of each of these and 60 of the kind left out, with all of
them as the image's cells. BCCD: two of its three kinds are annotated, ten cells each from the
first 40 train fields; asked are all boxes of the val fields, as those of one smear.

AUROC: of the score of *Odd ones out*, the kind left out against the others; beside it that of the
classifier's own novelty. Found and falsely called: shares above the classifier's threshold. The
interval is the middle 95 % of the draws, each averaged over the kinds left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bccd_five_clicks import embed_boxes
from blood_sets import SETS
from napari_hemacells.cli.evaluate import crop_of, make_encoder
from napari_hemacells.core.classify import SupportSet, fit
from napari_hemacells.core.classify.odd_ones import find_odd_ones
from napari_hemacells.core.encode import EmbeddingCache
from napari_hemacells.core.evaluate.class_folders import read_folder
from napari_hemacells.core.evaluate.fewshot import default_cache_folder
from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_hemacells.core.encode import Encoder

ASKED = 60  # cells of each kind
TRAIN_FIELDS = 40  # of BCCD, of which cells are annotated


class Draw(NamedTuple):
    """Rows of annotated and of asked cells, and which kind was left out."""

    left_out: str
    annotated: np.ndarray
    asked: np.ndarray


class Found(NamedTuple):
    """Figures of one draw."""

    auroc: float
    novelty: float
    found: float
    falsely: float


def folder_draws(labels: np.ndarray, draw: int, chosen: argparse.Namespace) -> Iterator[Draw]:
    """Yield a draw for each kind that is left out."""
    kinds = sorted(set(labels.tolist()))
    for place, left_out in enumerate(kinds):
        random = np.random.default_rng([chosen.seed, draw, place])
        others = [kind for kind in kinds if kind != left_out]
        known = random.choice(others, min(chosen.kinds, len(others)), replace=False)
        annotated, asked = [], []
        for kind in (*known.tolist(), left_out):
            rows = random.permutation(np.flatnonzero(labels == kind))
            shots = 0 if kind == left_out else chosen.shots
            annotated.append(rows[:shots])
            count = chosen.odd_cells if kind == left_out else ASKED
            asked.append(rows[shots : shots + count])
        yield Draw(left_out, np.concatenate(annotated), np.concatenate(asked))


def bccd_draws(
    labels: np.ndarray, part: np.ndarray, draw: int, chosen: argparse.Namespace
) -> Iterator[Draw]:
    """Yield a draw for each kind that is left out; annotated are train fields, asked val."""
    for place, left_out in enumerate(sorted(set(labels.tolist()))):
        random = np.random.default_rng([chosen.seed, draw, place])
        annotated = [
            random.choice(
                np.flatnonzero((labels == kind) & (part == "train")), chosen.shots, False
            )
            for kind in sorted(set(labels.tolist()) - {left_out})
        ]
        yield Draw(left_out, np.concatenate(annotated), np.flatnonzero(part == "val"))


def ask(vectors: np.ndarray, labels: np.ndarray, draw: Draw) -> Found:
    """Return what is found in one draw."""
    from sklearn.metrics import roc_auc_score

    rows = np.concatenate([draw.asked, draw.annotated])
    info = EncoderInfo("crops", "", vectors.shape[1])
    embeddings = Embeddings(np.arange(len(rows)), vectors[rows], info, CropSpec(), "crops")
    support = SupportSet(vectors[draw.annotated], tuple(labels[draw.annotated].tolist()))
    head = fit(support, sorted(set(support.labels)), context=embeddings.vectors)
    prediction = head.predict(embeddings)
    answer = find_odd_ones(embeddings, prediction, head, support)
    odd, asked = labels[draw.asked] == draw.left_out, slice(len(draw.asked))
    return Found(
        float(roc_auc_score(odd, answer.scores[asked])),
        float(roc_auc_score(odd, prediction.unknown[asked])),
        float(answer.is_odd[asked][odd].mean()),
        float(answer.is_odd[asked][~odd].mean()),
    )


def read_set(name: str, encoder_name: str, encoder: Encoder, data: Path):
    """Return vectors, kinds and, of BCCD, the part of each cell."""
    if name == "bccd":
        parts = [
            embed_boxes(data / "bccd", "train", encoder, TRAIN_FIELDS),
            embed_boxes(data / "bccd", "val", encoder),
        ]
        part = np.repeat(["train", "val"], [len(one.classes) for one in parts])
        vectors = np.concatenate([one.vectors for one in parts])
        return vectors, np.concatenate([one.classes for one in parts]), part
    cache = EmbeddingCache(default_cache_folder())
    read = read_folder(SETS[name](data), crop_of(encoder_name), encoder, cache)
    return read.vectors, np.array(read.labels), None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", default=["pbc", "wbc_jiangxi", "chula", "bccd"])
    parser.add_argument("--encoders", nargs="+", default=["imagenet", "bundled"])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--shots", type=int, default=10)
    parser.add_argument("--kinds", type=int, default=5, help="annotated kinds")
    parser.add_argument("--odd-cells", type=int, default=ASKED, help="of the kind left out")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    print("| set | encoder | left out | AUROC | novelty alone | found | falsely called |")
    print("|---|---|---|---|---|---|---|")
    seen = {}
    for name in chosen.sets:
        for encoder_name in chosen.encoders:
            encoder = make_encoder(encoder_name, "auto")
            seen[encoder.info.name] = encoder.info.seen
            vectors, labels, part = read_set(name, encoder_name, encoder, chosen.data)
            figures: dict[str, list[Found]] = {}
            for draw in range(chosen.draws):
                draws = (
                    folder_draws(labels, draw, chosen)
                    if part is None
                    else bccd_draws(labels, part, draw, chosen)
                )
                for one in draws:
                    figures.setdefault(one.left_out, []).append(ask(vectors, labels, one))
            for kind, found in figures.items():
                print(f"| {name} | {encoder_name} | {kind} | {_row(np.array(found))} |")
            every = np.array(list(figures.values())).mean(axis=0)
            low, high = np.quantile(every[:, 0], (0.025, 0.975))
            mean = _row(every)
            mean = mean.replace(" | ", f" ({low:.3f} to {high:.3f}) | ", 1)
            print(f"| {name} | {encoder_name} | **mean of all** | {mean} |", flush=True)
    print()
    for name, about in seen.items():
        print(f"{name} has seen: {about}.")


def _row(found: np.ndarray) -> str:
    auroc, novelty, caught, falsely = found.mean(axis=0)
    return f"{auroc:.3f} | {novelty:.3f} | {caught:.2f} | {falsely:.2f}"


if __name__ == "__main__":
    main()
