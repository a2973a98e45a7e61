"""Which cells of a project a training learned from and checked with, read from its folder."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, NamedTuple

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier.gather import cell_of
from napari_hemacells.core.types import CellRef

if TYPE_CHECKING:
    from pathlib import Path


class Taught(NamedTuple):
    """What a training knew of a cell: its class then, and the part it was in."""

    name: str
    part: str


def taught_cells(folder: Path) -> dict[CellRef, Taught]:
    """Return the cells of a finished training; other pictures are left out.

    Raises
    ------
    TrainingError
        The folder's ``split.csv`` cannot be read.
    """
    found = dict[CellRef, Taught]()
    try:
        with (folder / "split.csv").open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                ref = cell_of(row["path"].rpartition("/")[2].removesuffix(".png"))
                if ref is not None:
                    found[ref] = Taught(row["label"], row["part"])
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(
            f"What the model in “{folder}” was trained on cannot be read: fine-tune again."
        ) from error
    return found
