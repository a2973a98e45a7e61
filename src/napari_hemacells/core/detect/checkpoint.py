"""Checkpoint of a detection: finished parts on disk, so that it can be resumed."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_hemacells.core.cell_masks import PackedMasks
from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.types import CELL_COLUMNS, PartCells

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.core.detect.plan import Plan
    from napari_hemacells.core.detect.tiling import Part

PLAN_FILE = "plan.json"
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


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
        """Return the cells of a finished part; None if it is unfinished or damaged."""
        file = self._file(part)
        if not file.exists():
            return None
        try:
            with np.load(file, allow_pickle=False) as stored:
                table = pd.DataFrame({name: stored[name] for name in CELL_COLUMNS[1:]})
                masks = PackedMasks(stored["boxes"], stored["bits"])
        except _DAMAGED:
            return None
        table["class"] = table["class"].astype("str")
        if len(table) != len(masks) or masks.starts[-1] != len(masks.bits):
            return None
        return PartCells(part.index, table, masks)

    def write(self, part: Part, cells: PartCells) -> None:
        """Write the cells of a part atomically.

        Raises
        ------
        StorageError
            The file cannot be written.
        """
        columns: dict[str, Any] = {name: cells.table[name].to_numpy() for name in CELL_COLUMNS[1:]}
        columns["class"] = columns["class"].astype(np.str_)
        data = io.BytesIO()
        np.savez(data, boxes=cells.masks.boxes, bits=cells.masks.bits, **columns)
        self._put(self._file(part), data.getvalue())

    def _file(self, part: Part) -> Path:
        return self.folder / f"part-{part.index:05d}.npz"

    def _put(self, file: Path, data: bytes) -> None:
        temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(file)
        except OSError as error:
            raise StorageError(
                f"What is done so far cannot be kept in “{self.folder}” "
                f"({error.strerror or error}). Free some space there, or detect without resuming."
            ) from error


def remove_checkpoint(folder: Path) -> None:
    """Remove a detection's files from a folder, and the folder if it is then empty."""
    if not folder.is_dir():
        return
    left_over = (PLAN_FILE, "part-*.npz", ".part-*.part", f".{PLAN_FILE}.*.part")
    for pattern in left_over:
        for file in folder.glob(pattern):
            file.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)


def _read_json(file: Path) -> object:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
