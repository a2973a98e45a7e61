"""A large slide stitched of small smear fields whose cells are known, for ``real_slide.py``.

Nine fields of ten are of Chula RBC-12 (held-out blocks: no bundled model learned from them), one
of ten is a BCCD field of TXL-PBC's val and test lists, which brings white cells and platelets. All
are brought to one diameter of the red cells and laid side by side, mirrored and turned by halves,
since there are more places than fields: a field comes back several times. Written as a TIFF with
the truth beside it; neither may be committed.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

import numpy as np
from PIL import Image

from napari_hemacells.core.evaluate.held_out import is_held_out_chula

if TYPE_CHECKING:
    from pathlib import Path

DIAMETER = 28.0  # pixels of a red cell on the slide
CHULA_DIAMETER, BCCD_DIAMETER = 40.0, 100.0
FIELD = (336, 448)  # rows and columns of a place on the slide
WHITE_EVERY = 10


class Point(NamedTuple):
    """A cell of the truth: its centre in pixels, its kind, and its type where it is known."""

    row: float
    col: float
    kind: str
    type: str = ""


class Field(NamedTuple):
    """A field at the slide's scale, and its cells."""

    pixels: np.ndarray
    points: list[Point]


def chula_fields(data: Path) -> list[Field]:
    """Return the held-out fields of Chula RBC-12."""
    fields = []
    for file in sorted((data / "chula_rbc12" / "images").glob("*.jpg"), key=lambda f: int(f.stem)):
        if not is_held_out_chula(int(file.stem)):
            continue
        lines = (data / "chula_rbc12" / "labels" / f"{file.stem}.txt").read_text().split("\n")
        values = [tuple(map(int, line.split())) for line in lines if line.strip()]
        points = [Point(y, x, "RBC", str(kind)) for x, y, kind in values]
        fields.append(_scaled(file, points, DIAMETER / CHULA_DIAMETER))
    return fields


def bccd_fields(data: Path) -> list[Field]:
    """Return the BCCD fields of TXL-PBC that its val and test lists have."""
    fields = []
    with (data / "txl_pbc" / "fields.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["source"] == "bccd"]
    for row in rows:
        if row["split"] == "train":
            continue
        file = data / "txl_pbc" / "images" / row["image"]
        boxes = ET.parse(data / "txl_pbc" / "annotations" / f"{file.stem}.xml")  # noqa: S314
        points = []
        for entry in boxes.iter("object"):
            sides = [
                float(entry.findtext(f"bndbox/{name}") or 0)
                for name in ("ymin", "ymax", "xmin", "xmax")
            ]
            kind = entry.findtext("name") or ""
            points.append(Point(sum(sides[:2]) / 2, sum(sides[2:]) / 2, kind))
        fields.append(_scaled(file, points, DIAMETER / BCCD_DIAMETER))
    return fields


def _scaled(file: Path, points: list[Point], scale: float) -> Field:
    """Return a field at the slide's scale, cut or mirrored to the size of a place."""
    picture = Image.open(file).convert("RGB")
    size = (round(picture.width * scale), round(picture.height * scale))
    pixels = np.asarray(picture.resize(size, Image.Resampling.LANCZOS))[: FIELD[0], : FIELD[1]]
    moved = [point._replace(row=point.row * scale, col=point.col * scale) for point in points]
    for axis, side in enumerate(FIELD):
        while (have := pixels.shape[axis]) < side:  # a small field goes on as its mirror image
            pixels = np.concatenate([pixels, np.flip(pixels, axis)], axis)
            name = ("row", "col")[axis]
            moved += [p._replace(**{name: 2 * have - getattr(p, name)}) for p in moved]
        pixels = pixels[:side] if axis == 0 else pixels[:, :side]
    inside = [p for p in moved if 0 <= p.row < FIELD[0] and 0 <= p.col < FIELD[1]]
    return Field(pixels, inside)


def stitch_slide(
    data: Path, rows: int, cols: int, seed: int = 0
) -> tuple[np.ndarray, list[Point]]:
    """Return a slide of about so many pixels, and the cells on it."""
    rng = np.random.default_rng(seed)
    red, white = chula_fields(data), bccd_fields(data)
    down, across = -(-rows // FIELD[0]), -(-cols // FIELD[1])
    slide = np.empty((down * FIELD[0], across * FIELD[1], 3), np.uint8)
    truth: list[Point] = []
    for place in range(down * across):
        fields = white if place % WHITE_EVERY == WHITE_EVERY // 2 else red
        field = fields[int(rng.integers(len(fields)))]
        flips = [axis for axis in (0, 1) if rng.random() < 0.5]
        top, left = FIELD[0] * (place // across), FIELD[1] * (place % across)
        slide[top : top + FIELD[0], left : left + FIELD[1]] = np.flip(field.pixels, flips)
        for point in field.points:
            row = FIELD[0] - point.row if 0 in flips else point.row
            col = FIELD[1] - point.col if 1 in flips else point.col
            truth.append(point._replace(row=top + row, col=left + col))
    kept = [p for p in truth if p.row < rows and p.col < cols]
    return np.ascontiguousarray(slide[:rows, :cols]), kept


def write_slide(target: Path, data: Path, rows: int, cols: int) -> None:
    """Write the slide as TIFF, and its truth beside it."""
    import tifffile

    slide, truth = stitch_slide(data, rows, cols)
    tifffile.imwrite(target, slide, photometric="rgb", tile=(512, 512), compression="deflate")
    with target.with_suffix(".csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(Point._fields)
        writer.writerows(truth)


def read_truth(file: Path) -> list[Point]:
    """Return the truth beside a slide."""
    with file.with_suffix(".csv").open() as stream:
        return [
            Point(float(row["row"]), float(row["col"]), row["kind"], row["type"])
            for row in csv.DictReader(stream)
        ]
