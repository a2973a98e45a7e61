"""Cells of a large image on disk: the table and a mask a cell, without a label image.

The file is a numpy archive without pickles; a hundred thousand cells take some tens of megabytes,
where the label image of a slide would take gigabytes.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_hemacells.core.cell_mask import PackedMasks
from napari_hemacells.core.label_image import LazyLabels
from napari_hemacells.core.store.atomic import write_bytes
from napari_hemacells.core.store.cells_file import damaged
from napari_hemacells.core.types import CELL_COLUMNS, Cells

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_DAMAGED = (
    OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def write_masks(path: Path, labels: LazyLabels, cells: Cells) -> None:
    """Write cells so that :func:`read_masks` gives them back exactly.

    Raises
    ------
    StorageError
        Where they cannot be written.
    """
    about = {
        "diameter": cells.diameter, "source": cells.source, "detector": cells.detector,
        "shape": labels.shape, "columns": list(cells.table),
    }  # fmt: skip
    content: dict[str, Any] = {
        "about": np.array(json.dumps(about)),
        "ids": labels.ids,
        "boxes": labels.masks.boxes,
        "bits": labels.masks.bits,
    }
    for name in cells.table:
        column = cells.table[name].to_numpy()
        content[f"column {name}"] = column.astype(np.str_) if column.dtype.kind == "O" else column
    data = io.BytesIO()
    np.savez_compressed(data, **content)
    write_bytes(path, data.getvalue())


def read_masks(path: Path) -> Cells:
    """The cells that :func:`write_masks` wrote.

    Raises
    ------
    ProjectError
        For a file that is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            columns = {name: stored[f"column {name}"] for name in about["columns"]}
            masks = PackedMasks(stored["boxes"], stored["bits"])
            labels = LazyLabels(tuple(about["shape"]), stored["ids"], masks)
        words = {name: "str" for name, column in columns.items() if column.dtype.kind == "U"}
        table = pd.DataFrame(columns).astype(words)
        if masks.starts[-1] != len(masks.bits) or not set(CELL_COLUMNS) <= set(table):
            raise ValueError("masks and table do not fit one another")
    except _DAMAGED as error:
        raise damaged(path) from error
    return Cells(labels, table, about["diameter"], about["source"], about["detector"])


def read_mask_ids(path: Path) -> NDArray[np.int64]:
    """The ids of the cells that :func:`write_masks` wrote; their masks are not read.

    Raises
    ------
    ProjectError
        For a file that is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return np.asarray(stored["column label"], dtype=np.int64)
    except _DAMAGED as error:
        raise damaged(path) from error
