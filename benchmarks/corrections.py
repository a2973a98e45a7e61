"""Quality of cells proposed at a click, and of splits: completely boxed fields and Chula.

::

    python benchmarks/corrections.py --data ../shared/data [--cells 300] [--json FILE]

Fields: TXL-PBC's development fields, of its train list but not learned from (the limits of the
detector were chosen on them), in which every cell is boxed; Chula's training fields (centres).

*Removed*: a random detected cell is removed, a click falls inside it (normal noise of 0.2
diameters around its centre), and the proposal is compared with the removed cell. *Missed*: an
annotated box that the detector did not find (no cell with IoU over 0.5) is clicked in the same
way, and the box of the proposal is compared with the annotated one. *Split*: two touching cells
are merged, split again without a line, and the halves are compared with the two cells. *Pairs*:
the same for two annotated red cells that touch, by the boxes of the halves and the annotated ones,
at several least scores of the detector's two centres (`PAIR_SCORE`; below it the outline decides).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

from detector_fields import annotated_boxes, chula_split, txl_files, txl_split
from napari_hemacells.core.cell_ops import replace_cells
from napari_hemacells.core.detect import detect
from napari_hemacells.core.detect.click_proposal import propose_cell
from napari_hemacells.core.detect.learned import point_prompt
from napari_hemacells.core.detect.split import merge_cells, split_cell
from napari_hemacells.core.errors import CellsError
from napari_hemacells.core.image import read_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_hemacells.core.cell_masks import CellMask
    from napari_hemacells.core.detect.proposal import Proposal
    from napari_hemacells.core.types import Cells, SmearImage

    Trial = Callable[[SmearImage, Cells, np.random.Generator], Iterator[dict[str, Any]]]

NOISE = 0.2  # of the cell's diameter
PER_FIELD = 12
USUAL_SCORE = point_prompt.PAIR_SCORE
LEAST_SCORES = (0.02, 0.05, 0.08, 0.12, 0.16, 0.24, 0.36, 2.0)  # 2: by the outline alone


def main() -> None:
    """Print one line of JSON for each dataset and trial."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cells", type=int, default=300)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results = {}
    for name, fields in fields_of(given.data).items():
        kept = {"removed": [], "missed": [], "split": []}
        tried = []
        for image, cells, truth in fields:
            rng = np.random.default_rng(int(image.key[:8], 16))
            kept["removed"] += removed(image, cells, rng)
            kept["split"] += split(image, cells, rng)
            if truth is not None:
                kept["missed"] += missed(image, cells, truth[0], rng)
                tried += pairs(image, cells, truth[0][truth[1] == 0].astype(np.float64))
            if min(len(kept["removed"]), len(kept["split"])) >= given.cells:
                break
        results[name] = {trial: summary(rows[: given.cells]) for trial, rows in kept.items()}
        if tried:
            results[name]["pairs"] = by_least_score(tried)
        print(name, json.dumps(results[name]), flush=True)
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))


def fields_of(data: Path) -> dict[str, Iterator[tuple[SmearImage, Cells, Any]]]:
    """Images with their detected cells, and boxes and kinds if they are annotated."""
    dev = txl_split(data)[1]
    train, _ = chula_split(data)
    boxed = {
        f"{source} dev": map(_field, [txl_files(data, row) for row in dev if row.source == source])
        for source in ("bccd", "raabin", "pbc")
    }
    chula = [(data / "chula_rbc12/images" / f"{n}.jpg", None) for n in train[::3]]
    return {**boxed, "chula train": map(_field, chula)}


def _field(files: tuple[Path, Path | None]) -> tuple[SmearImage, Cells, Any]:
    image = read_image(files[0])
    return image, detect(image), None if files[1] is None else annotated_boxes(files[1])


def removed(image: SmearImage, cells: Cells, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Remove cells one at a time and propose them again."""
    rows = []
    for cell in rng.permutation(cells.ids)[:PER_FIELD].tolist():
        mask = cells.mask_of(cell)
        point = click_within(mask, rng)
        if point is None:
            continue
        made = _proposed(image, replace_cells(cells, [cell], []), point)
        kind = cells.table["class"].iloc[cells.position[cell]]
        rows.append(
            {"iou": 0.0 if made is None else mask_iou(made.mask, mask),
             "how": "refused" if made is None else made.method, "kind": kind,
             "kind_right": made is not None and made.kind == kind}
        )  # fmt: skip
    return rows


def missed(
    image: SmearImage, cells: Cells, truth: NDArray[np.float32], rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Click annotated cells that were not found."""
    rows = []
    for box in truth.astype(np.float64):
        if box_ious(box, cells.boxes).max(initial=0) > 0.5:
            continue
        sides = box[2:] - box[:2]
        point = (box[:2] + box[2:]) / 2 + rng.normal(0, NOISE, 2) * sides
        point = np.clip(point, 0, np.array(image.shape) - 1)
        made = _proposed(image, cells, (float(point[0]), float(point[1])))
        iou = 0.0 if made is None else float(box_ious(box, np.array([made.box]))[0])
        rows.append({"iou": iou, "how": "refused" if made is None else made.method})
    return rows


def split(image: SmearImage, cells: Cells, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Merge pairs of touching cells and split them again."""
    rows = []
    for first, second in rng.permutation(touching(cells))[:PER_FIELD].tolist():
        pair = [cells.mask_of(first), cells.mask_of(second)]
        merged = merged_cells(cells, [first, second])
        halves = [half.mask for half in split_cell(image, merged, first)]
        straight = [mask_iou(half, cell) for half, cell in zip(halves, pair, strict=True)]
        crossed = [mask_iou(half, cell) for half, cell in zip(halves[::-1], pair, strict=True)]
        rows.append({"iou": max(min(straight), min(crossed)), "how": "split"})
    return rows


def pairs(image: SmearImage, cells: Cells, truth: NDArray[np.float64]) -> list[dict[str, bool]]:
    """Merge the cells found for two annotated ones that touch, and split them again.

    Returns for each pair whether the halves are right at each least score: both of their boxes
    have an IoU over 0.5 with the annotated ones.
    """
    found = [int(np.argmax(ious)) if ious.max(initial=0) > 0.5 else -1
             for ious in (box_ious(box, cells.boxes) for box in truth)]  # fmt: skip
    rows = []
    for first, second in touching_boxes(truth):
        chosen = [found[first], found[second]]
        if -1 in chosen or chosen[0] == chosen[1]:
            continue
        ids = [int(cells.ids[place]) for place in chosen]
        merged = merged_cells(cells, ids)
        row = {}
        for least in LEAST_SCORES:
            point_prompt.PAIR_SCORE = least
            halves = np.array([half.mask.box for half in split_cell(image, merged, ids[0])], float)
            row[f"{least:g}"] = both_right(halves, truth[[first, second]])
        point_prompt.PAIR_SCORE = USUAL_SCORE
        rows.append(row)
    return rows


def both_right(halves: NDArray[np.float64], wanted: NDArray[np.float64]) -> bool:
    """Whether two boxes are the two wanted ones, in any order."""
    ious = np.array([box_ious(box, halves) for box in wanted])
    straight, crossed = ious[[0, 1], [0, 1]], ious[[0, 1], [1, 0]]
    return bool(max(straight.min(), crossed.min()) > 0.5)


def by_least_score(rows: list[dict[str, bool]]) -> dict[str, Any]:
    """Return the number of pairs and the share that is right at each least score."""
    right = {name: round(float(np.mean([row[name] for row in rows])), 3) for name in rows[0]}
    return {"pairs": len(rows), "right": right}


def touching_boxes(boxes: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs of boxes that overlap by a twentieth of the smaller one, at most by three fifths."""
    found = []
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    for first in range(len(boxes)):
        for second in range(first + 1, len(boxes)):
            low = np.maximum(boxes[first, :2], boxes[second, :2])
            high = np.minimum(boxes[first, 2:], boxes[second, 2:])
            share = np.clip(high - low, 0, None).prod() / min(areas[first], areas[second])
            if 0.05 < share < 0.6:
                found.append((first, second))
    return found


def merged_cells(cells: Cells, ids: list[int]) -> Cells:
    """Return the cells with these merged into the first of them."""
    one = merge_cells(cells, ids)
    row = {
        "label": ids[0], "class": one.kind, "score": one.score, "row": one.centre[0],
        "col": one.centre[1], "area": one.mask.area,
        **dict(zip(("min_row", "min_col", "max_row", "max_col"), one.box, strict=True)),
    }  # fmt: skip
    return replace_cells(cells, ids, [(ids[0], row, one.mask)])


def touching(cells: Cells) -> list[tuple[int, int]]:
    """Pairs of cells with adjacent pixels."""
    labels = np.asarray(cells.labels)
    pairs = set()
    for one, other in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        edge = (one != other) & (one > 0) & (other > 0)
        pairs |= set(zip(one[edge].tolist(), other[edge].tolist(), strict=True))
    return sorted({(min(pair), max(pair)) for pair in pairs})


def click_within(mask: CellMask, rng: np.random.Generator) -> tuple[float, float] | None:
    """A click near the centre of the cell; None if the cell has hardly a pixel."""
    size = np.sqrt(4 * mask.area / np.pi)
    if size < 4:
        return None
    middle = np.argwhere(mask.bits).mean(axis=0)
    for _ in range(50):
        place = middle + rng.normal(0, NOISE * size, 2)
        row, col = np.floor(place).astype(int)
        inside = 0 <= row < mask.bits.shape[0] and 0 <= col < mask.bits.shape[1]
        if inside and mask.bits[row, col]:
            return float(place[0] + mask.box[0]), float(place[1] + mask.box[1])
    return None


def _proposed(image: SmearImage, cells: Cells, point: tuple[float, float]) -> Proposal | None:
    try:
        return propose_cell(image, cells, point)
    except CellsError:
        return None


def mask_iou(one: CellMask, other: CellMask) -> float:
    """Intersection over union of two masks."""
    shared = one.area - one.without(other).area
    return shared / max(one.area + other.area - shared, 1)


def box_ious(box: NDArray[np.float64], boxes: NDArray[Any]) -> NDArray[np.float64]:
    """Intersection over union of a box with others."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(shared / np.maximum(areas - shared, 1e-9), dtype=np.float64)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Median IoU, share over 0.5, and how the proposals were made."""
    if not rows:
        return {"cells": 0}
    iou = np.array([row["iou"] for row in rows])
    how = [row["how"] for row in rows]
    result = {
        "cells": len(rows),
        "median_iou": round(float(np.median(iou)), 3),
        "over_half": round(float((iou > 0.5).mean()), 3),
        "how": {name: how.count(name) for name in sorted(set(how))},
    }
    if "kind_right" in rows[0]:
        result["kind_right"] = round(float(np.mean([row["kind_right"] for row in rows])), 3)
    return result


if __name__ == "__main__":
    main()
