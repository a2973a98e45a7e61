"""Annotated cells for training the encoder: PBC images, BCCD boxes, Chula's red cells.

Every cell is stored as a square uint8 image around its centre, wider than any crop cut from it
later, with its width in extents of the cell, so that framing can be drawn anew in each step. The
held-out parts are those of :mod:`detector_fields`: BCCD's val list and development blocks, Chula's
test blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from detector_fields import bccd_field, bccd_split, chula_field, chula_split, read_pixels
from napari_hemacells.core.crop import estimate_context, from_picture
from napari_hemacells.core.detect.learned.metadata import KINDS
from napari_hemacells.core.evaluate.detection_datasets import read_points
from napari_hemacells.core.types import CropSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 192  # px of a kept picture
REACH = 2.6  # extents of the cell that a kept picture of a field shows
UNKNOWN = -1
SOURCES = ("pbc", "chula", "bccd")
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
    """

    pictures: NDArray[np.uint8]
    reach: NDArray[np.float32]
    usual: NDArray[np.float32]
    kind: NDArray[np.int64]
    group: NDArray[np.int64]
    fine: NDArray[np.int64]
    source: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pictures)

    def chosen(self, sources: Collection[str], without: Collection[str]) -> CellSet:
        """Return the cells of the named sources, without the groups in `without`."""
        wanted = np.isin(self.source, [SOURCES.index(name) for name in sources])
        wanted &= ~np.isin(self.group, [GROUPS.index(name) for name in without])
        return CellSet(*(getattr(self, name)[wanted] for name in COLUMNS))


COLUMNS = tuple(field.name for field in fields(CellSet))


def place_in(names: tuple[str, ...], name: str) -> int:
    """Return the index of a name, UNKNOWN if it is not in the list."""
    return names.index(name) if name in names else UNKNOWN


def pbc_cells(data: Path) -> CellSet:
    """Return all PBC images."""
    rows = []
    for group in PBC_GROUPS:
        kind = "Platelets" if group == "platelet" else "WBC"
        for file in sorted((data / "pbc" / group).glob("*.jpg")):
            pixels = read_pixels(file)
            fine = place_in(PBC_FINE, file.name.split("_")[0])
            rows.append((_kept(pixels), estimate_context([pixels]), kind, group, fine))
    return _gather(rows, source=0)


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
    return _gather(rows, source=1)


def bccd_cells(data: Path, names: Iterable[str]) -> CellSet:
    """Return the cells in the boxes of these BCCD fields."""
    rows = []
    for name in names:
        field = bccd_field(data, name)
        for box, place in zip(field.boxes, field.kinds, strict=True):
            kind = KINDS[place]
            picture, reach = _cut(field.pixels, box)
            rows.append((picture, reach, kind, GROUP_OF_KIND[kind], UNKNOWN))
    return _gather(rows, source=2)


def training_cells(data: Path) -> CellSet:
    """Return all cells that the encoder may be trained on."""
    parts = [
        pbc_cells(data),
        chula_cells(data, chula_split(data)[0]),
        bccd_cells(data, bccd_split(data)[0]),
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


def _gather(rows: list[tuple[NDArray[np.uint8], float, str, str, int]], source: int) -> CellSet:
    pictures, reach, kinds, groups, fine = zip(*rows, strict=True)
    return CellSet(
        pictures=np.stack(pictures),
        reach=np.array(reach, np.float32),
        usual=np.full(len(rows), np.median(reach), np.float32),
        kind=np.array([KINDS.index(kind) for kind in kinds]),
        group=np.array([place_in(GROUPS, group) for group in groups]),
        fine=np.array(fine),
        source=np.full(len(rows), source),
    )
