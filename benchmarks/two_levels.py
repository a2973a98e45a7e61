"""Kind first, then within it, against one level: PBC's sub-classes, from few clicks.

The sub-classes are in the names of the files: band and segmented neutrophils; metamyelocytes,
myelocytes and promyelocytes of the immature granulocytes; six kinds without any. Pictures named
NEUTROPHIL or IG alone have no sub-class: they teach nothing here, and are asked their kind only.

    python benchmarks/two_levels.py ../shared/data/pbc --repeats 25 --json two_levels.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from napari_hemacells.core.classify import SupportSet, fit, fit_levels
from napari_hemacells.core.encode import EmbeddingCache, load_encoder
from napari_hemacells.core.evaluate.class_folders import embed_files_steps
from napari_hemacells.core.evaluate.classification_metrics import (
    percentile_interval,
    score_predictions,
)
from napari_hemacells.core.evaluate.fewshot import default_cache_folder
from napari_hemacells.core.evaluate.two_levels import best_within, score_levels
from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo
from napari_hemacells.core.types.progress import run_to_end

PARENTS = {
    "BNE": "NEUTROPHIL",
    "SNE": "NEUTROPHIL",
    "MMY": "IG",
    "MY": "IG",
    "PMY": "IG",
}
KINDS = frozenset(PARENTS.values())
FIGURES = ("kind", "class", "within")


def embed(folder: Path, name: str, most: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return vectors and the sub-classes of the files, and what the encoder has seen."""
    files: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("*/*.jpg")):
        files.setdefault(file.name.split("_")[0], []).append(file)
    random = np.random.default_rng(0)
    listed = [
        (own[place], label)
        for label, own in files.items()
        for place in sorted(random.permutation(len(own))[:most])
    ]
    encoder = load_encoder(name)
    cache = EmbeddingCache(default_cache_folder())
    crops = run_to_end(embed_files_steps(listed, folder, CropSpec(), encoder, cache))
    return crops.vectors, np.array(crops.labels), encoder.info.seen


def judge(head, vectors, labels, asked) -> dict[str, float]:
    """Return the balanced accuracy of the kind, of the class, and within the true kind."""
    ids = np.arange(len(vectors))
    info = EncoderInfo("crops", "", vectors.shape[1])
    prediction = head.predict(Embeddings(ids, vectors, info, CropSpec(), "crops"))
    answers = np.array(head.class_ids)[prediction.predicted_column]
    inside = best_within(prediction.probabilities, head.class_ids, labels, PARENTS)
    levels = score_levels(labels[asked], answers[asked], inside[asked], PARENTS)
    known = asked[~np.isin(labels[asked], list(KINDS))]
    return {
        "kind": levels.kind.balanced_accuracy,
        "class": score_predictions(labels[known], answers[known]).balanced_accuracy,
        "within": levels.within.balanced_accuracy,
    }


def draw(vectors, labels, shots: int, seed: int) -> dict[str, dict[str, float]]:
    """Return the figures of both heads on one draw of clicks."""
    names = sorted(set(labels) - KINDS)
    random = np.random.default_rng([seed, shots])
    taught = np.concatenate(
        [random.choice(np.flatnonzero(labels == name), shots, replace=False) for name in names]
    )
    asked = np.setdiff1d(np.arange(len(labels)), taught)
    support = SupportSet(vectors[taught], tuple(labels[taught].tolist()))
    flat = fit(support, names, context=vectors)
    levels = fit_levels(support, [*sorted(KINDS), *names], PARENTS, context=vectors)
    return {
        "one level": judge(flat, vectors, labels, asked),
        "two levels": judge(levels, vectors, labels, asked),
    }


def summary(draws: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, object]]:
    """Return mean and middle 95 % of the draws, and the mean of the paired differences."""
    found: dict[str, dict[str, object]] = {}
    for figure in FIGURES:
        values = {how: np.array([one[how][figure] for one in draws]) for how in draws[0]}
        gain = values["two levels"] - values["one level"]
        error = 1.96 * gain.std(ddof=1) / np.sqrt(len(gain))
        found[figure] = {
            how: {"mean": float(of.mean()), "draws95": percentile_interval(of)}
            for how, of in values.items()
        }
        found[figure]["gain"] = {
            "mean": float(gain.mean()),
            "ci95": (float(gain.mean() - error), float(gain.mean() + error)),
        }
    return found


def main() -> None:
    """Print a table, and write it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoders", nargs="+", default=["bundled", "imagenet"])
    parser.add_argument("--shots", type=int, nargs="+", default=[5, 20])
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--most", type=int, default=10_000, help="pictures of a sub-class")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    report = {}
    for name in given.encoders:
        vectors, labels, seen = embed(given.folder, name, given.most)
        counts = {
            str(key): int(n) for key, n in zip(*np.unique(labels, return_counts=True), strict=True)
        }
        report[name] = {"seen": seen, "pictures": counts, "shots": {}}
        for shots in given.shots:
            draws = [draw(vectors, labels, shots, seed) for seed in range(given.repeats)]
            found = report[name]["shots"][shots] = summary(draws)
            for figure in FIGURES:
                row = found[figure]
                cells = " | ".join(
                    f"{row[how]['mean']:.3f} ({row[how]['draws95'][0]:.3f} to "
                    f"{row[how]['draws95'][1]:.3f})"
                    for how in ("one level", "two levels")
                )
                gain = row["gain"]
                print(
                    f"| {name} | {shots} | {figure} | {cells} | {gain['mean']:+.4f} "
                    f"({gain['ci95'][0]:+.4f} to {gain['ci95'][1]:+.4f}) |",
                    flush=True,
                )
    if given.json:
        given.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
