"""How far the detector's own features carry in few-shot, against the encoder's vectors.

The cells are those of the truth: Chula RBC-12's held-out blocks (types of red cells that occur at
least 15 times there), BCCD fields of TXL-PBC outside its train list (kinds), all Raabin fields
(kinds of white cells: the detector learned from most of these fields where a white cell is, but
never of which kind; the encoder learned from none of Raabin). Rows are drawn at random;
what is not drawn is asked for. Run::

    python benchmarks/detector_vectors.py ../shared/data --draws 20
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import numpy as np
from PIL import Image

from blood_sets import chula_points
from napari_hemacells.core.classify import SupportSet, fit
from napari_hemacells.core.detect.learned.cell_vectors import pool_cell_vectors
from napari_hemacells.core.detect.learned.model import bundled_model
from napari_hemacells.core.detect.sources import cells_from_boxes
from napari_hemacells.core.detect.tiling import ScaledImage
from napari_hemacells.core.encode import load_encoder
from napari_hemacells.core.encode.embed import embed
from napari_hemacells.core.evaluate.held_out import is_held_out_chula
from napari_hemacells.core.image import image_from_array
from napari_hemacells.core.types import CropSpec

SHOTS, LEAST = (1, 2, 5, 10), 15


class Cell(NamedTuple):
    """A cell of the truth: its box in a file, and its class."""

    file: Path
    box: tuple[float, float, float, float]
    name: str


def chula_cells(data: Path) -> list[Cell]:
    """Return the red cells of the held-out blocks."""
    found = []
    for point in chula_points(data):
        if is_held_out_chula(point.number) and point.kind != 10:
            file = data / "chula_rbc12" / "images" / f"{point.number}.jpg"
            half = 35.0
            box = (point.row - half, point.col - half, point.row + half, point.col + half)
            found.append(Cell(file, box, f"type {point.kind}"))
    return found


def txl_cells(data: Path, source: str) -> list[Cell]:
    """Return the cells of one source's fields outside the train list."""
    found = []
    with (data / "txl_pbc" / "fields.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["source"] == source]
    for row in rows:
        if row["split"] == "train" and source != "raabin":
            continue
        file = data / "txl_pbc" / "images" / row["image"]
        tree = ET.parse(data / "txl_pbc" / "annotations" / f"{file.stem}.xml")  # noqa: S314
        for entry in tree.iter("object"):
            box = tuple(
                float(entry.findtext(f"bndbox/{name}") or 0)
                for name in ("ymin", "xmin", "ymax", "xmax")
            )
            name = entry.findtext("name") or ""
            if source == "raabin":
                if name != "WBC":
                    continue
                name = row["white_cell"]
            found.append(Cell(file, box, name))
    return found


def vectors_of(cells: list[Cell], diameter: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the detector's vectors, the encoder's, and the classes."""
    encoder, model = load_encoder("bundled"), bundled_model()
    quick, fine, names = [], [], []
    for file in sorted({cell.file for cell in cells}):
        here = [cell for cell in cells if cell.file == file]
        pixels = np.asarray(Image.open(file).convert("RGB"))
        boxes = np.clip([cell.box for cell in here], 0, np.tile(pixels.shape[:2], 2))
        keep = ((boxes[:, 2:] - boxes[:, :2]) > 4).all(axis=1)
        view = ScaledImage(pixels, 40.0 / diameter)
        maps = model.maps(view.part(*(slice(0, side) for side in view.shape)))
        quick.append(pool_cell_vectors(maps.features, boxes[keep] / np.tile(view.ratio, 2)))
        image = image_from_array(pixels, file.stem)
        found = cells_from_boxes(boxes[keep], pixels.shape[:2], diameter=diameter)
        fine.append(embed(image, found, CropSpec(), encoder).vectors)
        names += [cell.name for cell, kept in zip(here, keep, strict=True) if kept]
    return np.concatenate(quick), np.concatenate(fine), np.array(names)


def balanced_accuracy(vectors: np.ndarray, names: np.ndarray, rows: np.ndarray) -> float:
    """Return the mean recall of the classes after learning from some rows."""
    classes = tuple(np.unique(names).tolist())
    head = fit(SupportSet(vectors[rows], tuple(names[rows].tolist())), classes, context=vectors)
    said = np.array(head.class_ids)[head.scores(vectors).argmax(axis=1)]
    rest = np.setdiff1d(np.arange(len(names)), rows)
    recalls = [(said[rest] == names[rest])[names[rest] == name].mean() for name in classes]
    return float(np.mean(recalls))


def table(name: str, cells: list[Cell], diameter: float, draws: int) -> list[dict[str, object]]:
    """Return a row for each number of cells a class."""
    quick, fine, names = vectors_of(cells, diameter)
    often = [kind for kind in np.unique(names) if (names == kind).sum() >= LEAST]
    keep = np.isin(names, often)
    quick, fine, names = quick[keep], fine[keep], names[keep]
    both = [
        (part - part.mean(0)) / (part.std(0) + 1e-6) / np.sqrt(part.shape[1])
        for part in (quick, fine)
    ]
    spaces = {"detector": quick, "encoder": fine, "both": np.concatenate(both, axis=1)}
    rows = []
    for shots in SHOTS:
        row: dict[str, object] = {"set": name, "cells": len(names), "classes": len(often),
                                  "a class": shots}  # fmt: skip
        scores: dict[str, list[float]] = {space: [] for space in spaces}
        for draw in range(draws):
            rng = np.random.default_rng(draw)
            chosen = np.concatenate(
                [rng.choice(np.flatnonzero(names == kind), shots, replace=False) for kind in often]
            )
            for space, vectors in spaces.items():
                scores[space].append(balanced_accuracy(vectors.astype(np.float32), names, chosen))
        for space, values in scores.items():
            row[space] = round(100 * float(np.mean(values)), 1)
            row[f"{space} ±"] = round(100 * float(np.std(values)), 1)
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def main() -> None:
    """Print a line of JSON for each set and number of cells a class."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    given = parser.parse_args()
    table("raabin", txl_cells(given.data, "raabin"), 85.0, given.draws)
    table("bccd", txl_cells(given.data, "bccd"), 100.0, given.draws)
    table("chula", chula_cells(given.data), 70.0, given.draws)


if __name__ == "__main__":
    main()
