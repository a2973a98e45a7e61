"""The cells of one image, and the two files that every command writes of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hemacells.cli.console import Reporter
from napari_hemacells.cli.own_cells import read_cells
from napari_hemacells.cli.sources import Source
from napari_hemacells.core.params import DetectParams
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

    def write(self, table: "pd.DataFrame", folder: Path) -> dict[str, str]:
        """Return where the table and the label image were written.

        Raises
        ------
        StorageError
            If one of them cannot be written.
        """
        from napari_hemacells.core.store import write_csv, write_labels_tif

        csv = folder / f"{self.source.name}.cells.csv"
        labels = folder / f"{self.source.name}.labels.tif"
        write_csv(csv, table)
        write_labels_tif(labels, self.cells)
        return {"csv": str(csv), "labels": str(labels)}


def find_cells(
    source: Source, own: Path | None, params: DetectParams, reporter: Reporter
) -> Found:
    """Return an image with its cells, the user's own or the detector's.

    Raises
    ------
    HemaCellsError
        If the image cannot be read, or the user's cells do not fit it.
    """
    from napari_hemacells.core.image import read_image

    image = read_image(source.path)
    if own is not None:
        return Found(source, image, read_cells(own, source.name, image))
    from napari_hemacells.core.detect import detect_steps

    cells = reporter.run(detect_steps(image, params), f"Detecting {source.name}")
    return Found(source, image, cells)
