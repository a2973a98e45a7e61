"""Make ``docs/images/{odd,compare}-dark.png``: odd cells of a field of BCCD, and two compared.

Ten red cells and the platelets that the detector finds are annotated, no white cell. Needs the
shared data sets and a display, or::

    xvfb-run -s "-screen 0 1280x800x24" python docs/screenshots_second_look.py [DATA]

``triage.png`` is the page of ``hemacells triage`` on the first eight val fields, opened in a
browser; its model is of the first six train fields, at most five red cells and three platelets of
each.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from screenshots import settle, take, wait_until, window

if TYPE_CHECKING:
    from napari_hemacells.widgets import HemaCellsWidget

FIELD, SHOTS = "BloodImage_00035", 10


def annotate(dock: HemaCellsWidget) -> None:
    """Give the first cells of two of the detector's kinds their class."""
    session = dock.session
    kinds = session.cells.table["class"]
    for cell_class in session.palette.classes:
        if cell_class.name != "WBC":
            cells = session.cells.ids[kinds == cell_class.name][:SHOTS]
            session.annotate(cells.tolist(), cell_class.id)
    wait_until(lambda: session.prediction is not None and len(session.prediction.class_ids) > 1)


def main() -> None:
    """Open a field, detect, annotate, and take both pictures."""
    data = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
    viewer, dock = window("dark")
    session = dock.session
    viewer.open(str(data / f"bccd/images/{FIELD}.jpg"), plugin="napari")
    wait_until(lambda: session.image is not None)
    dock.detect.button.click()
    wait_until(lambda: session.cells is not None)
    dock.controller.show_step("annotate")
    wait_until(lambda: session.embeddings is not None)
    annotate(dock)
    settle(2)
    viewer.reset_view()
    dock.controller.canvas.act("odd")
    wait_until(lambda: session.odd_ones is not None)
    settle(2)
    take(viewer, "odd", "dark")
    kinds = session.cells.table["class"]
    for kind in ("RBC", "WBC"):
        dock.controller.canvas.choose(int(session.cells.ids[kinds == kind][-1]))
        dock.controller.canvas.act("compare")
        settle(0.5)
    wait_until(lambda: bool(dock.compare.figures.text()))
    take(viewer, "compare", "dark")
    viewer.close()


if __name__ == "__main__":
    main()
