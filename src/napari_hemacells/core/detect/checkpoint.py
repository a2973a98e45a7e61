"""Checkpoint of a detection: finished parts on disk, so that it can be resumed."""

from __future__ import annotations

import io
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_hemacells.core.cell_masks import PackedMasks
from napari_hemacells.core.detect.cell_table import check_cells
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.files.fsio import sweep, write_bytes
from napari_hemacells.core.files.numpy_files import load_arrays
from napari_hemacells.core.files.safe_files import is_link, open_stream
from napari_hemacells.core.types import CELL_COLUMNS, PartCells

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.core.detect.plan import Plan
    from napari_hemacells.core.detect.tiling import Part

PLAN_FILE = "plan.json"


class DetectionCheckpoint:
    """A folder with the plan's digest and one file per finished part.

    Files are written atomically, so a part interrupted by a crash is missing, never damaged. A
    folder of another plan is emptied.

    Parameters
    ----------
    folder
        Created if missing. Only files of an earlier detection are removed.

    Raises
    ------
    StorageError
        The folder cannot be made or written.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        about = {"plan": plan.digest(), "image": plan.image_key, "parts": len(plan.parts)}
        if _read_json(folder / PLAN_FILE) != about:
            remove_checkpoint(folder)
            self._put(folder / PLAN_FILE, json.dumps(about).encode())

    def read(self, part: Part) -> PartCells | None:
        """Return the cells of a part that is done; None where it is not, or is damaged."""
        try:
            with open_stream(self._file(part)) as stream:
                stored = load_arrays(stream)
            table = pd.DataFrame({name: stored[name] for name in CELL_COLUMNS[1:]})
            table["class"] = table["class"].astype("str")
            masks = PackedMasks(stored["boxes"], stored["bits"])
            check_cells(table, masks)
            vectors = stored.get("vectors")
            if vectors is not None and (vectors.ndim != 2 or len(vectors) != len(table)):
                return None
        except Exception:  # noqa: BLE001  # whatever is wrong with it: the part is done again
            return None
        return PartCells(part.index, table, masks, vectors)

    def write(self, part: Part, cells: PartCells) -> None:
        """Write the cells of a part atomically.

        Raises
        ------
        StorageError
            The file cannot be written.
        """
        columns: dict[str, Any] = {name: cells.table[name].to_numpy() for name in CELL_COLUMNS[1:]}
        columns["class"] = columns["class"].astype(np.str_)
        if cells.vectors is not None:
            columns["vectors"] = cells.vectors
        data = io.BytesIO()
        np.savez(data, boxes=cells.masks.boxes, bits=cells.masks.bits, **columns)
        self._put(self._file(part), data.getvalue())

    def _file(self, part: Part) -> Path:
        return self.folder / f"part-{part.index:05d}.npz"

    def _put(self, file: Path, data: bytes) -> None:
        try:
            write_bytes(file, data)
        except StorageError as error:
            raise StorageError(
                f"What is done so far cannot be kept in “{self.folder}”: free some space there, "
                f"or detect without resuming. {error}"
            ) from error


def remove_checkpoint(folder: Path) -> None:
    """Remove what a detection left in a folder, and the folder where that empties it."""
    if not folder.is_dir() or is_link(folder):
        return
    sweep(folder)
    for pattern in (PLAN_FILE, "part-*.npz"):
        for file in folder.glob(pattern):
            file.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)


def _read_json(file: Path) -> object:
    try:
        with open_stream(file) as stream:
            return json.loads(stream.read())
    except (OSError, StorageError, ValueError, RecursionError):
        return None
