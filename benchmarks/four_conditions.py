"""The four conditions of the thesis: ``python benchmarks/four_conditions.py FOLDER [FOLDER ...]``.

1A: five random crops of each of two classes are annotated; 1B: the same after SimCLR on the crops
without labels; 2A: the five most different crops of each class; 2B: both. All layers of a
ResNet18 are fine-tuned, as in the thesis; it is compared with frozen encoders and our head, and
with colour histograms.

A folder has one sub-folder of crops per class; ``live_dead`` and ``pbc`` are the shared datasets
(``--data``): living and dead cells cut from their boxes, lymphocytes and monocytes. Half of the
crops are held out, also from SimCLR, and are scored (at most 100 per class); if the field of a
crop is known, whole fields are held out. One split, several draws::

    OMP_NUM_THREADS=1 python benchmarks/four_conditions.py live_dead pbc --draws 10

The thesis reports 79.4, 85.3, 82.4 and 91.2 % on healthy lymphocytes against Burkitt lymphoma,
with an ImageNet ResNet18 and 34 test images.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from four_conditions_resnet import after_simclr, fine_tuned, start_weights
from napari_hemacells.cli.evaluate import make_encoder
from napari_hemacells.core.classify import SupportSet, fit
from napari_hemacells.core.classify.active_learning import select_cold_start
from napari_hemacells.core.crop import estimate_context, extract_crops, from_picture
from napari_hemacells.core.encode import load_encoder
from napari_hemacells.core.encode.colour_histogram import COLOUR_HISTOGRAM as COLOUR
from napari_hemacells.core.evaluate import (
    list_class_folders,
    percentile_interval,
    score_predictions,
)
from napari_hemacells.core.evaluate.detection_datasets import read_voc
from napari_hemacells.core.image import image_from_array, read_image
from napari_hemacells.core.params import AdaptParams
from napari_hemacells.core.train.selfsupervised.config import AdaptJob
from napari_hemacells.core.train.selfsupervised.dataset import (
    AdaptTrainingSet,
    LabelledCrops,
    write_training_set,
)
from napari_hemacells.core.train.selfsupervised.trainer import adapt
from napari_hemacells.core.types import BOX_COLUMNS, Cells, CropSpec
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_hemacells.core.encode import Encoder

CONDITIONS = ("1A random", "1B random + SimCLR", "2A most different", "2B different + SimCLR")
PART = 0.5  # of the pool, drawn anew, in which the most different are looked for
LEAST_SIDE = 12  # pixels of a box that shows a cell


class Set(NamedTuple):
    """Crops of two classes.

    Attributes
    ----------
    groups
        Field of each crop; a number of its own if the field is unknown.
    """

    name: str
    crops: np.ndarray
    labels: np.ndarray
    groups: np.ndarray


class Split(NamedTuple):
    """Indices of the crops to learn from, and of those that are scored."""

    pool: np.ndarray
    asked: np.ndarray


def folder_set(folder: Path, only: tuple[str, ...] = ()) -> Set:
    """Return the images of two class folders, framed as ``evaluate fewshot`` does."""
    files = [
        (file, name)
        for name, found in list_class_folders(folder).items()
        for file in found
        if not only or name in only
    ]
    pictures = [np.asarray(read_image(file).pixels) for file, _ in files]
    spec = CropSpec()
    framing = spec.context / estimate_context(pictures[:: -(-len(pictures) // 100)])
    crops = np.stack([from_picture(one, spec, framing=framing) for one in pictures])
    labels = np.array([name for _, name in files])
    return Set(folder.name, crops, labels, np.arange(len(labels)))


def live_dead(data: Path) -> Set:
    """Return living and dead cells around their boxes."""
    crops, labels, groups = [], [], []
    for place, file in enumerate(sorted((data / "live_dead/annotations").glob("*.xml"))):
        picture = data / "live_dead/images" / f"{file.stem}.png"
        found = read_voc(file, LEAST_SIDE)
        if not picture.exists() or not len(found.boxes):
            continue
        image = image_from_array(np.asarray(read_image(picture).pixels), file.stem)
        table = _table(found.boxes)
        cells = Cells(np.zeros(image.shape, np.int32), table, 20.0, "labels")
        crops.append(extract_crops(image, cells, CropSpec()))
        labels += [str(one) for one in found.classes]
        groups += [place] * len(found.boxes)
    return Set("live_dead", np.concatenate(crops), np.array(labels), np.array(groups))


def _table(boxes: np.ndarray) -> Any:
    import pandas as pd

    table = pd.DataFrame(boxes.round().astype(int), columns=BOX_COLUMNS)
    table.insert(0, "label", np.arange(1, len(table) + 1))
    return table


def split(found: Set, most: int, seed: int) -> Split:
    """Return half of the groups to learn from; of the others at most this many to score."""
    random = np.random.default_rng(seed)
    groups = random.permutation(np.unique(found.groups))
    inside = np.isin(found.groups, groups[: len(groups) // 2])
    outside = random.permutation(np.flatnonzero(~inside))
    asked = [outside[found.labels[outside] == one][:most] for one in np.unique(found.labels)]
    return Split(np.flatnonzero(inside), np.sort(np.concatenate(asked)))


def draws(
    found: Set, parts: Split, vectors: np.ndarray, different: bool, chosen: argparse.Namespace
) -> Iterator[np.ndarray]:
    """Yield the annotated crops: random ones, or the most different of a random half."""
    for draw in range(chosen.draws):
        random = np.random.default_rng([chosen.seed, draw])
        taught = []
        for name in np.unique(found.labels):
            members = random.permutation(parts.pool[found.labels[parts.pool] == name])
            half = members[: max(chosen.shots, round(PART * len(members)))]
            places = select_cold_start(vectors[half], chosen.shots)
            taught.append(half[places] if different else members[: chosen.shots])
        yield np.concatenate(taught)


# --- frozen encoders ----


def frozen(found: Set, parts: Split, name: str, chosen: argparse.Namespace) -> list[np.ndarray]:
    """Return the balanced accuracies of the four conditions with an encoder and our head.

    Colour histograms cannot be adapted, so these entries are empty.
    """
    vectors: list[np.ndarray | None] = [encode(found.crops, make_encoder(name, "auto")), None]
    if name != COLOUR:
        vectors[1] = encode(found.crops, adapted(found, parts, name, chosen))
    figures = []
    for different in (False, True):
        for rows in vectors:
            if rows is None:
                figures.append(np.array([]))
                continue
            told = [
                head_score(found, parts, rows, taught)
                for taught in draws(found, parts, rows, different, chosen)
            ]
            figures.append(np.array(told))
    return figures


def head_score(found: Set, parts: Split, rows: np.ndarray, taught: np.ndarray) -> float:
    """Return the balanced accuracy of our head; the pool's other crops are unlabelled."""
    classes = tuple(str(one) for one in np.unique(found.labels))
    support = SupportSet(rows[taught], tuple(found.labels[taught].tolist()))
    head = fit(support, classes, context=rows[parts.pool])
    answers = np.array(head.class_ids)[head.scores(rows[parts.asked]).argmax(axis=1)]
    return float(score_predictions(found.labels[parts.asked], answers)[0])


def adapted(found: Set, parts: Split, name: str, chosen: argparse.Namespace) -> Encoder:
    """Return the encoder of that name after SimCLR on the pool."""
    params = AdaptParams(steps=chosen.steps, seed=chosen.seed)
    none = LabelledCrops(found.crops[:0], ())
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "adapted.safetensors"
        job = AdaptJob(Path(folder) / "work", out, params, name, decided_by_clicks=False)
        write_training_set(job.folder, AdaptTrainingSet(found.crops[parts.pool], none, ()))
        run_to_end(adapt(job))
        return load_encoder(f"adapted:{out}")


def encode(crops: np.ndarray, by: Encoder) -> np.ndarray:
    """Return the embeddings of all crops."""
    return np.concatenate([by.encode(crops[at : at + 32]) for at in range(0, len(crops), 32)])


def resnet(found: Set, parts: Split, chosen: argparse.Namespace) -> list[np.ndarray]:
    """Return the balanced accuracies of the four conditions with a fine-tuned ResNet18.

    The most different crops are chosen by the embeddings of the ImageNet encoder.
    """
    by_imagenet = encode(found.crops, load_encoder("imagenet"))
    starts = [start_weights(chosen.resnet), None]
    starts[1] = after_simclr(found.crops[parts.pool], starts[0], chosen.steps, chosen.seed)
    names, targets = np.unique(found.labels, return_inverse=True)
    figures = []
    for different in (False, True):
        for start in starts:
            told = []
            for draw, taught in enumerate(draws(found, parts, by_imagenet, different, chosen)):
                lesson = found.crops[taught], targets[taught]
                answers = fine_tuned(start, lesson, found.crops[parts.asked], draw)
                told.append(float(score_predictions(found.labels[parts.asked], names[answers])[0]))
            figures.append(np.array(told))
    return figures


# --- the table ----


def figure(told: np.ndarray) -> str:
    """Return the mean with the middle 95 % of the draws."""
    if not len(told):
        return "–"
    low, high = percentile_interval(told)
    return f"{told.mean():.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    chosen = options()
    print(f"| set | network | {' | '.join(CONDITIONS)} | has seen the set |")
    print("|---" * (3 + len(CONDITIONS)) + "|", flush=True)
    raw: dict[str, dict[str, list[list[float]]]] = {}
    notes: dict[str, None] = {}
    for name in chosen.sets:
        found = opened(name, chosen.data)
        parts = split(found, chosen.most, chosen.seed)
        sizes = dict(zip(*np.unique(found.labels[parts.asked], return_counts=True), strict=True))
        told = ", ".join(f"{count} {one}" for one, count in sizes.items())
        notes[f"{found.name}: {len(parts.pool)} crops to draw from, scored {told}."] = None
        of_set = raw.setdefault(found.name, {})
        for one in chosen.encoders:
            info = make_encoder(one, "auto").info
            label = f"{info.name}, frozen, our head"
            of_set[label] = show(found, label, frozen(found, parts, one, chosen), info.seen)
            notes[f"{info.name} ({info.sha256[:12]}) has seen: {info.seen}."] = None
        if not chosen.no_resnet:
            start = "ImageNet" if chosen.resnet else "random weights"
            label = f"ResNet18 {start}, all layers fine-tuned"
            of_set[label] = show(found, label, resnet(found, parts, chosen), "")
    print("\n" + "\n".join(notes))
    print(f"{chosen.shots} a class, {chosen.draws} draws, seed {chosen.seed}, SimCLR of "
          f"{chosen.steps} batches of 64 on the pool; balanced accuracy, in brackets the middle "
          f"95 % of the draws; {time.process_time() / 60:.0f} min of processor time.")  # fmt: skip
    if chosen.json:
        chosen.json.write_text(json.dumps(raw, indent=1))


def show(found: Set, label: str, figures: list[np.ndarray], seen: str) -> list[list[float]]:
    """Print a row; return its figures."""
    known = "YES: not a test of it" if found.name.upper() in seen.upper() else "no"
    cells = " | ".join(map(figure, figures))
    print(f"| {found.name} | {label} | {cells} | {known} |", flush=True)
    return [one.round(4).tolist() for one in figures]


def opened(name: str, data: Path) -> Set:
    """Return a dataset by name or folder; it must have two classes."""
    if name == "live_dead":
        found = live_dead(data)
    elif name == "pbc":
        found = folder_set(data / "pbc", ("lymphocyte", "monocyte"))
    else:
        found = folder_set(Path(name))
    classes = np.unique(found.labels)
    if len(classes) != 2:
        raise SystemExit(f"{name} has {len(classes)} classes: the four conditions are for two.")
    return found


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=["live_dead", "pbc"], metavar="FOLDER")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--encoders", nargs="+", default=[COLOUR, "bundled", "imagenet"])
    parser.add_argument("--resnet", type=Path, help="ImageNet weights of timm's resnet18")
    parser.add_argument("--no-resnet", action="store_true", help="only the frozen encoders")
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--steps", type=int, default=60, help="batches of SimCLR")
    parser.add_argument("--most", type=int, default=100, help="crops scored per class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figure of every draw")
    return parser.parse_args()


if __name__ == "__main__":
    main()
