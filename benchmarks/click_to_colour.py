"""Time from a click to recoloured cells: real viewer and classifier, cached embeddings.

A click is timed from the mouse event until every cell has its new colour in the layer and the
canvas is drawn; by then the journal is on disk. Run it with a display or under Xvfb::

    xvfb-run -a python benchmarks/click_to_colour.py --cells 5000 --clicks 100

Prints one line of JSON: milliseconds, median and 95th percentile, of wall time, and of processor
time in all threads, which other programs disturb less. ``first_ms`` is the first click of all.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from napari_hemacells.core.types import Cells, Embeddings, SmearImage
    from napari_hemacells.widgets import HemaCellsWidget

PITCH, RADIUS, CLASSES = 32, 12, 3
PATIENCE = 300  # seconds for a large image to be opened


def made_up_smear(n: int, rng: np.random.Generator) -> tuple[SmearImage, Cells]:
    """An image with discs on a grid, about 2300 × 2300 pixels for 5,000 cells."""
    from napari_hemacells.core.image import image_from_array
    from napari_hemacells.core.types import CELL_COLUMNS, Cells

    across = int(np.ceil(np.sqrt(n)))
    side = across * PITCH
    pixels = rng.integers(180, 255, (side, side, 3), dtype=np.uint8)
    labels = np.zeros((side, side), np.int32)
    rows, cols = np.ogrid[:PITCH, :PITCH]
    disc = (rows - PITCH / 2) ** 2 + (cols - PITCH / 2) ** 2 < RADIUS**2
    table = []
    for cell in range(1, n + 1):
        row, col = PITCH * ((cell - 1) // across), PITCH * ((cell - 1) % across)
        labels[row : row + PITCH, col : col + PITCH][disc] = cell
        box = (row + 4, col + 4, row + PITCH - 3, col + PITCH - 3)
        table.append((cell, "RBC", 1.0, row + 16.0, col + 16.0, *box, int(disc.sum())))
    frame = pd.DataFrame(table, columns=list(CELL_COLUMNS))
    return image_from_array(pixels, "made up"), Cells(labels, frame, diameter=2.0 * RADIUS)


def clustered(image: SmearImage, cells: Cells, dim: int, rng: np.random.Generator) -> Embeddings:
    """Embeddings in one cluster per class, far enough apart to be learned."""
    from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo

    centres = rng.normal(size=(CLASSES, dim))
    vectors = centres[cells.ids % CLASSES] + 1.5 * rng.normal(size=(len(cells), dim))
    info = EncoderInfo("made up", "0" * 64, dim)
    return Embeddings(cells.ids, vectors.astype(np.float32), info, CropSpec(), image.key)


def dock_with(cells: int, dim: int) -> tuple[HemaCellsWidget, np.random.Generator]:
    """A viewer with the dock and this many cells, already embedded."""
    import napari

    from napari_hemacells.core.store import Project
    from napari_hemacells.widgets import HemaCellsWidget

    rng = np.random.default_rng(0)
    image, found = made_up_smear(cells, rng)
    viewer = napari.Viewer()
    widget = HemaCellsWidget(viewer)
    widget.controller.tasks.embed = lambda: None  # the vectors below stand for the network's
    viewer.window.add_dock_widget(widget, name="HemaCells", area="right")
    widget.session.use_project(Project.create(Path(tempfile.mkdtemp()) / "project"))
    viewer.add_image(image.pixels, name=image.name)
    wait_until_open(widget)
    widget.session.set_cells(found)
    widget.session.set_embeddings(clustered(widget.session.image, found, dim, rng))
    widget.controller.show_step("annotate")
    return widget, rng


def wait_until_open(widget: HemaCellsWidget) -> None:
    """Wait for the image: a large one is opened in a thread."""
    from qtpy.QtWidgets import QApplication

    deadline = time.monotonic() + PATIENCE
    while widget.session.image is None:
        if time.monotonic() > deadline:
            raise SystemExit(f"The image was not opened within {PATIENCE} seconds.")
        QApplication.processEvents()
        time.sleep(0.01)


def time_click(widget: HemaCellsWidget, cell: int, class_id: str) -> tuple[float, float]:
    """Milliseconds from a click on a cell until the canvas is drawn with the new colours.

    Of wall time, and of processor time.
    """
    from qtpy.QtCore import QEventLoop, QTimer
    from qtpy.QtWidgets import QApplication

    session, canvas = widget.session, widget.controller.canvas
    session.active_class = class_id
    loop = QEventLoop()

    def coloured() -> None:
        # Behind everything else that listens, and behind the paint event it has asked for.
        QTimer.singleShot(0, loop.quit)

    session.events.prediction.connect(coloured)
    start, work = time.perf_counter(), time.process_time()
    canvas.click(cell)
    loop.exec()
    QApplication.processEvents()
    elapsed = 1000 * (time.perf_counter() - start), 1000 * (time.process_time() - work)
    session.events.prediction.disconnect(coloured)
    return elapsed


def main() -> None:
    """Click repeatedly and print the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--clicks", type=int, default=100)
    parser.add_argument("--dim", type=int, default=1280)
    parser.add_argument(
        "--without-numba", action="store_true", help="as if numba were not installed"
    )
    given = parser.parse_args()
    os.environ.setdefault("XDG_DATA_HOME", tempfile.mkdtemp())
    widget, rng = dock_with(given.cells, given.dim)
    if given.without_numba:
        # Where numba is installed napari maps labels to colours with it, on all cores.
        from napari.utils.colormaps import _accelerated_cmap as backends

        backends.set_colormap_backend(backends.ColormapBackend.pure_python)
    ids = widget.session.palette.ids
    clicked = rng.choice(np.arange(1, given.cells + 1), given.clicks + 5, replace=False)
    times = [time_click(widget, cell, ids[cell % len(ids)]) for cell in clicked.tolist()]
    measured, work = np.array(times[5:]).T  # the first ones load libraries
    print(
        json.dumps(
            {
                "cells": given.cells,
                "clicks": given.clicks,
                "dim": given.dim,
                "median_ms": round(float(np.median(measured)), 1),
                "p95_ms": round(float(np.percentile(measured, 95)), 1),
                "processor_ms": round(float(np.median(work)), 1),
                "first_ms": round(times[0][0], 1),
            }
        )
    )
    widget.controller.close()


if __name__ == "__main__":
    main()
