"""Crops of the shared laboratories with their classes and embeddings, for ``laboratories.py``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from bccd_five_clicks import read_boxes
from napari_hemacells.core.crop import estimate_context, extract_crops, from_picture
from napari_hemacells.core.evaluate import list_class_folders
from napari_hemacells.core.evaluate.detection_datasets import read_points
from napari_hemacells.core.image import image_from_array, read_image
from napari_hemacells.core.types import BOX_COLUMNS, Cells, CropSpec

if TYPE_CHECKING:
    from napari_hemacells.core.encode import Encoder

TRAINING = Path(__file__).parents[1] / "training"
MOST = 80  # red cells of a type
USUAL = CropSpec()
KINDS = {"WBC": "white", "Platelets": "platelet", "platelet": "platelet"}  # beside PBC's own


class CropSet(NamedTuple):
    """Crops of one laboratory with their classes."""

    name: str
    crops: np.ndarray
    labels: np.ndarray


class Vectors(NamedTuple):
    """The embeddings of a dataset by one encoder."""

    rows: np.ndarray
    labels: np.ndarray


def folder_crops(name: str, folder: Path, every: int = 1, spec: CropSpec = USUAL) -> CropSet:
    """Return the images of class folders, framed as ``evaluate fewshot`` frames them."""
    files = [
        (file, label)
        for label, found in list_class_folders(folder).items()
        for file in found[::every]
    ]
    pictures = [np.asarray(read_image(file).pixels) for file, _ in files]
    framing = spec.context / estimate_context(pictures[:: -(-len(pictures) // 100)])
    crops = np.stack([from_picture(picture, spec, framing=framing) for picture in pictures])
    return CropSet(name, crops, np.array([label for _, label in files]))


def chula_crops(data: Path, spec: CropSpec = USUAL) -> CropSet:
    """Return red cells of the held-out blocks, at most `MOST` per type, drawn with seed 0."""
    sys.path.insert(0, str(TRAINING))
    from detector_fields import chula_field, chula_split

    crops, labels = [], []
    for number in chula_split(data)[1]:
        field = chula_field(data, number)
        if field is None:
            continue
        _, types = read_points(data / f"chula_rbc12/labels/{number}.txt")
        table = pd.DataFrame(field.boxes[field.sized].astype(int), columns=BOX_COLUMNS)
        table.insert(0, "label", np.arange(1, len(table) + 1))
        cells = Cells(np.zeros(field.pixels.shape[:2], np.int32), table, field.diameter, "points")
        crops.append(extract_crops(image_from_array(field.pixels, field.name), cells, spec))
        labels.append(types[field.sized])
    kinds = np.concatenate(labels)
    random = np.random.default_rng(0)
    kept = [random.permutation(np.flatnonzero(kinds == one))[:MOST] for one in np.unique(kinds)]
    chosen = np.concatenate([rows for rows in kept if len(rows) > 15])
    return CropSet("chula", np.concatenate(crops)[chosen], kinds[chosen])


def bccd_crops(data: Path) -> CropSet:
    """Return the boxes of BCCD's official val fields, at most `MOST` per kind, seed 0."""
    crops, labels = [], []
    for name in (data / "bccd/val.txt").read_text().split():
        image = read_image(data / f"bccd/images/{name}.jpg")
        boxes, kinds, _ = read_boxes(data / f"bccd/annotations/{name}.xml", image.shape)
        table = pd.DataFrame(boxes, columns=BOX_COLUMNS)
        table.insert(0, "label", np.arange(1, len(boxes) + 1))
        cells = Cells(np.zeros(image.shape, np.int32), table, 100.0, "shapes")
        crops.append(extract_crops(image, cells, USUAL))
        labels += kinds
    kinds = np.array(labels)
    random = np.random.default_rng(0)
    kept = [random.permutation(np.flatnonzero(kinds == one))[:MOST] for one in np.unique(kinds)]
    chosen = np.sort(np.concatenate(kept))
    return CropSet("bccd", np.concatenate(crops)[chosen], kinds[chosen])


def white_or_platelet(found: Vectors) -> Vectors:
    """Return the cells that both PBC and BCCD have: white cells of any class, and platelets."""
    kept = ~np.isin(found.labels, ["erythroblast", "RBC"])
    kinds = [KINDS.get(str(one), "white") for one in found.labels[kept]]
    return Vectors(found.rows[kept], np.array(kinds))


def encode(found: CropSet, by: Encoder) -> Vectors:
    """Return the embeddings of a dataset."""
    parts = np.array_split(found.crops, -(-len(found.crops) // 32))
    return Vectors(np.concatenate([by.encode(part) for part in parts]), found.labels)
