"""A slide of thousands of cells in the dock: first answered click, all embedded, longest stall.

The slide is stitched of public fields (``stitched_slide.py``); the viewer, the detector, the
encoder and the classifier are the real ones. Run it with a display or under Xvfb::

    xvfb-run -a python benchmarks/real_slide.py ../shared/data --out /tmp/slide

Prints one line of JSON. ``stalls`` gives the longest time that the event loop was away, in
milliseconds, in each phase, with ``over_100_ms`` how often it was longer than that;
``--explain`` prints what the main thread did in each. With ``--made-up 50000`` detection and
network are left out: cells and vectors are made up, and only what the window does is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from event_loop import PATIENCE, StallWatch

if TYPE_CHECKING:
    from napari_hemacells.widgets import HemaCellsWidget

EXPORTED = ("csv", "joint", "labels", "overlay", "report")


def open_dock() -> tuple[Any, HemaCellsWidget]:
    """A viewer with the dock."""
    import napari

    from napari_hemacells.widgets import HemaCellsWidget

    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    dock = HemaCellsWidget(viewer)
    viewer.window.add_dock_widget(dock, name="HemaCells", area="right")
    return viewer, dock


def nearest_cells(dock: HemaCellsWidget, truth: list[Any], kind: str) -> list[int]:
    """Ids of detected cells that lie on a cell of this kind in the truth, by their order there."""
    cells = dock.session.cells
    found = []
    for point in truth:
        if point.kind == kind:
            away = np.hypot(*(cells.centres - (point.row, point.col)).T)
            if away.min() < 10:
                found.append(int(cells.ids[away.argmin()]))
        if len(found) == 40:
            break
    return found


class Run:
    """The steps of a user, each a phase of the watch."""

    def __init__(self, viewer: Any, dock: HemaCellsWidget, watch: StallWatch) -> None:
        self.viewer, self.dock, self.watch = viewer, dock, watch
        self.result: dict[str, Any] = {}
        self.answers = 0
        dock.session.events.prediction.connect(self._answered)
        dock.controller.tasks.progressed.connect(self._progressed)
        self.embedded = (0, 0, 0.0)  # cells, of how many, in seconds since the first of them
        self._since: tuple[int, float] | None = None

    def _progressed(self, done: int, total: int, words: str) -> None:
        if words.startswith("Embedding cells") and total > 1:
            self._since = self._since or (done, time.perf_counter())
            started, since = self._since
            self.embedded = (done - started, total, time.perf_counter() - since)

    def _answered(self) -> None:
        if self.dock.session.prediction is not None:
            self.answers += 1

    def click(self, cell: int, class_id: str, patience: float = PATIENCE) -> float | None:
        """Click a cell; return the seconds until all are coloured, ``None`` if it takes longer."""
        before = self.answers
        self.dock.session.active_class = class_id
        started = time.perf_counter()
        self.dock.controller.canvas.click(cell)
        done = self.watch.wait_until(lambda: self.answers > before, patience)
        return None if done is None else time.perf_counter() - started

    def detect(self) -> float:
        """Press *Detect*; return when that was, once there are cells."""
        self.watch.phase = "detect"
        began = time.perf_counter()
        self.dock.detect.button.click()
        session, jobs = self.dock.session, self.dock.controller.tasks.jobs
        self.watch.wait_until(lambda: session.cells is not None and not jobs.running("detect"))
        self.result["detect_s"] = round(time.perf_counter() - began, 1)
        self.result["cells"] = len(session.cells)
        return began

    def clicks(self, choices: list[tuple[int, str]], phase: str) -> None:
        """Click cells one after the other; nothing where a small slide has none left."""
        if not choices:
            return
        self.watch.phase = phase
        times = [1000 * (self.click(*choice) or PATIENCE) for choice in choices]
        self.result[f"{phase}_ms"] = {
            "first": round(times[0]),
            "median": round(float(np.median(times))),
            "p95": round(float(np.percentile(times, 95))),
        }
        self.watch.wait(1)

    def look_around(self) -> None:
        """Zoom, pan, and change what is shown."""
        self.watch.phase = "zoom"
        rows, cols = self.dock.session.image.shape
        rng = np.random.default_rng(0)
        for zoom in (0.08, 0.15, 0.3, 0.7, 1.5, 3, 1, 0.4, 0.1):
            self.viewer.camera.zoom = zoom
            self.watch.wait(0.2)
            for _ in range(3):
                centre = rng.uniform(0.2, 0.8, 2) * (rows, cols)
                self.viewer.camera.center = (0, *centre)
                self.watch.wait(0.1)
        self.watch.phase = "layers"
        for _ in range(6):
            self.dock.controller.canvas.act("display")
            self.watch.wait(0.4)
        for layer in list(self.viewer.layers):
            for shown in (False, True):
                layer.visible = shown
                self.watch.wait(0.3)
            self.viewer.layers.selection.active = layer
            self.watch.wait(0.3)

    def export(self) -> None:
        """Export what the issue names."""
        self.watch.phase = "export"
        dock = self.dock
        dock.controller.show_step("export")
        for name, box in dock.export.boxes.items():
            box.setChecked(name in EXPORTED)
        dock.export.folder.setText(tempfile.mkdtemp())
        self.watch.wait(0.5)
        began = time.perf_counter()
        dock.export.button.click()
        jobs = dock.controller.tasks.jobs
        self.watch.wait_until(lambda: not jobs.running("export"))
        self.result["export_s"] = round(time.perf_counter() - began, 1)
        self.watch.wait(0.5)

    def switch(self) -> None:
        """Go to another image and back."""
        self.watch.phase = "switch"
        dock = self.dock
        first = dock.session.image
        rng = np.random.default_rng(1)
        other = rng.integers(150, 255, (480, 640, 3), dtype=np.uint8)
        layer = self.viewer.add_image(other, name="another")
        self.watch.wait(1)
        dock.controller.project_controller.choose_image(str(layer.unique_id))
        self.watch.wait_until(lambda: dock.session.image.key != first.key)
        self.watch.wait(1)
        back = (
            self.viewer.layers["slide"] if "slide" in self.viewer.layers else self.viewer.layers[0]
        )
        dock.controller.project_controller.choose_image(str(back.unique_id))
        self.watch.wait_until(
            lambda: dock.session.image.key == first.key and dock.session.cells is not None
        )
        self.watch.wait(4)


def real(  # noqa: PLR0915 (one step of the user after the other)
    given: argparse.Namespace,
) -> tuple[Any, HemaCellsWidget, Run]:
    """Detect, click as soon as that is possible, and wait for the last vector."""
    import tifffile

    from stitched_slide import read_truth, write_slide

    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / f"slide-{given.rows}x{given.cols}.tif"
    if not file.is_file():
        write_slide(file, given.data, given.rows, given.cols)
    truth, pixels = read_truth(file), tifffile.imread(file)
    viewer, dock = open_dock()
    watch = StallWatch()
    run = Run(viewer, dock, watch)
    watch.phase = "open"
    viewer.add_image(pixels, name="slide")
    session = dock.session
    watch.wait_until(lambda: session.image is not None)
    watch.wait(1)
    began = run.detect()
    run.result["truth"] = len(truth)
    dock.controller.show_step("annotate")
    with watch.aside():
        red, white = (nearest_cells(dock, truth, kind) for kind in ("RBC", "WBC"))
    if not red or not white:
        raise SystemExit("The slide needs a red and a white cell: make it larger.")
    for class_id in list(session.palette.ids):
        session.delete_class(class_id)
    kinds = [session.add_class("Erythrocyte"), session.add_class("White cell")]
    watch.phase = "first click"
    deadline = time.perf_counter() + given.embed_seconds
    first = run.click(red[0], kinds[0], given.embed_seconds)
    run.result["first_click_s"] = None if first is None else round(first, 2)
    run.result["detect_to_answer_s"] = (
        None if first is None else round(time.perf_counter() - began, 1)
    )
    if first is not None:
        second = run.click(white[0], kinds[1], given.embed_seconds)
        run.result["second_click_s"] = None if second is None else round(second, 2)
    else:
        session.annotate([white[0]], kinds[1])
    jobs = dock.controller.tasks.jobs
    watch.phase = "embedding"
    pairs = [choice for pair in zip(red[1:5], white[1:5], strict=False) for choice in
             zip(pair, kinds, strict=True)]  # fmt: skip
    if jobs.running("embed") and first is not None:
        run.clicks(pairs, "clicks while embedding")
        watch.phase = "embedding"
    left = max(0.0, deadline - time.perf_counter())
    all_there = watch.wait_until(lambda: not jobs.running("embed"), left)
    done, total, took = run.embedded
    run.result["cells_a_second"] = round(done / took, 1) if took else None
    if all_there is None:  # the rest by the rate; made-up vectors stand for what is missing
        ahead = (total - done) / (done / took) if done else float("nan")
        run.result["all_embedded_s_at_this_rate"] = round(time.perf_counter() - began + ahead, 0)
        jobs.cancel("embed")
        with watch.aside():
            vectors = made_up_vectors(dock)
        session.set_embeddings(vectors)
    else:
        run.result["all_embedded_s"] = round(time.perf_counter() - began, 1)
    watch.wait(2)
    pairs = [choice for pair in zip(red[5:11], white[5:11], strict=False) for choice in
             zip(pair, kinds, strict=True)]  # fmt: skip
    run.clicks(pairs, "clicks")
    run.result["right"] = share_right(dock, truth, dict(zip(kinds, ("RBC", "WBC"), strict=True)))
    return viewer, dock, run


def made_up_vectors(dock: HemaCellsWidget) -> Any:
    """Vectors that tell the detector's kinds apart."""
    from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo

    session = dock.session
    rng = np.random.default_rng(0)
    names, rows = np.unique(session.cells.table["class"].to_numpy(str), return_inverse=True)
    centres = rng.normal(size=(len(names), 1280))
    vectors = centres[rows] + rng.normal(size=(len(rows), 1280))
    info = EncoderInfo("made up", "0" * 64, 1280)
    ids, key = session.cells.ids, session.image.key
    return Embeddings(ids, vectors.astype(np.float32), info, CropSpec(), key)


def share_right(dock: HemaCellsWidget, truth: list[Any], kinds: dict[str, str]) -> dict[str, Any]:
    """How many cells of the truth that were found have the right class, of each kind."""
    from scipy.spatial import cKDTree

    session = dock.session
    tree = cKDTree(session.cells.centres)
    points = [point for point in truth if point.kind in kinds.values()]
    away, rows = tree.query([(point.row, point.col) for point in points])
    shown = session.prediction
    classes = {
        int(cell): kinds[shown.class_ids[column]]
        for cell, column in zip(shown.ids, shown.predicted_column, strict=True)
    }
    right: dict[str, list[bool]] = {}
    for point, distance, row in zip(points, away, rows, strict=True):
        if distance < 12:
            cell = int(session.cells.ids[row])
            right.setdefault(point.kind, []).append(classes.get(cell) == point.kind)
    return {kind: [sum(values), len(values)] for kind, values in right.items()}


def made_up(given: argparse.Namespace) -> tuple[Any, HemaCellsWidget, Run]:
    """Clicks on made-up cells and vectors."""
    from click_to_colour import dock_with

    began = time.perf_counter()
    dock, rng = dock_with(given.made_up, 1280)
    print(f"opened after {time.perf_counter() - began:.1f} s", file=sys.stderr)
    viewer = dock.controller.bridge.viewer
    viewer.window.resize(1280, 800)
    watch = StallWatch()
    run = Run(viewer, dock, watch)
    run.result["cells"] = len(dock.session.cells)
    watch.wait(2)
    ids = dock.session.palette.ids
    chosen = rng.choice(dock.session.cells.ids, 30, replace=False).tolist()
    run.clicks([(cell, ids[cell % 3]) for cell in chosen], "clicks")
    return viewer, dock, run


def main() -> None:
    """Run the phases and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "slide")
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--cols", type=int, default=10000)
    parser.add_argument("--made-up", type=int, default=0, metavar="N")
    parser.add_argument("--explain", action="store_true")
    parser.add_argument("--embed-seconds", type=int, default=3600, help="give up waiting then")
    given = parser.parse_args()
    os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp()
    viewer, dock, run = made_up(given) if given.made_up else real(given)
    try:
        for step in (run.look_around, run.export, run.switch):
            step()
    except Exception as error:  # noqa: BLE001 (what was measured until then is printed)
        run.result["error"] = repr(error)
    run.watch.stop()
    run.result["stalls"] = {
        phase: {"longest_ms": round(1000 * away), "over_100_ms": run.watch.count[phase]}
        for phase, away in run.watch.longest.items()
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run.result["peak_mb"] = round(peak / 1024)
    if given.explain:
        for phase, away, what in sorted(run.watch.stalls, key=lambda stall: -stall[1])[:60]:
            print(f"{phase} {1000 * away:.0f} ms: {what}", file=sys.stderr)
    print(json.dumps(run.result))
    dock.controller.close()
    viewer.close()


if __name__ == "__main__":
    main()
