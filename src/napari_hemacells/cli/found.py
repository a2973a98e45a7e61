"""The cells of one image, and the two files that every command writes of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hemacells.cli.sources import Source
from napari_hemacells.core.types import Cells, SmearImage

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Found:
    """An image with its cells, and the name of its results."""

    source: Source
    image: SmearImage
    cells: Cells

    def describe(self) -> dict[str, Any]:
        """Return what the result says of every image."""
        return {
            "image": str(self.source.path),
            "name": self.source.name,
            "key": self.image.key,
            "shape": list(self.image.shape),
            "cells": len(self.cells),
            "diameter": round(self.cells.diameter, 3),
            "source": self.cells.source,
            "detector": self.cells.detector or None,
        }

    def write(self, table: "pd.DataFrame", folder: Path) -> None:
        """Write the table and the label image.

        Raises
        ------
        StorageError
            If one of them cannot be written.
        """
        from napari_hemacells.core.store import write_csv, write_labels_tif

        write_csv(folder / self.file("cells.csv"), table)
        write_labels_tif(folder / self.file("labels.tif"), self.cells)

    def file(self, ending: str) -> str:
        """Return the name of one of the image's results."""
        return f"{self.source.name}.{ending}"

    def files(self, out: Path) -> dict[str, str]:
        """Return where table and label image are, under the folder as the user named it."""
        csv, labels = self.file("cells.csv"), self.file("labels.tif")
        return {"csv": str(out / csv), "labels": str(out / labels)}
