"""Accuracy on laboratories that an encoder has not seen: ``benchmarks/laboratories.py [DATA]``.

Prints Markdown tables: few-shot balanced accuracy of each encoder on each dataset, marked if the
encoder was trained on it; each laboratory held out in turn, against an encoder trained on all of
them for as long; and from one laboratory to another, before and after re-standardisation.
Encoders are trained by ``training/train_encoder.py`` without a laboratory (``--sources``) or
without classes
(``--without``) and named by their files::

    python benchmarks/laboratories.py ../shared/data --reference build/all/encoder.safetensors \
        --held-out pbc=build/no-pbc/encoder.safetensors \
        --held-out chula=build/no-chula/encoder.safetensors \
        --held-out bccd=build/no-bccd/encoder.safetensors \
        --file build/no-two/encoder.safetensors --classes monocyte ig
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from convert_sets import convert_jiangxi
from laboratory_sets import (
    Vectors,
    bccd_crops,
    chula_crops,
    encode,
    folder_crops,
    white_or_platelet,
)
from napari_hemacells.core.classify import SupportSet, fit
from napari_hemacells.core.encode import Encoder, choose_device, load_encoder
from napari_hemacells.core.encode.builtin import BUNDLED_FORMS, load_blood_encoder
from napari_hemacells.core.evaluate import percentile_interval, score_predictions

TURNS = BUNDLED_FORMS["bundled"].turns
SHARED = ("eosinophil", "lymphocyte", "monocyte", "neutrophil")
COARSE = ("platelet", "white")
MARKS = {"pbc": "PBC", "chula": "Chula", "bccd": "BCCD", "wbc_jiangxi": "Jiangxi"}
WAYS = (("pbc", "wbc_jiangxi"), ("wbc_jiangxi", "pbc"), ("pbc", "bccd"), ("bccd", "pbc"))
EVERY = 8  # of PBC's pictures: 75 a class


def draw_scores(
    taught: Vectors, asked: Vectors | None, shots: int, repeats: int, classes: tuple[str, ...]
) -> np.ndarray:
    """Return the balanced accuracy of each draw; `asked` ``None``: all others of the set."""
    figures = []
    for draw in range(repeats):
        random = np.random.default_rng([0, shots, draw])
        chosen = np.concatenate(
            [
                random.choice(np.flatnonzero(taught.labels == one), shots, replace=False)
                for one in classes
            ]
        )
        rest = np.setdiff1d(np.flatnonzero(np.isin(taught.labels, classes)), chosen)
        scored = Vectors(taught.rows[rest], taught.labels[rest]) if asked is None else asked
        kept = np.isin(scored.labels, classes)
        head = fit(SupportSet(taught.rows[chosen], tuple(taught.labels[chosen].tolist())), classes)
        found = np.array(head.class_ids)[head.scores(scored.rows[kept]).argmax(axis=1)]
        figures.append(score_predictions(scored.labels[kept], found)[0])
    return np.array(figures)


def enough(labels: np.ndarray, shots: list[int]) -> tuple[str, ...]:
    """Return the classes with more cells than the largest number of shots."""
    names, counts = np.unique(labels, return_counts=True)
    return tuple(str(name) for name in names[counts > max(shots)])


def figure(draws: np.ndarray) -> str:
    """Return the mean with the middle 95 % of the draws."""
    low, high = percentile_interval(draws)
    return f"{draws.mean():.3f} ({low:.3f} to {high:.3f})"


def restandardised(away: Vectors, home: Vectors) -> Vectors:
    """Return the away embeddings with home's mean and deviation per dimension; no label used."""
    spread = home.rows.std(0) / np.maximum(away.rows.std(0), 1e-6)
    rows = (away.rows - away.rows.mean(0)) * spread + home.rows.mean(0)
    return Vectors(rows.astype(np.float32), away.labels)


def main() -> None:
    chosen = options()
    converted = Path(tempfile.gettempdir()) / "napari-hemacells-sets" / "wbc_jiangxi"
    convert_jiangxi(chosen.data / "wbc_jiangxi", converted)
    sets = [
        folder_crops("wbc_jiangxi", converted),
        chula_crops(chosen.data),
        folder_crops("pbc", chosen.data / "pbc", EVERY),
        bccd_crops(chosen.data),
    ]
    held_out = dict(one.split("=", 1) for one in chosen.held_out)
    files = [*chosen.file, *filter(None, [chosen.reference]), *map(Path, held_out.values())]
    encoders = {"ImageNet": load_encoder("imagenet"), "bundled": load_encoder("bundled")}
    encoders |= {
        str(one): load_blood_encoder(one, choose_device("auto").name, TURNS) for one in files
    }
    vectors = {
        name: {found.name: encode(found, by) for found in sets} for name, by in encoders.items()
    }
    by_encoder(encoders, vectors, chosen)
    if chosen.reference:
        in_turn(vectors, held_out, chosen)
    journeys(encoders, vectors, chosen.repeats)
    print(f"\nBalanced accuracy, {chosen.repeats} draws of the shots, seed 0; in brackets the")
    print("middle 95 % of the draws. Encoders:")
    for name, by in encoders.items():
        print(f"{name} ({by.info.sha256[:12]}) has seen: {by.info.seen}.")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--file", type=Path, action="append", default=[], help="another encoder")
    parser.add_argument(
        "--reference", type=Path, help="trained on all, for as long as those held out"
    )
    parser.add_argument(
        "--held-out", action="append", default=[], metavar="SET=FILE", help="trained without it"
    )
    parser.add_argument("--classes", nargs="*", default=[], help="PBC classes by themselves")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5, 10])
    parser.add_argument("--repeats", type=int, default=50)
    return parser.parse_args()


def head_of_table(columns: list[str]) -> None:
    print(f"\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|", flush=True)


def by_encoder(
    encoders: dict[str, Encoder],
    vectors: dict[str, dict[str, Vectors]],
    chosen: argparse.Namespace,
) -> None:
    """Print each encoder on each dataset, and on the classes requested separately."""
    head_of_table(["encoder", "set, classes", *(f"{n} shots" for n in chosen.shots), "seen"])
    for name, of_sets in vectors.items():
        rows = [(one, enough(found.labels, chosen.shots)) for one, found in of_sets.items()]
        if chosen.classes:
            rows.append(("pbc", tuple(chosen.classes)))
        for one, classes in rows:
            figures = [figure(draws) for draws in own(of_sets[one], classes, chosen)]
            told = ", ".join(classes) if len(classes) <= 4 else f"{len(classes)} classes"
            seen = "see below" if MARKS[one] in encoders[name].info.seen else "no"
            print(f"| {name} | {one}: {told} | {' | '.join(figures)} | {seen} |", flush=True)


def own(found: Vectors, classes: tuple[str, ...], chosen: argparse.Namespace) -> list[np.ndarray]:
    """Return the draws of each number of shots within a dataset."""
    return [draw_scores(found, None, shots, chosen.repeats, classes) for shots in chosen.shots]


def in_turn(
    vectors: dict[str, dict[str, Vectors]], held_out: dict[str, str], chosen: argparse.Namespace
) -> None:
    """Print the loss of accuracy if a laboratory was not trained on."""
    head_of_table(["held out", "encoder", *(f"{n} shots" for n in chosen.shots)])
    for one, file in held_out.items():
        told = {}
        classes = enough(vectors[file][one].labels, chosen.shots)
        names = {"ImageNet": "ImageNet", "trained on the others": file,
                 "trained on all": str(chosen.reference)}  # fmt: skip
        for words, name in names.items():
            told[words] = own(vectors[name][one], classes, chosen)
            print(f"| {one} | {words} | {' | '.join(map(figure, told[words]))} |", flush=True)
        drops = zip(told["trained on all"], told["trained on the others"], strict=True)
        words = " | ".join(f"{float((all_ - others).mean()):.3f}" for all_, others in drops)
        print(f"| {one} | drop | {words} |", flush=True)


def journeys(
    encoders: dict[str, Encoder], vectors: dict[str, dict[str, Vectors]], repeats: int
) -> None:
    """Print heads fitted in one laboratory and used in another."""
    head_of_table(["encoder", "10 shots from", "seen home, away", "home", "away", "drop",
                   "away, re-standardised", "drop"])  # fmt: skip
    for name, of_sets in vectors.items():
        for home, away in WAYS:
            marks = [MARKS[one] in encoders[name].info.seen for one in (home, away)]
            seen = ", ".join("yes" if one else "no" for one in marks)
            line = journey(of_sets, home, away, repeats)
            print(f"| {name} | {home} → {away} | {seen} | {line} |", flush=True)


def journey(of_sets: dict[str, Vectors], home: str, away: str, repeats: int) -> str:
    """Return the figures of a head fitted in one laboratory and used in another."""
    taught, asked = of_sets[home], of_sets[away]
    if "bccd" in (home, away):
        classes, taught, asked = COARSE, white_or_platelet(taught), white_or_platelet(asked)
    else:
        classes, taught, asked = SHARED, only(taught, SHARED), only(asked, SHARED)
    here, there, after = (
        draw_scores(taught, one, 10, repeats, classes)
        for one in (None, asked, restandardised(asked, taught))
    )
    drops = [float((here - one).mean()) for one in (there, after)]
    return f"{figure(here)} | {figure(there)} | {drops[0]:.3f} | {figure(after)} | {drops[1]:.3f}"


def only(found: Vectors, classes: tuple[str, ...]) -> Vectors:
    """Return the cells of these classes."""
    kept = np.isin(found.labels, classes)
    return Vectors(found.rows[kept], found.labels[kept])


if __name__ == "__main__":
    main()
