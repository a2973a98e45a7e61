"""How well a fine-tuned model finds cells of a class that it never learned.

::

    OMP_NUM_THREADS=1 python benchmarks/unknown_finetuned.py ../shared/data/pbc --out DIR
        [--classes basophil ig platelet] [--a-class 120] [--weights imagenet] [--epochs N]

Each class is left out in turn: the recipe *quick* learns the others, from weights that have seen
no blood cell. Asked are a test part of the known classes, from which nothing was learned or
chosen, and the pictures of the class left out. AUROC is the area under the ROC curve of a score,
the unknown class against the known ones, with the middle 95 % of 1,000 bootstrap draws of the
pictures. Printed are several scores, the model's own (``bundle``) first. A run that lies in the
folder already is asked again; where it was made before models had the late stage in their vectors,
or looked at cells in quarter turns, the score is fitted anew from the same network and the same
parts, as a training does it today (but for the temperature, which is the stored one).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from napari_hemacells.core.classify.calibration import Calibration
from napari_hemacells.core.encode.finetuned.load import NETWORK
from napari_hemacells.core.encode.finetuned.network import TurnedEmbedder
from napari_hemacells.core.encode.network import NetworkEncoder
from napari_hemacells.core.evaluate import list_class_folders
from napari_hemacells.core.files.text_tables import read_table, write_table
from napari_hemacells.core.store import load_bundle
from napari_hemacells.core.train.classifier import ClassifierConfig, preset_config
from napari_hemacells.core.train.classifier.export import make_bundle
from napari_hemacells.core.train.classifier.model_zoo import build_network
from napari_hemacells.core.train.classifier.pipeline import train
from napari_hemacells.core.train.classifier.report.galleries import ReportCrops
from napari_hemacells.core.train.classifier.training import TrainJob

DRAWS = 1000


class Asked(NamedTuple):
    """What the model says of some crops: vectors, logits, its own unknown score."""

    vectors: np.ndarray
    logits: np.ndarray
    own: np.ndarray
    above: np.ndarray


def main() -> None:
    """Train once a class, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--classes", nargs="+", help="left out in turn; default: all")
    parser.add_argument("--a-class", type=int, default=120)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    random = np.random.default_rng(chosen.seed)
    files = {
        name: [found[index] for index in random.permutation(len(found))[: chosen.a_class]]
        for name, found in list_class_folders(chosen.folder.resolve()).items()
    }
    table: dict[str, dict[str, Any]] = {}
    for left_out in chosen.classes or files:
        table[left_out] = _row(files, left_out, chosen)
        told = ", ".join(
            f"{name} {row['auroc']:.3f}" for name, row in table[left_out]["scores"].items()
        )
        print(f"{left_out}: {told}", flush=True)
        (chosen.out / "unknown.json").write_text(json.dumps(table, indent=1))
    print(_as_markdown(table))


def _row(
    files: dict[str, list[Path]], left_out: str, chosen: argparse.Namespace
) -> dict[str, Any]:
    folder = chosen.out / left_out
    folder.mkdir(parents=True, exist_ok=True)
    changes: dict[str, Any] = {
        "weights": chosen.weights,
        "test": 0.25,
        "tta": 0,
        "seed": chosen.seed,
    }
    if chosen.epochs is not None:
        changes["epochs"] = chosen.epochs
    if not (folder / "run" / "model" / "bundle.json").is_file():
        known = [(file, name) for name, own in files.items() if name != left_out for file in own]
        write_table(folder / "known.csv", ("path", "label"), known)
        train(TrainJob(folder / "known.csv", folder / "run", preset_config("quick", changes)))
    run = json.loads((folder / "run" / "run.json").read_text())
    figures = json.loads((folder / "run" / "figures.json").read_text())
    crops = ReportCrops(run["frame"])
    rows = read_table(folder / "run" / "split.csv").records()
    parts = {
        part: [Path(row["path"]) for row in rows if row["part"] == part]
        for part in ("train", "validation", "test")
    }
    classes = sorted({row["label"] for row in rows})
    targets = np.array([classes.index(row["label"]) for row in rows if row["part"] == "train"])
    bundle = load_bundle(folder / "run" / "model")
    encoder = bundle.make_encoder("cpu")
    stored, turns = bundle.encoder.preprocessing[NETWORK], preset_config("quick").turns
    today = bool(stored.get("late")) and stored.get("turns", 1) == turns
    if stored["arch"] == "bundled" and not today:
        going_on = ClassifierConfig(weights=str(folder / "run" / "model"), turns=turns)
        network, plan, _ = build_network(going_on, len(classes), classes)
        info = replace(bundle.encoder, dim=network.embedder.dim)
        encoder = NetworkEncoder(TurnedEmbedder(network.embedder).eval(), info, "cpu")
        bundle = make_bundle(
            network,
            plan,
            name=bundle.name,
            classes=classes,
            spec=bundle.spec,
            temperature=run["temperature"],
            calibration=Calibration(),
            vectors=_vectors(encoder, crops, parts["train"]),
            targets=targets,
            held_out=_vectors(encoder, crops, parts["validation"]),
            seen=bundle.encoder.seen,
            training={},
        )
    answers = {part: _ask(bundle, encoder, crops, paths) for part, paths in parts.items()}
    answers["unknown"] = _ask(bundle, encoder, crops, files[left_out])
    np.savez_compressed(
        folder / "answers.npz",
        targets=targets,
        **{
            f"{part}.{name}": values
            for part, one in answers.items()
            for name, values in one._asdict().items()
        },
    )
    known, new = answers["test"], answers["unknown"]
    scores = {
        "bundle": _figure(known.own, new.own),
        "energy": _figure(*(_energy(one.logits) for one in (known, new))),
    }
    scores["softmax"] = _figure(*(_softmax_score(one.logits) for one in (known, new)))
    return {
        "scores": scores,
        "test accuracy": figures["test"]["accuracy"]["value"],
        "known called unknown": float(known.above.mean()),
        "unknown found": float(new.above.mean()),
        "n": [len(known.own), len(new.own)],
        "weights": run["weights"],
    }


def _ask(bundle: Any, encoder: Any, crops: ReportCrops, paths: list[Path]) -> Asked:
    from napari_hemacells.core.types import Embeddings

    vectors = _vectors(encoder, crops, paths)
    places = np.arange(len(vectors))
    told = bundle.head.predict(Embeddings(places, vectors, bundle.encoder, bundle.spec, ""))
    return Asked(vectors, bundle.head.scores(vectors), told.unknown, told.is_unknown)


def _vectors(encoder: Any, crops: ReportCrops, paths: list[Path]) -> np.ndarray:
    pictures = np.stack([crops[path] for path in paths])
    parts = [pictures[at : at + 32] for at in range(0, len(pictures), 32)]
    return np.concatenate([encoder.encode(part) for part in parts])


def _energy(logits: np.ndarray) -> np.ndarray:
    from scipy.special import logsumexp

    return -np.asarray(logsumexp(logits, axis=1))


def _softmax_score(logits: np.ndarray) -> np.ndarray:
    from scipy.special import softmax

    return -np.asarray(softmax(logits, axis=1).max(axis=1))


def _figure(known: np.ndarray, new: np.ndarray) -> dict[str, float]:
    random = np.random.default_rng(0)
    truth = np.repeat([0, 1], [len(known), len(new)])

    def auroc(own: np.ndarray, other: np.ndarray) -> float:
        return float(roc_auc_score(truth, np.concatenate([own, other])))

    draws = [
        auroc(random.choice(known, len(known)), random.choice(new, len(new))) for _ in range(DRAWS)
    ]
    low, high = np.quantile(draws, (0.025, 0.975))
    return {"auroc": auroc(known, new), "low": float(low), "high": float(high)}


def _as_markdown(table: dict[str, dict[str, Any]]) -> str:
    names = list(next(iter(table.values()))["scores"])
    lines = [
        f"| left out | {' | '.join(names)} | known called unknown | unknown found | accuracy |"
    ]
    lines.append("|---" * (4 + len(names)) + "|")
    for left_out, row in table.items():
        cells = [
            f"{one['auroc']:.3f} ({one['low']:.3f} to {one['high']:.3f})"
            for one in row["scores"].values()
        ]
        rest = [
            f"{row[name]:.3f}"
            for name in ("known called unknown", "unknown found", "test accuracy")
        ]
        lines.append(f"| {left_out} | {' | '.join(cells + rest)} |")
    means = [
        f"{np.mean([row['scores'][name]['auroc'] for row in table.values()]):.3f}"
        for name in names
    ]
    lines.append(f"| mean | {' | '.join(means)} | | | |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
