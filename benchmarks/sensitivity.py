"""F1 of the bundled detector at sensitivities from 0.3 to 0.9, on fields it was not trained on.

::

    python benchmarks/sensitivity.py --data ../shared/data [--every N] [--json FILE]

Sets: TXL-PBC's val fields of BCCD, Raabin and PBC, in which every cell is boxed (every Nth field);
Chula's held-out file numbers (centres of red cells, incomplete). Scores as of ``hemacells evaluate
detection``: a box hits with an IoU of 0.5, a centre inside a cell. Intervals: the middle 95 % of
2,000 draws of fields (of slides for Raabin, which names them). The default stays where no other
sensitivity is better on every set, with an interval of the difference above 0.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.detect.learned.model import bundled_model
from napari_hemacells.core.detect.pipeline import detect_learned_steps
from napari_hemacells.core.evaluate.detection_datasets import (
    AnnotatedPoints,
    read_fields,
)
from napari_hemacells.core.evaluate.detection_metrics import Boxes, match_boxes, match_points
from napari_hemacells.core.evaluate.held_out import is_held_out_chula
from napari_hemacells.core.image import read_image
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types import RBC
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from napari_hemacells.core.evaluate.detection_datasets import AnnotatedField
    from napari_hemacells.core.types import Cells

SENSITIVITIES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DEFAULT = 0.5
DRAWS = 2000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="every Nth field")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    for name, (fields, groups) in data_sets(options.data, options.every).items():
        counts = np.array([field_counts(field) for field in fields])
        results[name] = scores(counts, groups)
        show(name, len(fields), results[name])
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))


def data_sets(data: Path, every: int) -> dict[str, tuple[list[AnnotatedField], list[str]]]:
    """Return the annotated fields of each set, and what each is drawn with."""
    txl = data / "txl_pbc"
    with (txl / "fields.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    files = {
        **{
            name: ([txl / "images" / row["image"] for row in rows
                    if row["source"] == source and row["split"] == "val"][::every], "txl_pbc")
            for source, name in (("bccd", "BCCD"), ("raabin", "Raabin"), ("pbc", "PBC"))
        },
        "Chula held out, centres": (chula_files(data)[::every], "chula_rbc12"),
    }  # fmt: skip
    slides = {row["image"]: row["slide"] for row in rows}
    sets = {}
    for name, (paths, folder) in files.items():
        labels = "labels" if folder == "chula_rbc12" else "annotations"
        as_class = RBC if folder == "chula_rbc12" else None
        fields, _ = read_fields(paths, data / folder / labels, as_class=as_class)
        groups = [slides.get(field.path.name) or field.path.name for field in fields]
        sets[name] = fields, groups
    return sets


def chula_files(data: Path) -> list[Path]:
    """Return the held-out fields that have points."""
    files = sorted((data / "chula_rbc12/labels").glob("*.txt"), key=lambda file: int(file.stem))
    return [
        data / f"chula_rbc12/images/{file.stem}.jpg"
        for file in files
        if is_held_out_chula(int(file.stem)) and file.read_text().strip()
    ]


def field_counts(field: AnnotatedField) -> list[tuple[int, int, int]]:
    """Return annotated cells, found cells and hits of a field at each sensitivity."""
    image, model = read_image(field.path), bundled_model()  # which keeps the network's maps
    counts = []
    for sensitivity in SENSITIVITIES:
        steps = detect_learned_steps(image, DetectParams(sensitivity=sensitivity), model=model)
        counts.append(hits(field, run_to_end(steps)))
    return counts


def hits(field: AnnotatedField, cells: Cells) -> tuple[int, int, int]:
    """Return annotated cells, found cells and hits, of the classes that are annotated."""
    if isinstance(field.truth, AnnotatedPoints):
        red = cells.ids[(cells.table["class"] == RBC).to_numpy()]
        hit = np.isin(match_points(cells, field.truth.centres), red)
        return len(field.truth.centres), len(red), int(hit.sum())
    found = Boxes.of_cells(cells)
    hit_count = sum(
        int((match_boxes(found.of_class(name), field.truth.of_class(name)) >= 0).sum())
        for name in ("RBC", "WBC", "Platelets")
    )
    return len(field.truth), len(found), hit_count


def scores(counts: np.ndarray, groups: list[str]) -> dict[str, Any]:
    """Return F1, precision, recall and their intervals at each sensitivity.

    Parameters
    ----------
    counts
        ``(fields, sensitivities, 3)``.
    """
    names = sorted(set(groups))
    by_group = np.array(
        [counts[[group == name for group in groups]].sum(axis=0) for name in names]
    )
    draws = np.random.default_rng(0).integers(0, len(names), (DRAWS, len(names)))
    drawn = f1(by_group[draws].sum(axis=1))
    gained = drawn - drawn[:, [SENSITIVITIES.index(DEFAULT)]]
    total = counts.sum(axis=0)
    return {
        f"{sensitivity:g}": {
            "f1": float(f1(total)[i]),
            "f1_interval": np.quantile(drawn[:, i], [0.025, 0.975]).tolist(),
            "gain_interval": np.quantile(gained[:, i], [0.025, 0.975]).tolist(),
            "precision": float(total[i, 2] / max(total[i, 1], 1)),
            "recall": float(total[i, 2] / max(total[i, 0], 1)),
            "annotated": int(total[i, 0]),
            "groups": len(names),
        }
        for i, sensitivity in enumerate(SENSITIVITIES)
    }


def f1(counts: np.ndarray) -> np.ndarray:
    """Return F1 of ``(…, 3)`` annotated, found, hits."""
    return 2 * counts[..., 2] / np.maximum(counts[..., 0] + counts[..., 1], 1)


def show(name: str, fields: int, result: dict[str, Any]) -> None:
    """Print the lines of one set."""
    print(f"\n{name}: {fields} fields", flush=True)
    for sensitivity, row in result.items():
        low, high = row["f1_interval"]
        less, more = row["gain_interval"]
        print(
            f"  {sensitivity}  F1 {row['f1']:.3f} ({low:.3f} to {high:.3f})"
            f"  against {DEFAULT:g}: {less:+.3f} to {more:+.3f}"
            f"  precision {row['precision']:.3f}  recall {row['recall']:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
