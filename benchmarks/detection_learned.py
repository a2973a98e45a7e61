"""The learned and the classical detector compared: BCCD val, Chula's held-out blocks, speed.

::

    python benchmarks/detection_learned.py --data ../shared/data [--json FILE] [--every N]

BCCD val is scored as annotated, and once more without the detected red cells on unannotated red
stain (four in ten red cells are missing from the annotation). On Chula only centres
are annotated, and in most fields not all: a detected red cell without a centre counts as false if
it lies on glass or doubles an annotated cell, and as unannotated if it lies on other stain.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage as ndi

from napari_hemacells.core.detect.foreground import foreground
from napari_hemacells.core.detect.learned.metadata import KINDS
from napari_hemacells.core.detect.pipeline import detect_classical, detect_learned
from napari_hemacells.core.detect.stain import read_stain
from napari_hemacells.core.evaluate.detection_datasets import read_points, read_voc
from napari_hemacells.core.evaluate.detection_metrics import (
    Boxes,
    match_boxes,
    match_points,
    score_boxes,
)
from napari_hemacells.core.image import read_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_hemacells.core.types import Cells, SmearImage

    Detector = Callable[[SmearImage], Cells]

CHULA_BLOCK, CHULA_TEST_EVERY, CHULA_TEST_PLACE = 20, 5, 2  # as in training/detector_fields.py
TOUCHING = 1.25  # centres nearer than this many diameters, on one piece of stain


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="use only every Nth field")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    for name, detector in _detectors().items():
        results[name] = {
            "bccd": bccd(options.data, detector, options.every),
            "chula": chula(options.data, detector, options.every),
        }
        _show(name, results[name])
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def _detectors() -> dict[str, Detector]:
    return {"learned": detect_learned, "classical": detect_classical}


def bccd(data: Path, detector: Detector, every: int) -> dict[str, Any]:
    """Return the scores on BCCD val by class, and seconds per field."""
    pairs, lenient, start = [], [], time.perf_counter()
    for name in (data / "bccd/val.txt").read_text().split()[::every]:
        image = read_image(data / f"bccd/images/{name}.jpg")
        found = Boxes.of_cells(detector(image))
        true = read_voc(data / f"bccd/annotations/{name}.xml", least_side=4.0)
        pairs.append((found, true))
        lenient.append((_without_unannotated(found, true), true))
    seconds = (time.perf_counter() - start) / len(pairs)
    scores = {kind: score.to_dict() for kind, score in score_boxes(pairs, KINDS).items()}
    fair = {kind: score.to_dict() for kind, score in score_boxes(lenient, KINDS).items()}
    return {"classes": scores, "annotated_places_only": fair, "seconds": seconds}


def _without_unannotated(found: Boxes, true: Boxes) -> Boxes:
    """Leave out false red cells that lie less than half inside annotated boxes."""
    red, red_true = found.classes == KINDS[0], true.of_class(KINDS[0])
    missed = np.ones(len(found), bool)
    missed[red] = match_boxes(found.of_class(KINDS[0]), red_true) < 0
    limits = np.concatenate([found.boxes, true.boxes]).max(axis=0, initial=1)
    covered = np.zeros((int(limits[2]) + 1, int(limits[3]) + 1), bool)
    for top, left, bottom, right in true.boxes.astype(int):
        covered[top:bottom, left:right] = True
    parts = [
        covered[top:bottom, left:right] for top, left, bottom, right in found.boxes.astype(int)
    ]
    share = np.array([part.mean() if part.size else 0.0 for part in parts])
    return found.pick(~(red & missed & (share < 0.5)))


def chula(data: Path, detector: Detector, every: int) -> dict[str, Any]:
    """Return recall of centres, the kinds of other red cells, and separated touching pairs."""
    total: Counter[str] = Counter()
    for file in _chula_files(data)[::every]:
        points, _ = read_points(file)
        if len(points):
            image = read_image(data / f"chula_rbc12/images/{file.stem}.jpg")
            total += _field(image, detector(image), points)
    return {
        **total,
        "recall": total["hits"] / max(total["points"], 1),
        "false_share": total["false"] / max(total["red"], 1),
        "pairs_apart": total["apart"] / max(total["pairs"], 1),
    }


def _field(image: SmearImage, cells: Cells, points: np.ndarray) -> Counter[str]:
    """Return the counts of one Chula field."""
    stain = foreground(read_stain(image.pixels), 1.5)
    hit = match_points(cells, points)
    red = (cells.table["class"] == KINDS[0]).to_numpy()
    other = cells.ids[red & ~np.isin(cells.ids, hit)]
    on_stain = [stain[cells.labels == cell].mean() > 0.5 for cell in other]
    doubled = [_near(cells, cell, points) for cell in other]
    unknown = int(np.sum(np.array(on_stain, bool) & ~np.array(doubled, bool)))
    touching, apart = _touching(stain, cells.diameter, points, hit)
    return Counter(
        points=len(points), hits=int((hit > 0).sum()), red=int(red.sum()), unannotated=unknown,
        false=len(other) - unknown, pairs=touching, apart=apart,
    )  # fmt: skip


def _near(cells: Cells, cell: int, points: np.ndarray) -> bool:
    """Whether an annotated centre that another cell matched lies in the middle of this one."""
    apart = np.abs(points - cells.centres[cells.position[cell]]).max(axis=1)
    return bool((apart < 0.3 * cells.diameter).any())


def _chula_files(data: Path) -> list[Path]:
    files = sorted((data / "chula_rbc12/labels").glob("*.txt"), key=lambda file: int(file.stem))
    blocks = [int(file.stem) // CHULA_BLOCK % CHULA_TEST_EVERY for file in files]
    return [file for file, block in zip(files, blocks, strict=True) if block == CHULA_TEST_PLACE]


def _touching(
    stain: np.ndarray, diameter: float, points: np.ndarray, hit: np.ndarray
) -> tuple[int, int]:
    """Return how many annotated pairs touch, and how many of them were detected as two cells."""
    pieces, _ = ndi.label(stain)
    place = np.clip(points.astype(int), 0, np.array(pieces.shape) - 1)
    piece = pieces[tuple(place.T)]
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    near = (apart < TOUCHING * max(diameter, 1)) & (piece[:, None] == piece[None]) & (piece > 0)
    first, second = np.nonzero(np.triu(near, 1))
    return len(first), int(((hit[first] > 0) & (hit[second] > 0)).sum())


def _show(name: str, result: dict[str, Any]) -> None:
    print(f"\n{name}: {result['bccd']['seconds']:.2f} s per field of 640×480")
    for part in ("classes", "annotated_places_only"):
        for kind, score in result["bccd"][part].items():
            rates = "  ".join(f"{key} {score[key]:.3f}" for key in ("precision", "recall", "f1"))
            ap50 = "-" if score["ap50"] is None else f"{score['ap50']:.3f}"
            print(f"  BCCD val {part:22}{kind:10}{rates}  ap50 {ap50}  n {score['annotated']}")
    print("  Chula held out:", {k: round(v, 3) for k, v in result["chula"].items()})


if __name__ == "__main__":
    main()
