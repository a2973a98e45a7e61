"""Time from a correction to the drawn canvas: real viewer, 5,000 cells, cached embeddings.

A correction is timed from the key event until the journal is on disk, the cells, layer and panels
are updated, and the canvas is drawn. For an added cell this includes the detector's proposal in
its thread (``add``) or not (``add without proposal``). Run it with a display or under Xvfb::

    xvfb-run -a python benchmarks/correct_to_canvas.py --cells 5000 --times 30

Prints one line of JSON: median and 95th percentile of each in milliseconds of wall time, and the
median of CPU time, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from typing import TYPE_CHECKING

import numpy as np

from click_to_colour import PITCH, RADIUS, dock_with
from napari_hemacells.core.detect.proposal import Proposal, mask_in_window

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_hemacells.widgets import HemaCellsWidget

SETTLE = 1.0  # seconds


def main() -> None:
    """Correct repeatedly and print the times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--dim", type=int, default=1280)
    given = parser.parse_args()
    os.environ.setdefault("XDG_DATA_HOME", tempfile.mkdtemp())
    widget, rng = dock_with(given.cells, given.dim)
    session, corrector = widget.session, widget.controller.cell_editor
    kinds: dict[str, Callable[[int], None]] = {
        "delete": lambda cell: session.delete_cells([cell]),
        "undo": lambda _cell: session.undo(),
        "split": lambda cell: session.split_cell(cell, line_through(widget, cell)),
        "merge": lambda cell: session.merge_cells([cell, neighbour(widget, cell)]),
        "add without proposal": lambda cell: add_between(widget, cell),
        "add": lambda cell: add_by_key(widget, cell),
    }
    cells = iter(rng.permutation(session.cells.ids).tolist())
    result: dict[str, object] = {"cells": given.cells, "times": given.times}
    for name, act in kinds.items():
        times = [timed(act, next_cell(widget, cells)) for _ in range(given.times + 3)][3:]
        clock, work = np.array(times).T
        result[name] = {
            "median_ms": round(float(np.median(clock)), 1),
            "p95_ms": round(float(np.percentile(clock, 95)), 1),
            "processor_ms": round(float(np.median(work)), 1),
        }
        print(name, result[name], flush=True)
    print(json.dumps(result))
    corrector.close()
    widget.controller.close()


def timed(act: Callable[[int], None], cell: int) -> tuple[float, float]:
    """Milliseconds of wall and CPU time until the canvas is drawn."""
    from qtpy.QtWidgets import QApplication

    until = time.perf_counter() + SETTLE
    while time.perf_counter() < until:  # what was put off after the last one is not this one's
        QApplication.processEvents()
        time.sleep(0.02)
    start, work = time.perf_counter(), time.process_time()
    act(cell)
    QApplication.processEvents()
    return 1000 * (time.perf_counter() - start), 1000 * (time.process_time() - work)


def next_cell(widget: HemaCellsWidget, cells: object) -> int:
    """A cell that still exists, with a neighbour on its right."""
    position = widget.session.cells.position
    return next(cell for cell in cells if cell in position and cell + 1 in position)


def neighbour(widget: HemaCellsWidget, cell: int) -> int:
    """The next cell."""
    return cell + 1 if cell + 1 in widget.session.cells.position else cell - 1


def line_through(
    widget: HemaCellsWidget, cell: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """A line across the middle of a cell."""
    row, col = widget.session.cells.centres[widget.session.cells.position[cell]].tolist()
    return (row + 0.5, col - PITCH), (row + 0.5, col + PITCH)


def add_between(widget: HemaCellsWidget, cell: int) -> None:
    """Add a small cell on the glass between four cells of the grid."""
    session = widget.session
    row, col = session.cells.centres[session.cells.position[cell]].astype(int) - PITCH // 2
    side = max(4, PITCH // 2 - RADIUS + 2)
    window = slice(max(0, row), max(0, row) + side), slice(max(0, col), max(0, col) + side)
    mask = mask_in_window(np.ones((side, side), bool), window)
    if mask is not None:
        session.add_cell(float(row), float(col), None, Proposal("", 0.0, mask.box, mask, "disc"))


def add_by_key(widget: HemaCellsWidget, cell: int) -> None:
    """Delete a cell, then press A over its place and wait until it is back."""
    from qtpy.QtCore import QEventLoop

    session = widget.session
    place = session.cells.centres[session.cells.position[cell]].tolist()
    session.delete_cells([cell])
    loop, count = QEventLoop(), len(session.cells)

    def there(_change: object = None) -> None:
        if len(session.cells) > count:
            loop.quit()

    session.events.corrected.connect(there)
    widget.controller.cell_editor.refused.connect(loop.quit)
    widget.controller.bridge.pointer.place = tuple(place)
    widget.controller.canvas.act("add")
    loop.exec()
    session.events.corrected.disconnect(there)
    widget.controller.cell_editor.refused.disconnect(loop.quit)


if __name__ == "__main__":
    main()
