"""Cells of laboratories that an encoder has not seen: ``benchmarks/laboratories.py [DATA]``.

Prints two markdown tables. The first: few-shot balanced accuracy of each encoder on each set, with
a word where the encoder was trained on that set. The second: from home to away, before and after
re-standardisation. Further encoders, trained by ``training/train_encoder.py`` without a laboratory
(``--sources``) or without classes (``--without``), are named by their files::

    python benchmarks/laboratories.py ../shared/data --file build/no-pbc/encoder.safetensors \
        --file build/no-two/encoder.safetensors --classes monocyte ig
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from convert_sets import convert_jiangxi
from napari_hemacells.core.classify import Support, fit
from napari_hemacells.core.crop import estimate_context, extract, from_picture
from napari_hemacells.core.encode import Encoder, choose_device, encoder
from napari_hemacells.core.encode.bundled import load_blood
from napari_hemacells.core.evaluate import class_folders, interval, score
from napari_hemacells.core.evaluate.annotations import read_points
from napari_hemacells.core.image import from_array, read_image
from napari_hemacells.core.types import BOX_COLUMNS, Cells, CropSpec

TRAINING = Path(__file__).parents[1] / "training"
SHARED = ("eosinophil", "lymphocyte", "monocyte", "neutrophil")
MARKS = {"pbc": "PBC", "chula": "Chula", "wbc_jiangxi": "Jiangxi"}
EVERY = 8  # of PBC's pictures: 75 a class
MOST = 80  # red cells of a type


class CropSet(NamedTuple):
    """Crops of one laboratory with their classes."""

    name: str
    crops: np.ndarray
    labels: np.ndarray


class Vectors(NamedTuple):
    """What an encoder makes of a set."""

    rows: np.ndarray
    labels: np.ndarray


def folder_crops(name: str, folder: Path, every: int = 1) -> CropSet:
    """Return the pictures of class folders, framed as ``evaluate fewshot`` frames them."""
    files = [
        (file, label) for label, found in class_folders(folder).items() for file in found[::every]
    ]
    pictures = [np.asarray(read_image(file).pixels) for file, _ in files]
    spec = CropSpec()
    framing = spec.context / estimate_context(pictures[:: -(-len(pictures) // 100)])
    crops = np.stack([from_picture(picture, spec, framing=framing) for picture in pictures])
    return CropSet(name, crops, np.array([label for _, label in files]))


def chula_crops(data: Path) -> CropSet:
    """Return red cells of the held-out blocks, at most `MOST` of a type, drawn with seed 0."""
    import pandas as pd

    sys.path.insert(0, str(TRAINING))
    from detector_fields import chula_field, chula_split

    crops, labels = [], []
    for number in chula_split(data)[1]:
        field = chula_field(data, number)
        if field is None:
            continue
        _, types = read_points(data / f"chula_rbc12/labels/{number}.txt")
        table = pd.DataFrame(field.boxes[field.sized].astype(int), columns=BOX_COLUMNS)
        table.insert(0, "label", np.arange(1, len(table) + 1))
        cells = Cells(np.zeros(field.pixels.shape[:2], np.int32), table, field.diameter, "points")
        crops.append(extract(from_array(field.pixels, field.name), cells, CropSpec()))
        labels.append(types[field.sized])
    kinds = np.concatenate(labels)
    random = np.random.default_rng(0)
    kept = [random.permutation(np.flatnonzero(kinds == one))[:MOST] for one in np.unique(kinds)]
    chosen = np.concatenate([rows for rows in kept if len(rows) > 15])
    return CropSet("chula", np.concatenate(crops)[chosen], kinds[chosen])


def encode(found: CropSet, by: Encoder) -> Vectors:
    """Return the vectors of a set."""
    parts = np.array_split(found.crops, -(-len(found.crops) // 32))
    return Vectors(np.concatenate([by.encode(part) for part in parts]), found.labels)


def draw_scores(
    taught: Vectors, asked: Vectors | None, shots: int, repeats: int, classes: tuple[str, ...]
) -> np.ndarray:
    """Return the balanced accuracy of each draw; `asked` ``None``: all others of the same set."""
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
        head = fit(Support(taught.rows[chosen], tuple(taught.labels[chosen].tolist())), classes)
        found = np.array(head.class_ids)[head.scores(scored.rows[kept]).argmax(axis=1)]
        figures.append(score(scored.labels[kept], found)[0])
    return np.array(figures)


def enough(labels: np.ndarray, shots: list[int]) -> tuple[str, ...]:
    """Return the classes with more cells than the largest number of shots."""
    names, counts = np.unique(labels, return_counts=True)
    return tuple(str(name) for name in names[counts > max(shots)])


def figure(draws: np.ndarray) -> str:
    """Return the mean with the middle 95 % of the draws."""
    low, high = interval(draws)
    return f"{draws.mean():.3f} ({low:.3f} to {high:.3f})"


def restandardised(away: Vectors, home: Vectors) -> Vectors:
    """Return the away vectors with home's mean and deviation, number by number; no label used."""
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
    ]
    encoders = [encoder("imagenet"), encoder("bundled")]
    encoders += [load_blood(file, choose_device("auto").name) for file in chosen.file]
    vectors = [{found.name: encode(found, by) for found in sets} for by in encoders]
    print(f"| encoder | set, classes | {' | '.join(f'{n} shots' for n in chosen.shots)} | seen |")
    print("|---" * (3 + len(chosen.shots)) + "|")
    for place, (by, of_sets) in enumerate(zip(encoders, vectors, strict=True)):
        for name, found in of_sets.items():
            classes = enough(found.labels, chosen.shots)
            print(row(by, place, (name, found, classes), chosen), flush=True)
        if chosen.classes:
            left = ("pbc", of_sets["pbc"], tuple(chosen.classes))
            print(row(by, place, left, chosen), flush=True)
    print("\n| encoder | 10 shots from | home | away | drop | away, re-standardised | drop |")
    print("|---" * 7 + "|")
    for place, (by, of_sets) in enumerate(zip(encoders, vectors, strict=True)):
        for home, away in (("pbc", "wbc_jiangxi"), ("wbc_jiangxi", "pbc")):
            print(journey(by, place, (of_sets, home, away), chosen.repeats), flush=True)
    print(f"\nBalanced accuracy, {chosen.repeats} draws of the shots, seed 0; in brackets the")
    print("middle 95 % of the draws. Encoders:")
    for place, by in enumerate(encoders):
        print(f"{place}. {by.info.name} ({by.info.sha256[:12]}) has seen: {by.info.seen}.")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    parser.add_argument("--file", type=Path, action="append", default=[], help="another encoder")
    parser.add_argument("--classes", nargs="*", default=[], help="PBC classes by themselves")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5, 10])
    parser.add_argument("--repeats", type=int, default=50)
    return parser.parse_args()


def row(
    by: Encoder,
    place: int,
    found: tuple[str, Vectors, tuple[str, ...]],
    chosen: argparse.Namespace,
) -> str:
    """Return the line of one encoder on one set."""
    name, vectors, classes = found
    figures = [
        figure(draw_scores(vectors, None, shots, chosen.repeats, classes))
        for shots in chosen.shots
    ]
    told = ", ".join(classes) if len(classes) <= 4 else f"{len(classes)} classes"
    seen = "" if MARKS[name] not in by.info.seen else "see below"
    return f"| {place} {by.info.name} | {name}: {told} | {' | '.join(figures)} | {seen} |"


def journey(
    by: Encoder, place: int, way: tuple[dict[str, Vectors], str, str], repeats: int
) -> str:
    """Return the line of a head taught in one laboratory and used in another."""
    of_sets, home, away = way
    taught, asked = of_sets[home], of_sets[away]
    shared = Vectors(
        asked.rows[np.isin(asked.labels, SHARED)], asked.labels[np.isin(asked.labels, SHARED)]
    )
    of_home = Vectors(
        taught.rows[np.isin(taught.labels, SHARED)], taught.labels[np.isin(taught.labels, SHARED)]
    )
    here, there, after = (
        draw_scores(of_home, one, 10, repeats, SHARED)
        for one in (None, shared, restandardised(shared, of_home))
    )
    drops = [float((here - one).mean()) for one in (there, after)]
    return (
        f"| {place} {by.info.name} | {home} | {figure(here)} | {figure(there)} | {drops[0]:.3f} "
        f"| {figure(after)} | {drops[1]:.3f} |"
    )


if __name__ == "__main__":
    main()
