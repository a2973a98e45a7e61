"""Few-shot accuracy on BCCD: ``python benchmarks/bccd_five_clicks.py [DATA]``.

The annotated boxes are the cells. The annotated examples (clicks) are drawn from the train
fields, and all boxes of the val fields are classified. Prints a Markdown table of macro F1.
"""

from __future__ import annotations

import argparse
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from napari_hemacells.core.classify import SupportSet, fit
from napari_hemacells.core.encode import EmbeddingCache, bundled_encoder, embed
from napari_hemacells.core.evaluate import percentile_interval, score_predictions
from napari_hemacells.core.evaluate.fewshot import default_cache_folder
from napari_hemacells.core.image import read_image
from napari_hemacells.core.types import BOX_COLUMNS, Cells, CropSpec

if TYPE_CHECKING:
    from napari_hemacells.core.encode import Encoder

CLASSES = ("RBC", "WBC", "Platelets")
EDGES = ("ymin", "xmin", "ymax", "xmax")


def read_boxes(file: Path, shape: tuple[int, int]) -> tuple[np.ndarray, list[str], int]:
    """``(n, 4)`` half-open boxes inside the image, their classes, and how many were empty."""
    boxes, names = [], []
    objects = ET.parse(file).getroot().findall("object")  # noqa: S314 (our own data)
    for found in objects:
        box = np.array([int(found.findtext(f"bndbox/{edge}", "0")) for edge in EDGES])
        box = np.clip(box - [1, 1, 0, 0], 0, [*shape, *shape])  # VOC counts from 1, both ends in
        stated = [int(found.findtext(f"bndbox/{edge}", "0")) for edge in EDGES]
        if stated[2] > stated[0] and stated[3] > stated[1] and (box[2:] > box[:2]).all():
            boxes.append(box)
            names.append(found.findtext("name", ""))
    return np.array(boxes).reshape(-1, 4), names, len(objects) - len(boxes)


class EmbeddedBoxes(NamedTuple):
    """``(n, dim)`` embeddings and ``(n,)`` classes of boxes, and how many had no area."""

    vectors: np.ndarray
    classes: np.ndarray
    skipped: int


def embed_fields(data: Path, part: str) -> EmbeddedBoxes:
    """All boxes of a list of fields, embedded by the bundled encoder."""
    return embed_boxes(data, part, bundled_encoder("auto"))


def embed_boxes(data: Path, part: str, encoder: Encoder, most: int | None = None) -> EmbeddedBoxes:
    """All boxes of a list of fields, or of its first ones, embedded."""
    cache = EmbeddingCache(default_cache_folder())
    vectors, classes, skipped = [], [], 0
    for name in (data / f"{part}.txt").read_text().split()[:most]:
        image = read_image(data / "images" / f"{name}.jpg")
        boxes, names, without_area = read_boxes(data / "annotations" / f"{name}.xml", image.shape)
        skipped += without_area
        table = pd.DataFrame(boxes, columns=BOX_COLUMNS)
        table.insert(0, "label", np.arange(1, len(boxes) + 1))
        cells = Cells(np.zeros(image.shape, np.int32), table, 100.0, "shapes")
        vectors.append(embed(image, cells, CropSpec(), encoder, cache).vectors)
        classes += names
    return EmbeddedBoxes(np.concatenate(vectors), np.array(classes), skipped)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data/bccd"))
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--clicks", type=int, nargs="+", default=[1, 2, 5, 10, 20])
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    train, known, skipped_train = embed_fields(chosen.data, "train")
    val, truth, skipped_val = embed_fields(chosen.data, "val")
    print("| clicks per class | macro F1 | 95 % of draws | balanced accuracy | F1 of each class |")
    print("|---|---|---|---|---|")
    for clicks in chosen.clicks:
        print(row((train, known), (val, truth), clicks, chosen.repeats, chosen.seed), flush=True)
    counts = {name: int((truth == name).sum()) for name in CLASSES}
    info = bundled_encoder("auto").info
    print(
        f"\nClicks from the train fields ({len(known)} boxes), all boxes of the val fields scored"
    )
    print(f"({counts}); the official lists of fields, few slides in both; no slide is known.")
    print(f"Boxes without area skipped: {skipped_train} train, {skipped_val} val.")
    print(f"Encoder {info.name}, which has seen: {info.seen}. Crop {CropSpec().to_dict()}.")
    print(f"{chosen.repeats} draws of clicks, seed {chosen.seed}.")


def row(
    annotated: tuple[np.ndarray, np.ndarray],
    asked: tuple[np.ndarray, np.ndarray],
    clicks: int,
    repeats: int,
    seed: int,
) -> str:
    """Return the row of one number of clicks."""
    from sklearn.metrics import f1_score

    (train, known), (val, truth) = annotated, asked
    figures, each = [], []
    for draw in range(repeats):
        random = np.random.default_rng([seed, clicks, draw])
        taught = np.concatenate(
            [
                random.choice(np.flatnonzero(known == name), clicks, replace=False)
                for name in CLASSES
            ]
        )
        head = fit(SupportSet(train[taught], tuple(known[taught].tolist())), CLASSES)
        found = np.array(head.class_ids)[head.scores(val).argmax(axis=1)]
        figures.append(score_predictions(truth, found))
        each.append(f1_score(truth, found, labels=list(CLASSES), average=None))
    accuracy, macro = np.array(figures).T
    low, high = percentile_interval(macro)
    by_class = ", ".join(
        f"{name} {value:.3f}" for name, value in zip(CLASSES, np.mean(each, axis=0), strict=True)
    )
    return (
        f"| {clicks} | {macro.mean():.3f} | {low:.3f} to {high:.3f} | {accuracy.mean():.3f} "
        f"| {by_class} |"
    )


if __name__ == "__main__":
    main()
