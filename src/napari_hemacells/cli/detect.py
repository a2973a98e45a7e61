"""``hemacells detect IMAGE… --out DIR``: the cells of each image as a table and a label image."""

from pathlib import Path
from typing import Any

from napari_hemacells.cli.batch import end, find_sources, run_batch
from napari_hemacells.cli.console import Reporter, output_folder
from napari_hemacells.cli.files import cells_csv, count, in_words, write_labels, write_table
from napari_hemacells.cli.options import (
    CpuDevice,
    Images,
    JsonTarget,
    OutFolder,
    OwnCells,
    RunOptions,
)
from napari_hemacells.cli.own_cells import read_cells
from napari_hemacells.cli.sources import Source
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types import Cells, SmearImage


def detect(
    images: Images,
    out: OutFolder,
    json: JsonTarget = None,
    cells: OwnCells = None,
    device: CpuDevice = "auto",  # noqa: ARG001
    *,
    params: DetectParams,
    run: RunOptions,
) -> None:
    """Detect the cells of images: NAME.cells.csv and NAME.labels.tif for each.

    Images of the same name are kept apart: the folder's name goes before theirs.
    """
    reporter = Reporter(quiet=run.quiet, json_to=json)
    folder = output_folder(out)

    def work(source: Source) -> dict[str, Any]:
        image, found = cells_of(source, cells, params, reporter)
        return save_cells(source, image, found, folder, reporter)

    batch = run_batch(find_sources(images, reporter), work, reporter, debug=run.debug)
    reporter.finish(batch.to_dict())
    end(batch)


def cells_of(
    source: Source, own: Path | None, params: DetectParams, reporter: Reporter
) -> tuple[SmearImage, Cells]:
    """Return an image with its cells, the user's own or the detector's.

    Raises
    ------
    HemaCellsError
        If the image cannot be read, or the user's cells do not fit it.
    """
    from napari_hemacells.core.detect import detect_steps
    from napari_hemacells.core.image import read_image

    image = read_image(source.path)
    if own is not None:
        return image, read_cells(own, source.name, image)
    return image, reporter.run(detect_steps(image, params), f"Detecting {source.name}")


def save_cells(
    source: Source, image: SmearImage, cells: Cells, folder: Path, reporter: Reporter
) -> dict[str, Any]:
    """Return the image's record for the result, after writing its table and label image."""
    kinds = count(cells.table["class"])
    record = {
        "image": str(source.path),
        "name": source.name,
        "key": image.key,
        "shape": list(image.shape),
        "cells": len(cells),
        "by_class": kinds,
        "diameter": round(cells.diameter, 3),
        "source": cells.source,
        "csv": str(write_table(cells_csv(cells), folder / f"{source.name}.cells.csv")),
        "labels": str(write_labels(cells.labels, folder / f"{source.name}.labels.tif")),
    }
    reporter.tell(f"{source.path}: {len(cells)} cells ({in_words(kinds)}) → {record['csv']}")
    return record
