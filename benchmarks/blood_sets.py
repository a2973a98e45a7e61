"""The shared datasets as class folders of crops, for the classification benchmarks.

``wbc_jiangxi`` and ``pbc`` unchanged (``pbc`` also without some classes); Chula's red cells cut
around their centres, from the held-out blocks of files only; BCCD's val boxes. All are written
once to the temporary folder, so that their embeddings are found in the cache.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from convert_sets import convert_jiangxi
from napari_hemacells.core.evaluate.held_out import is_held_out_chula

ROOT = Path(tempfile.gettempdir()) / "napari-hemacells-sets"
CHULA_CELL, MARGIN = 70, 1.8  # pixels, of a typical red cell there; side of a crop in cells
MOST = 300  # crops of a class
SMEAR = {
    "neutrophil": 300, "lymphocyte": 150, "platelet": 100, "monocyte": 40, "eosinophil": 20,
    "basophil": 12, "erythroblast": 12, "ig": 12,
}  # fmt: skip
UNCATEGORISED = 10


class ChulaPoint(NamedTuple):
    """An annotated red cell: file, centre in pixels, and type."""

    number: int
    row: int
    col: int
    kind: int


def jiangxi(data: Path) -> Path:
    """Return the folder of the Jiangxi white cells, which no training uses."""
    convert_jiangxi(data / "wbc_jiangxi", ROOT / "wbc_jiangxi")
    return ROOT / "wbc_jiangxi"


def chula(data: Path) -> Path:
    """Return the folder of Chula's held-out blocks, without uncategorised cells."""
    target = ROOT / "chula_held_out"
    cells: dict[int, list[ChulaPoint]] = {}
    for point in chula_points(data):
        if is_held_out_chula(point.number) and point.kind != UNCATEGORISED:
            cells.setdefault(point.kind, []).append(point)
    for kind, points in cells.items():
        chosen = np.random.default_rng(0).permutation(len(points))[:MOST]
        for place in sorted(chosen.tolist()):
            cut_chula(data, target / f"{kind:02d}", points[place])
    return target


def chula_points(data: Path) -> list[ChulaPoint]:
    """Return all annotated red cells, by file number."""
    found = []
    for file in sorted((data / "chula_rbc12/labels").glob("*.txt"), key=lambda one: int(one.stem)):
        for line in file.read_text().splitlines():
            if line.strip():
                x, y, kind = (int(number) for number in line.split()[:3])
                found.append(ChulaPoint(int(file.stem), y, x, kind))
    return found


def cut_chula(data: Path, folder: Path, point: ChulaPoint) -> Path:
    """Return the file of a red cell's crop, written if it is missing."""
    number, row, col, _ = point
    file = folder / f"{number:03d}_{row:03d}_{col:03d}.png"
    if file.exists():
        return file
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(data / f"chula_rbc12/images/{number}.jpg") as field:
        half = round(CHULA_CELL * MARGIN / 2)
        padded = np.pad(np.asarray(field.convert("RGB")), [(half, half), (half, half), (0, 0)],
                        mode="symmetric")  # fmt: skip
    Image.fromarray(padded[row : row + 2 * half, col : col + 2 * half]).save(file)
    return file


def pbc(data: Path, part: int = MOST) -> Path:
    """Return a folder with the first crops of each class of PBC."""
    target = ROOT / f"pbc_{part}"
    for folder in sorted(path for path in (data / "pbc").iterdir() if path.is_dir()):
        (target / folder.name).mkdir(parents=True, exist_ok=True)
        for file in sorted(folder.glob("*.jpg"))[:: max(1, 600 // part)][:part]:
            link = target / folder.name / file.name
            if not link.exists():
                link.symlink_to(file.resolve())
    return target


def small_pbc(data: Path) -> Path:
    """Return a folder with 75 crops of each PBC class, for slow benchmarks."""
    return pbc(data, 75)


def smear_pbc(data: Path) -> Path:
    """Return PBC with classes about as frequent as in a normal smear, at least 12 of each."""
    target = ROOT / "pbc_smear"
    for name, count in SMEAR.items():
        (target / name).mkdir(parents=True, exist_ok=True)
        for file in sorted((data / "pbc" / name).glob("*.jpg"))[:count]:
            link = target / name / file.name
            if not link.exists():
                link.symlink_to(file.resolve())
    return target


SETS = {
    "wbc_jiangxi": jiangxi,
    "chula": chula,
    "pbc": pbc,
    "pbc_75": small_pbc,
    "pbc_smear": smear_pbc,
}
