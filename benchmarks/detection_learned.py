r"""The bundled detector, an older one and, if asked for, the classical one in one table.

::

    git show 1561d0d:src/napari_hemacells/weights/detector.safetensors > build/old.safetensors
    python benchmarks/detection_learned.py --data ../shared/data --old build/old.safetensors \
        --markdown benchmarks/results/detection.md

Three tables: TXL-PBC's val fields, in which every cell is boxed, by laboratory; Chula's held-out
files, in which most red cells have a centre; megapixels a second in turns. Nothing here has been
learned from; the val fields helped to choose the limits. The diameter is measured, not given.

A box hits with an IoU of 0.5; AP50 is over all boxes with a score of 0.05 and more. Intervals: the
middle 95 % of 1,000 draws of fields. On Chula a found red cell without a centre counts as false if
it lies on glass or doubles an annotated cell, and as unannotated if it lies on other stain.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import ndimage as ndi

from napari_hemacells.core.detect.foreground import foreground
from napari_hemacells.core.detect.learned.metadata import KINDS
from napari_hemacells.core.detect.learned.model import (
    DetectionThresholds,
    DetectorModel,
    MapCache,
    bundled_model,
    load_model,
)
from napari_hemacells.core.detect.pipeline import detect_classical, detect_learned_steps
from napari_hemacells.core.detect.stain import read_stain
from napari_hemacells.core.evaluate.detection_datasets import read_points, read_voc
from napari_hemacells.core.evaluate.detection_metrics import (
    Boxes,
    average_precision,
    match_points,
    score_boxes,
)
from napari_hemacells.core.evaluate.held_out import is_held_out_chula
from napari_hemacells.core.image import image_from_array, read_image
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.train.detector.metrics import count_detections
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.core.types import Cells, SmearImage

FLOOR = 0.05  # score of the faintest box that counts for AP50
TOUCHING = 1.25  # centres nearer than this many diameters, on one piece of stain
SOURCES = {"bccd": "BCCD", "raabin": "Raabin", "pbc": "PBC"}
SPEED_SIDE, SPEED_DIAMETER, SPEED_TURNS = 1500, 75.0, 5  # pixels, pixels, runs of each


class Detector(NamedTuple):
    """A name with the network, None for the classical detector."""

    name: str
    model: DetectorModel | None
    faint: DetectorModel | None = None

    @classmethod
    def of(cls, name: str, model: DetectorModel) -> Detector:
        """Return the detector of a network, which runs once for both kinds of boxes."""
        maps, own = MapCache(), model.limits
        low = DetectionThresholds((FLOOR,) * len(KINDS), own.overlap, own.overlap_of_kinds)
        return cls(
            name,
            DetectorModel(model.network, own, maps),
            DetectorModel(model.network, low, maps),
        )

    def cells(self, image: SmearImage) -> Cells:
        """Return the cells of an image as a user gets them."""
        if self.model is None:
            return detect_classical(image)
        return run_to_end(detect_learned_steps(image, model=self.model))

    def faint_boxes(self, image: SmearImage, cells: Cells) -> Boxes:
        """Return all boxes down to a low score, at the scale of the cells."""
        if self.faint is None or len(cells) == 0:
            return Boxes.of_cells(cells)
        params = DetectParams(cell_diameter=cells.diameter)
        return Boxes.of_cells(run_to_end(detect_learned_steps(image, params, model=self.faint)))


def main() -> None:
    """Print the tables, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--old", type=Path, help="weights of an older detector")
    parser.add_argument("--classical", action="store_true", help="the classical detector too")
    parser.add_argument("--every", type=int, default=1, help="use only every Nth field")
    parser.add_argument("--markdown", type=Path, help="write the tables into this file too")
    parser.add_argument("--json", type=Path, help="write all figures into this file too")
    options = parser.parse_args()
    networks = [Detector.of("bundled", bundled_model())]
    if options.old:
        networks.append(Detector.of("old", load_model(options.old)))
    detectors = [*networks, *([Detector("classical", None)] if options.classical else [])]
    results = {
        "txl": {one.name: txl(options.data, one, options.every) for one in detectors},
        "chula": {one.name: chula(options.data, one, options.every) for one in detectors},
        "speed": speed(options.data, networks),
    }
    text = "\n".join(
        (
            *txl_table(results["txl"]),
            *chula_table(results["chula"]),
            *speed_table(results["speed"]),
        )
    )
    print(text)
    if options.markdown:
        options.markdown.write_text(_head() + text + "\n")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


HEAD = """# The cell detector

```
git show {commit}:src/napari_hemacells/weights/detector.safetensors > build/old.safetensors
python benchmarks/detection_learned.py --data ../shared/data --old build/old.safetensors \\
    --markdown benchmarks/results/detection.md
```

{explained}
"""


def _head() -> str:
    """Return how the file was made and what its figures mean."""
    text = __doc__ or ""
    explained = text[text.index("Three tables") :].strip()
    return HEAD.format(
        commit=text.partition("git show ")[2].partition(":")[0], explained=explained
    )


def txl(data: Path, detector: Detector, every: int) -> dict[str, Any]:
    """Return the scores on TXL-PBC's val fields by laboratory and kind."""
    with (data / "txl_pbc/fields.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "val"]
    results = {}
    for source, laboratory in SOURCES.items():
        names = [Path(row["image"]).stem for row in rows if row["source"] == source][::every]
        pairs, faint = [], []
        for name in names:
            image = read_image(data / f"txl_pbc/images/{name}.jpg")
            true = read_voc(data / f"txl_pbc/annotations/{name}.xml", least_side=4.0)
            cells = detector.cells(image)
            pairs.append((Boxes.of_cells(cells), true))
            faint.append((detector.faint_boxes(image, cells), true))
        results[laboratory] = {"fields": len(names), "kinds": _scores(pairs, faint)}
        shown = {kind: (round(row["precision"], 3), round(row["recall"], 3), round(row["f1"], 3))
                 for kind, row in results[laboratory]["kinds"].items()}  # fmt: skip
        print(f"{detector.name}, {laboratory}: {shown}", flush=True)
    return results


def _scores(
    pairs: Sequence[tuple[Boxes, Boxes]], faint: Sequence[tuple[Boxes, Boxes]]
) -> dict[str, Any]:
    """Return rates, the interval of F1, and AP50, of each kind."""
    intervals = count_detections(pairs).intervals()
    precision = average_precision(faint, KINDS)
    rows = {}
    for kind, score in score_boxes(pairs, KINDS).items():
        if kind in KINDS:
            row = {**score.to_dict(), "ap50": precision[kind]}
            rows[kind] = {**row, "f1_interval": intervals.get(kind)}
    return rows


def txl_table(results: dict[str, Any]) -> list[str]:
    """Return the lines of the first table."""
    lines = [
        "", "## Complete boxes (TXL-PBC val)", "",
        "| laboratory | kind | annotated | detector | precision | recall | F1 | AP50 |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for laboratory in SOURCES.values():
        for kind in KINDS:
            for name, result in results.items():
                row, fields = result[laboratory]["kinds"][kind], result[laboratory]["fields"]
                ap50 = "" if row["ap50"] is None or name == "classical" else f"{row['ap50']:.3f}"
                low, high = row["f1_interval"] or (float("nan"),) * 2
                lines.append(
                    f"| {laboratory}, {fields} fields | {kind} | {row['annotated']} | {name} | "
                    f"{row['precision']:.3f} | {row['recall']:.3f} | "
                    f"{row['f1']:.3f} ({low:.3f} to {high:.3f}) | {ap50} |"
                )
    return lines


def chula(data: Path, detector: Detector, every: int) -> dict[str, Any]:
    """Return recall of centres, the kinds of other red cells, and separated touching pairs."""
    total: Counter[str] = Counter()
    for file in _chula_files(data)[::every]:
        points, _ = read_points(file)
        if len(points):
            image = read_image(data / f"chula_rbc12/images/{file.stem}.jpg")
            total += _field(image, detector.cells(image), points)
    return {
        **total,
        "recall": total["hits"] / max(total["points"], 1),
        "false_share": total["false"] / max(total["red"], 1),
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
    return [file for file in files if is_held_out_chula(int(file.stem))]


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


def chula_table(results: dict[str, Any]) -> list[str]:
    """Return the lines of the second table."""
    lines = [
        "", "## Centres of red cells (Chula RBC-12, held-out files)", "",
        "| detector | centres | recall | touching pairs apart | certainly false | unannotated |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| {name} | {row['points']} | {row['recall']:.3f} | {row['apart']} of {row['pairs']} | "
        f"{row['false_share']:.3f} | {row['unannotated']} |"
        for name, row in results.items()
    ]
    return lines


def speed(data: Path, detectors: Sequence[Detector]) -> dict[str, Any]:
    """Return megapixels a second of each detector: each in turn, several times, one image.

    The image is Chula's held-out fields side by side; its diameter is given.
    """
    side = SPEED_SIDE
    tiles = [read_image(data / f"chula_rbc12/images/{file.stem}.jpg").pixels
             for file in _chula_files(data)]  # fmt: skip
    across = -(-side // tiles[0].shape[1])
    bands = [np.hstack([*tiles, *tiles][first : first + across])[:, :side]
             for first in range(0, len(tiles), across)]  # fmt: skip
    image = image_from_array(np.ascontiguousarray(np.vstack(bands)[:side]), "mosaic")
    params = DetectParams(cell_diameter=SPEED_DIAMETER)
    seconds: dict[str, list[float]] = {one.name: [] for one in detectors}
    for _ in range(SPEED_TURNS):
        for one in detectors:
            assert one.model is not None
            fresh = DetectorModel(one.model.network, one.model.limits)  # which keeps no maps
            start = time.perf_counter()
            run_to_end(detect_learned_steps(image, params, model=fresh))
            seconds[one.name].append(time.perf_counter() - start)
    pixels = image.shape[0] * image.shape[1] / 1e6
    return {name: [pixels / one for one in taken] for name, taken in seconds.items()}


def speed_table(results: dict[str, Any]) -> list[str]:
    """Return the lines of the third table."""
    lines = [
        "", "## Speed", "",
        f"{SPEED_SIDE} × {SPEED_SIDE} px, red cells of {SPEED_DIAMETER:.0f} px; in turns.", "",
        "| detector | megapixels a second, median | each run |", "|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| {name} | {np.median(rates):.2f} | {', '.join(f'{rate:.2f}' for rate in rates)} |"
        for name, rates in results.items()
    ]
    return lines


if __name__ == "__main__":
    main()
