"""Smears with truth for the simulation of the first clicks: cells as the detector finds them.

Fields are detected by the bundled detector and embedded by the bundled encoder once; what is
needed of them is kept in the temporary folder. The truth of a detected cell is the box (or, in
Chula's fields, the centre) that it matches; a detected thing that matches nothing is no cell.

======== ================================================================== ====================
slide     fields                                                            seen by the models
======== ================================================================== ====================
bccd      TXL-PBC's val fields of BCCD, every cell boxed                     encoder: BCCD
raabin    TXL-PBC's val fields of Raabin, every cell boxed                   nothing of them
chula     Chula's held-out files, red cells by their centres, and the white  nothing of them
          cells of wbc_chula, which are pictures of their own
======== ================================================================== ====================

``…_train`` are the fields of the same sets that the networks have learned from: settings are
chosen on these. White cells are thinned until there are `RED_TO_WHITE` red cells to each.
"""

from __future__ import annotations

import csv
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from napari_hemacells.core.detect import cells_from_boxes, detect
from napari_hemacells.core.encode import embed, load_encoder
from napari_hemacells.core.evaluate.detection_datasets import read_voc
from napari_hemacells.core.evaluate.held_out import is_held_out_chula
from napari_hemacells.core.image import read_image
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types import PLATELET, RBC, WBC, CropSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_hemacells.core.types import Cells, SmearImage

KEPT = Path(tempfile.gettempdir()) / "napari-hemacells-sets" / "first_clicks"
NO_CELL = "none"
RED_TO_WHITE = 100
OVERLAP = 0.3  # intersection over union from which a found cell is the boxed one
CHULA_FILES = 40  # of the ones that were learned from
TRAIN_FIELDS = 90
WHITE_TO_RED = 1.7  # diameter of a white cell in red cells

SETS = ("bccd", "raabin", "chula")


@dataclass(frozen=True, eq=False)
class Slide:
    """The cells of one slide: what is known of each, and what it is."""

    name: str
    vectors: NDArray[np.float32]
    kinds: NDArray[np.str_]
    scores: NDArray[np.float32]
    areas: NDArray[np.float32]
    edge: NDArray[np.bool_]
    truth: NDArray[np.str_]

    def rows(self, kept: NDArray[np.intp]) -> Slide:
        """These cells alone."""
        return Slide(
            self.name, self.vectors[kept], self.kinds[kept], self.scores[kept], self.areas[kept],
            self.edge[kept], self.truth[kept],
        )  # fmt: skip

    def with_poor_detector(self, how: str, seed: int) -> Slide:
        """The slide as a detector of this kind would have it.

        ``false white``: five red cells, those most like white ones, to each white cell;
        ``missed white``: half of the white cells as red; ``useless``: kinds at random.
        """
        rng, kinds = np.random.default_rng(seed), self.kinds.copy()
        white, red = (np.flatnonzero(self.truth == one) for one in (WBC, RBC))
        if how == "false white":
            apart = self.vectors[white].mean(axis=0) - self.vectors[red].mean(axis=0)
            kinds[red[np.argsort(-(self.vectors[red] @ apart))[: 5 * len(white)]]] = WBC
        elif how == "missed white":
            kinds[rng.permutation(white)[: len(white) // 2]] = RBC
        elif how == "useless":
            kinds = rng.permutation(kinds)
        return replace(self, kinds=kinds)

    def as_smear(self, seed: int, red_to_white: int = RED_TO_WHITE) -> Slide:
        """The slide with so few white cells that each has this many red ones, shuffled."""
        rng = np.random.default_rng(seed)
        white = rng.permutation(np.flatnonzero(self.truth == WBC))
        most = max(int((self.truth == RBC).sum()) // red_to_white, 2)
        others = np.flatnonzero(self.truth != WBC)
        return self.rows(rng.permutation(np.concatenate([others, white[:most]])))


def slide(name: str, data: Path) -> Slide:
    """Return a slide, made and kept if it is asked for the first time."""
    file = KEPT / f"{name}.npz"
    if not file.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        parts = [part for part in _parts(name, data) if len(part["truth"])]
        columns = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        np.savez_compressed(file, **columns)
    with np.load(file) as columns:
        known = {key: columns[key] for key in columns.files}
    return Slide(name, **known)


def _parts(name: str, data: Path) -> Iterator[dict[str, NDArray[np.generic]]]:
    encoder = load_encoder("bundled", "cpu")
    base, _, train = name.partition("_")
    for image, truth in (_chula if base == "chula" else _boxed)(base, bool(train), data):
        cells = detect(image, DetectParams())
        if not len(cells):
            continue
        vectors = embed(image, cells, CropSpec(), encoder).vectors
        yield _columns(image, cells, vectors, _matched(cells, *truth))
    if base == "chula":
        yield from _white_chula(data, encoder, train=bool(train))


def _boxed(base: str, train: bool, data: Path) -> Iterator[tuple[SmearImage, tuple]]:
    with (data / "txl_pbc" / "fields.csv").open() as table:
        names = [
            row["image"] for row in csv.DictReader(table)
            if row["source"] == base and row["split"] == ("train" if train else "val")
        ]  # fmt: skip
    for name in names[: TRAIN_FIELDS if train else None]:
        boxes = read_voc(data / "txl_pbc" / "annotations" / f"{Path(name).stem}.xml")
        yield read_image(data / "txl_pbc" / "images" / name), (boxes.boxes, boxes.classes)


def _chula(base: str, train: bool, data: Path) -> Iterator[tuple[SmearImage, tuple]]:
    files = sorted((data / base.replace("chula", "chula_rbc12") / "labels").glob("*.txt"),
                   key=lambda one: int(one.stem))  # fmt: skip
    files = [file for file in files if is_held_out_chula(int(file.stem)) != train]
    for file in files[:: 4 if train else 1][: CHULA_FILES if train else None]:
        lines = [line.split() for line in file.read_text().splitlines() if line.strip()]
        centres = np.array([(float(y), float(x)) for x, y, *_ in lines]).reshape(-1, 2)
        image = read_image(data / "chula_rbc12" / "images" / f"{file.stem}.jpg")
        yield image, (centres, np.full(len(centres), RBC))


def _white_chula(data: Path, encoder: object, *, train: bool) -> Iterator[dict]:
    """White cells of pictures of their own, half of them for each of the two slides."""
    with (data / "wbc_chula" / "labels.csv").open() as table:
        rows = list(csv.DictReader(table))[int(train) :: 2][:90]
    for row in rows:
        image = read_image(data / "wbc_chula" / "images" / row["image"])
        size, centre = float(row["cell_px"]), np.array(image.shape) / 2
        box = np.array([[*(centre - size / 2), *(centre + size / 2)]])
        cells = cells_from_boxes(box, image.shape)
        found = detect(image, DetectParams(cell_diameter=size / WHITE_TO_RED))
        apart = np.linalg.norm(found.centres - centre, axis=1)
        near = int(apart.argmin()) if len(found) else -1
        if near < 0 or apart[near] > size / 2:
            continue  # it would not be on the slide
        vectors = embed(image, cells, CropSpec(), encoder).vectors
        part = _columns(image, cells, vectors, np.array([WBC]))
        part["kinds"] = found.table["class"].to_numpy(str)[[near]]
        part["scores"] = found.table["score"].to_numpy(np.float32)[[near]]
        part["areas"] = np.array([3.0], np.float32)  # of a white cell, in red ones
        part["edge"] = np.array([False])
        yield part


def _columns(
    image: SmearImage, cells: Cells, vectors: NDArray[np.float32], truth: NDArray[np.str_]
) -> dict[str, NDArray]:
    boxes, (height, width) = cells.boxes, image.shape
    edge = (boxes[:, :2] <= 1).any(axis=1) | (boxes[:, 2:] >= (height - 1, width - 1)).any(axis=1)
    usual = np.pi * cells.diameter**2 / 4
    return {
        "vectors": vectors,
        "kinds": cells.table["class"].to_numpy(str),
        "scores": cells.table["score"].to_numpy(np.float32),
        "areas": (cells.table["area"].to_numpy(np.float32) / usual).astype(np.float32),
        "edge": edge,
        "truth": truth.astype(str),
    }


def _matched(
    cells: Cells, places: NDArray[np.float64], classes: NDArray[np.str_]
) -> NDArray[np.str_]:
    """``(n,)`` what each found cell is: the class of the box or centre that it matches."""
    truth = np.full(len(cells), NO_CELL, dtype="<U12")
    if not len(places):
        return truth
    if places.shape[1] == 2:
        apart = np.linalg.norm(cells.centres[:, np.newaxis] - places, axis=2) / cells.diameter
        fit = np.maximum(0.6 - apart, 0.0)
        least = 1e-9
    else:
        fit, least = _overlaps(cells.boxes.astype(np.float64), places), OVERLAP
    found, known = linear_sum_assignment(-fit)
    good = fit[found, known] >= least
    truth[found[good]] = classes[known[good]]
    return truth


def _overlaps(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    low = np.maximum(one[:, np.newaxis, :2], other[np.newaxis, :, :2])
    high = np.minimum(one[:, np.newaxis, 2:], other[np.newaxis, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (one, other)]
    return both / (areas[0][:, np.newaxis] + areas[1] - both)


def main() -> None:
    """Make the slides named on the command line, and say what is on them."""
    import sys

    data = Path(sys.argv[1])
    for name in sys.argv[2:]:
        made = slide(name, data)
        table = {}
        for kind in (RBC, WBC, PLATELET):
            mine = made.truth[made.kinds == kind]
            table[kind] = dict(zip(*np.unique(mine, return_counts=True), strict=True))
        print(
            name,
            len(made.truth),
            {k: {a: int(b) for a, b in v.items()} for k, v in table.items()},
            flush=True,
        )


if __name__ == "__main__":
    main()
