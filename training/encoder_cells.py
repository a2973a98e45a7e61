"""Annotated cells for training the encoder, from five laboratories.

PBC's pictures with their attributes, Chula's red cells and white cells, and every cell of the
fields of BCCD, Raabin and PBC in ``txl_pbc``. Every cell is stored as a square uint8 image around
its centre, wider than any crop cut from it later, with its width in extents of the cell, so that
framing can be drawn anew in each step. Held out: BCCD's val list and development blocks
(:mod:`detector_fields`), the val fields of ``txl_pbc``, Chula's test blocks of red cells.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from detector_fields import annotated_boxes, bccd_split, chula_field, chula_split, read_pixels
from napari_hemacells.core.crop import estimate_context, from_picture
from napari_hemacells.core.detect.learned.metadata import KINDS
from napari_hemacells.core.evaluate.detection_datasets import read_points
from napari_hemacells.core.types import CropSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

SIDE = 192  # px of a kept picture
REACH = 2.6  # extents of the cell that a kept picture of a field shows
UNKNOWN = -1
SOURCES = ("pbc", "chula", "bccd", "raabin", "chula white")
PBC_GROUPS = (
    "basophil", "eosinophil", "erythroblast", "ig", "lymphocyte", "monocyte", "neutrophil",
    "platelet",
)  # fmt: skip
GROUPS = (*PBC_GROUPS, "red cell")
# file-name prefixes of PBC that tell more than the folder; IG and NEUTROPHIL tell no more
PBC_FINE = ("BA", "EO", "ERB", "MMY", "MY", "PMY", "LY", "MO", "BNE", "SNE", "PLATELET")
CHULA_FINE = tuple(f"chula {number}" for number in range(13) if number != 10)  # 10: uncategorised
FINE = (*PBC_FINE, *CHULA_FINE)
GROUP_OF_KIND = {"RBC": "red cell", "WBC": "", "Platelets": "platelet"}
ATTRIBUTES = {
    "cell_size": ("big", "small"),
    "cell_shape": ("irregular", "round"),
    "nucleus_shape": (
        "irregular", "segmented-bilobed", "segmented-multilobed", "unsegmented-band",
        "unsegmented-indented", "unsegmented-round",
    ),
    "nuclear_cytoplasmic_ratio": ("high", "low"),
    "chromatin_density": ("densely", "loosely"),
    "cytoplasm_vacuole": ("no", "yes"),
    "cytoplasm_texture": ("clear", "frosted"),
    "cytoplasm_colour": ("blue", "light blue", "purple blue"),
    "granule_type": ("coarse", "nil", "round", "small"),
    "granule_colour": ("nil", "pink", "purple", "red"),
    "granularity": ("no", "yes"),
}  # fmt: skip
MOST_OF_A_FIELD = 4  # red cells of a field of txl_pbc: there are far more than of anything else
LEAST_CELL = 60  # px of a white cell of Chula: the boxes of a few are of debris


@dataclass(frozen=True, eq=False)
class CellSet:
    """Cells with their annotations.

    Attributes
    ----------
    pictures
        ``(n, SIDE, SIDE, 3)`` uint8, the cell in the centre.
    reach
        ``(n,)`` float32: side length of the image, divided by the longer side of the cell's box.
    usual
        ``(n,)`` float32: the same for a cell of the usual size of its dataset; it frames images
        that are all cut with one size.
    kind, group, fine
        ``(n,)`` indices into :data:`KINDS`, :data:`GROUPS`, :data:`FINE`; UNKNOWN where not known.
    source
        ``(n,)`` index into :data:`SOURCES`.
    attributes
        ``(n, 11)`` indices into the values of each of :data:`ATTRIBUTES`; UNKNOWN where not known.
    """

    pictures: NDArray[np.uint8]
    reach: NDArray[np.float32]
    usual: NDArray[np.float32]
    kind: NDArray[np.int64]
    group: NDArray[np.int64]
    fine: NDArray[np.int64]
    source: NDArray[np.int64]
    attributes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pictures)

    def chosen(self, sources: Collection[str], without: Collection[str]) -> CellSet:
        """Return the cells that are :meth:`wanted`."""
        wanted = self.wanted(sources, without)
        return CellSet(*(getattr(self, name)[wanted] for name in COLUMNS))

    def wanted(self, sources: Collection[str], without: Collection[str]) -> NDArray[np.bool_]:
        """Whether each cell is of the named sources, and of no class in `without`.

        `without` names groups and sub-classes. Cells of PBC whose class is not told may be of
        one, and are left out as well.
        """
        wanted = np.isin(self.source, [SOURCES.index(name) for name in sources])
        groups = [GROUPS.index(name) for name in without if name in GROUPS]
        fine = [FINE.index(name) for name in without if name in FINE]
        wanted &= ~np.isin(self.group, groups)
        wanted &= ~np.isin(self.fine, fine)
        if without:
            untold = (self.group == UNKNOWN) | (self.fine == UNKNOWN)
            white = self.kind == KINDS.index("WBC")
            wanted &= ~(untold & white & (self.source == SOURCES.index("pbc")))
        return wanted


COLUMNS = tuple(field.name for field in fields(CellSet))


def place_in(names: tuple[str, ...], name: str) -> int:
    """Return the index of a name, UNKNOWN if it is not in the list."""
    return names.index(name) if name in names else UNKNOWN


def pbc_cells(data: Path) -> CellSet:
    """Return all PBC images, with the attributes of those that have them."""
    known = pbc_attributes(data)
    rows, attributes = [], []
    for group in PBC_GROUPS:
        kind = "Platelets" if group == "platelet" else "WBC"
        for file in sorted((data / "pbc" / group).glob("*.jpg")):
            pixels = read_pixels(file)
            fine = place_in(PBC_FINE, file.name.split("_")[0])
            rows.append((_kept(pixels), estimate_context([pixels]), kind, group, fine))
            attributes.append(known.get(file.name, _NONE))
    return _gather(rows, "pbc", attributes)


def pbc_attributes(data: Path) -> dict[str, list[int]]:
    """Return the attributes of each of PBC's pictures that has them, by file name."""
    table = pd.read_csv(data / "pbc_attributes.csv", keep_default_na=False)
    columns = [table[name].map(values.index) for name, values in ATTRIBUTES.items()]
    return dict(zip(table.image, np.stack(columns, axis=1).tolist(), strict=True))


def chula_cells(data: Path, numbers: Iterable[int]) -> CellSet:
    """Return the red cells of these files whose outline is reliable."""
    rows = []
    for number in numbers:
        field = chula_field(data, number)
        if field is None:
            continue
        _, types = read_points(data / f"chula_rbc12/labels/{number}.txt")
        for box, kind_of, sized in zip(field.boxes, types, field.sized, strict=True):
            if sized:
                fine = place_in(FINE, f"chula {kind_of}")
                picture, reach = _cut(field.pixels, box)
                rows.append((picture, reach, "RBC", "red cell", fine))
    return _gather(rows, "chula")


def chula_white_cells(data: Path) -> CellSet:
    """Return Chula's white cells."""
    table = pd.read_csv(data / "wbc_chula/labels.csv")
    rows = []
    for row in table[table.cell_px > LEAST_CELL].itertuples():
        pixels = read_pixels(data / "wbc_chula/images" / str(row.image))
        reach = float(row.crop_px) / float(row.cell_px)
        rows.append((_kept(pixels), reach, "WBC", str(row[2]), UNKNOWN))
    return _gather(rows, "chula white")


def field_cells(data: Path, source: str) -> CellSet:
    """Return the cells of the train fields of ``txl_pbc`` from a laboratory.

    All white cells and platelets, and a few of the many red cells. The white cell of a Raabin
    field, the largest in it, has a class; those of PBC are in PBC's own pictures.
    """
    table = pd.read_csv(data / "txl_pbc/fields.csv", keep_default_na=False)
    table = table[(table.source == source) & (table.split == "train")]
    allowed = set(bccd_split(data)[0])
    random, rows = np.random.default_rng(0), []
    for field in table.itertuples():
        name = Path(str(field.image)).stem
        if source == "bccd" and name not in allowed:
            continue
        pixels = read_pixels(data / "txl_pbc/images" / str(field.image))
        boxes, kinds = annotated_boxes(data / f"txl_pbc/annotations/{name}.xml")
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        white = np.flatnonzero(kinds == KINDS.index("WBC"))
        largest = white[sides[white].argmax()] if len(white) else -1
        red = random.permutation(np.flatnonzero(kinds == KINDS.index("RBC")))[:MOST_OF_A_FIELD]
        for place in [*np.flatnonzero(kinds != KINDS.index("RBC")), *red]:
            kind = KINDS[kinds[place]]
            group = str(field.white_cell) if place == largest else GROUP_OF_KIND[kind]
            picture, reach = _cut(pixels, boxes[place])
            rows.append((picture, reach, kind, group, UNKNOWN))
    return _gather(rows, source)


def training_cells(data: Path) -> CellSet:
    """Return all cells that the encoder may be trained on."""
    parts = [
        pbc_cells(data),
        field_cells(data, "pbc"),
        chula_cells(data, chula_split(data)[0]),
        field_cells(data, "bccd"),
        field_cells(data, "raabin"),
        chula_white_cells(data),
    ]
    columns = [[getattr(part, name) for part in parts] for name in COLUMNS]
    return CellSet(*(np.concatenate(column) for column in columns))


def kept_cells(data: Path, file: Path) -> CellSet:
    """Return :func:`training_cells`, cached in a file."""
    if not file.exists():
        cells = training_cells(data)
        fresh = file.with_suffix(".new.npz")
        np.savez(fresh, **{name: getattr(cells, name) for name in COLUMNS})
        fresh.replace(file)
    with np.load(file) as stored:
        return CellSet(*(stored[name] for name in COLUMNS))


def _kept(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return from_picture(pixels, CropSpec(size=SIDE))


def _cut(pixels: NDArray[np.uint8], box: NDArray[np.float32]) -> tuple[NDArray[np.uint8], float]:
    """Return the square around the box, mirrored at the image border, and its reach."""
    side = int(np.ceil(REACH * max(box[2] - box[0], box[3] - box[1], 4.0)))
    corner = np.rint((box[:2] + box[2:]) / 2 - side / 2).astype(int)
    edges = [
        (max(-start, 0), max(start + side - length, 0))
        for start, length in zip(corner, pixels.shape[:2], strict=True)
    ]
    padded = np.pad(pixels, [*edges, (0, 0)], mode="symmetric")
    top, left = corner[0] + edges[0][0], corner[1] + edges[1][0]
    return _kept(padded[top : top + side, left : left + side]), REACH


_NONE = [UNKNOWN] * len(ATTRIBUTES)


def _gather(
    rows: list[tuple[NDArray[np.uint8], float, str, str, int]],
    source: str,
    attributes: list[list[int]] | None = None,
) -> CellSet:
    pictures, reach, kinds, groups, fine = zip(*rows, strict=True)
    return CellSet(
        pictures=np.stack(pictures),
        reach=np.array(reach, np.float32),
        usual=np.full(len(rows), np.median(reach), np.float32),
        kind=np.array([KINDS.index(kind) for kind in kinds]),
        group=np.array([place_in(GROUPS, group) for group in groups]),
        fine=np.array(fine),
        source=np.full(len(rows), SOURCES.index(source)),
        attributes=np.array(attributes or [_NONE] * len(rows)),
    )
