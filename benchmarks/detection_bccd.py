"""The classical detector on annotated fields: ``python benchmarks/detection_bccd.py``.

Prints precision, recall and F1 a class on BCCD boxes at IoU 0.5, the surest cells matched first,
and the share of the red cells' centres of Chula RBC-12 that lie in a found red cell. Both sets
leave red cells out in crowded fields, so a false red cell is not always one.
"""

from __future__ import annotations

import argparse
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import numpy as np

from napari_hemacells.core.detect.smear import detect
from napari_hemacells.core.image import read_image
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types import PLATELET, RBC, WBC, Cells

KINDS = (RBC, WBC, PLATELET)
EDGES = ("ymin", "xmin", "ymax", "xmax")
SAME = 0.5  # intersection over union from which a found box is the annotated one


def read_boxes(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """``(n, 4)`` half-open boxes and their ``(n,)`` classes; those without area are left out."""
    boxes, names = [], []
    for one in ET.parse(file).iterfind(".//object"):  # noqa: S314 (our own data)
        box = [int(one.findtext(f"bndbox/{edge}", "0")) for edge in EDGES]
        if box[2] > box[0] and box[3] > box[1]:
            boxes.append(np.subtract(box, [1, 1, 0, 0]))  # VOC counts from 1, both ends in
            names.append(one.findtext("name", ""))
    return np.array(boxes, dtype=float).reshape(-1, 4), np.array(names)


def overlaps(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """``(n, m)`` intersection over union of two sets of boxes."""
    low = np.maximum(found[:, None, :2], true[None, :, :2])
    high = np.minimum(found[:, None, 2:], true[None, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (found, true)]
    return both / (areas[0][:, None] + areas[1][None] - both)


def matched(found: np.ndarray, scores: np.ndarray, true: np.ndarray) -> int:
    """Return how many annotated boxes are found, each once, the surest found box first."""
    shares = overlaps(found, true)
    hits = 0
    for place in np.argsort(-scores, kind="stable"):
        if shares.shape[1] and shares[place].max() >= SAME:
            hits += 1
            shares[:, shares[place].argmax()] = -1.0
    return hits


def bccd_field(cells: Cells, boxes: np.ndarray, names: np.ndarray) -> Counter[tuple[str, str]]:
    """Return hits, found and annotated cells of a field, a class."""
    kinds, scores = cells.table["class"].to_numpy(), cells.table["score"].to_numpy()
    total: Counter[tuple[str, str]] = Counter()
    for kind in KINDS:
        mine, true = kinds == kind, boxes[names == kind]
        total[kind, "hits"] = matched(cells.boxes[mine].astype(float), scores[mine], true)
        total[kind, "found"], total[kind, "true"] = int(mine.sum()), len(true)
    return total


def bccd(data: Path, split: str, params: DetectParams) -> None:
    """Print the table of BCCD."""
    total: Counter[tuple[str, str]] = Counter()
    names = (data / f"{split}.txt").read_text().split()
    seconds = 0.0
    for name in names:
        image = read_image(data / "images" / f"{name}.jpg")
        start = time.perf_counter()
        cells = detect(image, params)
        seconds += time.perf_counter() - start
        total.update(bccd_field(cells, *read_boxes(data / "annotations" / f"{name}.xml")))
    print(f"BCCD {split}, {len(names)} fields, IoU {SAME}, {seconds / len(names):.2f} s a field\n")
    print("| class | precision | recall | F1 | found | annotated |\n|---|---|---|---|---|---|")
    for kind in KINDS:
        hits, found, true = (total[kind, what] for what in ("hits", "found", "true"))
        rates = hits / max(found, 1), hits / max(true, 1), 2 * hits / max(found + true, 1)
        print(f"| {kind} | " + " | ".join(f"{r:.3f}" for r in rates) + f" | {found} | {true} |")


def chula(data: Path, every: int, params: DetectParams) -> None:
    """Print how many annotated centres of Chula RBC-12 lie in a red cell, each cell once."""
    files = sorted((data / "labels").glob("*.txt"), key=lambda file: int(file.stem))
    files = [file for file in files if file.stat().st_size][::every]  # some fields have no cells
    hits = centres = found = 0
    for file in files:
        points = np.loadtxt(file, dtype=int, ndmin=2)[:, :2]
        cells = detect(read_image(data / "images" / f"{file.stem}.jpg"), params)
        rows, cols = cells.labels.shape
        place = np.clip(points[:, 1], 0, rows - 1), np.clip(points[:, 0], 0, cols - 1)
        red = cells.ids[(cells.table["class"] == RBC).to_numpy()]
        hits += len(np.intersect1d(cells.labels[place], red))
        centres, found = centres + len(points), found + len(red)
    print(
        f"\nChula RBC-12, {len(files)} fields: {hits / max(centres, 1):.3f} of {centres} centres"
    )
    print(f"lie in a red cell of their own ({found} red cells found).")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--split", choices=("train", "val"), default="val")
    parser.add_argument("--sensitivity", type=float, default=0.5)
    parser.add_argument("--chula-every", type=int, default=4, help="take each Nth Chula field")
    chosen = parser.parse_args()
    params = DetectParams(sensitivity=chosen.sensitivity)
    bccd(chosen.data / "bccd", chosen.split, params)
    chula(chosen.data / "chula_rbc12", chosen.chula_every, params)


if __name__ == "__main__":
    main()
