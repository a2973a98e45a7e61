"""White cells of four laboratories, and kinds that an encoder may not have met, as crops.

For ``transfer.py``. Every set is cut once and kept in the temporary folder.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from convert_sets import convert_jiangxi
from laboratory_sets import TRAINING, USUAL, CropSet, chula_crops, folder_crops
from napari_hemacells.core.crop import estimate_context, extract_crops, from_picture
from napari_hemacells.core.evaluate import list_class_folders
from napari_hemacells.core.image import read_image
from napari_hemacells.core.types import BOX_COLUMNS, Cells, CropSpec

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT = Path(tempfile.gettempdir()) / "napari-hemacells-transfer"
EVERY = 8  # of PBC's pictures of a sub-class
IMMATURE_EVERY = 2  # of the pictures of kinds left out: there are few promyelocytes
MOST = 40  # cells of a class
LEFT_OUT = ("MMY", "MY", "PMY", "ERB")
MONONUCLEAR = ("LY", "MO")


def transfer_sets(data: Path, spec: CropSpec = USUAL) -> dict[str, CropSet]:
    """Return the sets by name; cut from `data` where they are not kept yet."""
    makers = {
        "jiangxi": jiangxi,
        "raabin": raabin,
        "raabin other slides": raabin_other_slides,
        "chula white": chula_white,
        "pbc": pbc,
        "pbc immature": pbc_immature,
        "chula red": chula_crops,
    }
    return {name: _fewer(_kept(name, data, make, spec)) for name, make in makers.items()}


def _fewer(found: CropSet) -> CropSet:
    """Return at most `MOST` cells of a class, at regular intervals."""
    rows = [np.flatnonzero(found.labels == one) for one in np.unique(found.labels)]
    kept = [of[np.linspace(0, len(of) - 1, min(MOST, len(of))).astype(int)] for of in rows]
    chosen = np.unique(np.concatenate(kept))
    return CropSet(found.name, found.crops[chosen], found.labels[chosen])


def _kept(name: str, data: Path, make, spec: CropSpec) -> CropSet:
    size = "" if spec == USUAL else f"-{spec.size}px"
    file = KEPT / f"{name.replace(' ', '-')}{size}.npz"
    if not file.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        found = make(data, spec)
        np.savez(file, crops=found.crops, labels=found.labels.astype(str))
    with np.load(file) as stored:
        return CropSet(name, stored["crops"], stored["labels"])


def jiangxi(data: Path, spec: CropSpec) -> CropSet:
    """Return Jiangxi's white cells, never trained on."""
    folder = Path(tempfile.gettempdir()) / "napari-hemacells-sets" / "wbc_jiangxi"
    convert_jiangxi(data / "wbc_jiangxi", folder)
    return folder_crops("jiangxi", folder, spec=spec)


def raabin(data: Path, spec: CropSpec) -> CropSet:
    """Return the white cell of each Raabin field, train and val, by its box."""
    return _raabin(data, spec, lambda _row: True)


def raabin_other_slides(data: Path, spec: CropSpec) -> CropSet:
    """Return those of the val fields whose slides are not among the train fields."""
    table = pd.read_csv(data / "txl_pbc/fields.csv")
    taught = set(table[(table.source == "raabin") & (table.split == "train")].slide)
    return _raabin(data, spec, lambda row: row.split == "val" and row.slide not in taught)


def _raabin(data: Path, spec: CropSpec, wanted: Callable[[Any], bool]) -> CropSet:
    sys.path.insert(0, str(TRAINING))
    from detector_fields import annotated_boxes

    table = pd.read_csv(data / "txl_pbc/fields.csv")
    crops, labels = [], []
    for row in table[table.source == "raabin"].itertuples():
        boxes, kinds = annotated_boxes(data / f"txl_pbc/annotations/{Path(row.image).stem}.xml")
        white = boxes[kinds == 1]
        if len(white) == 0 or not wanted(row):
            continue
        sides = (white[:, 2:] - white[:, :2]).max(axis=1)
        found = pd.DataFrame(white[[sides.argmax()]].astype(int), columns=BOX_COLUMNS)
        found.insert(0, "label", 1)
        image = read_image(data / "txl_pbc/images" / row.image)
        cells = Cells(np.zeros(image.shape, np.int32), found, 100.0, "shapes")
        crops.append(extract_crops(image, cells, spec)[0])
        labels.append(row.white_cell)
    return CropSet("raabin", np.stack(crops), np.array(labels))


def chula_white(data: Path, spec: CropSpec) -> CropSet:
    """Return Chula's white cells, framed by the stated width of the cell."""
    table = pd.read_csv(data / "wbc_chula/labels.csv")
    table = table[table.cell_px > 60]  # a few boxes are of debris
    crops = [
        from_picture(
            np.asarray(read_image(data / "wbc_chula/images" / row.image).pixels),
            spec,
            framing=spec.context * row.cell_px / row.crop_px,
        )
        for row in table.itertuples()
    ]
    return CropSet("chula white", np.stack(crops), table["class"].to_numpy().astype(str))


def pbc(data: Path, spec: CropSpec) -> CropSet:
    """Return every eighth picture of PBC's sub-classes of white cells and platelets."""
    return _pbc(data, spec, EVERY, None)


def pbc_immature(data: Path, spec: CropSpec) -> CropSet:
    """Return every second picture of the kinds left out, and healthy mononuclear cells."""
    return _pbc(data, spec, IMMATURE_EVERY, (*LEFT_OUT, *MONONUCLEAR))


def _pbc(data: Path, spec: CropSpec, every: int, kinds: tuple[str, ...] | None) -> CropSet:
    by_kind: dict[str, list[Path]] = {}
    for files in list_class_folders(data / "pbc").values():
        for file in files:
            by_kind.setdefault(file.name.split("_")[0], []).append(file)
    chosen = {
        kind: files[:: max(1, min(every, len(files) // 75))]
        for kind, files in by_kind.items()
        if kind not in {"IG", "NEUTROPHIL"} and (kinds is None or kind in kinds)
    }
    pictures = [np.asarray(read_image(file).pixels) for files in chosen.values() for file in files]
    framing = spec.context / estimate_context(pictures[:: -(-len(pictures) // 100)])
    crops = np.stack([from_picture(one, spec, framing=framing) for one in pictures])
    labels = [kind for kind, files in chosen.items() for _ in files]
    return CropSet("pbc", crops, np.array(labels))
