"""A folder of cell pictures labelled in the dock by script: opening, embedding, key to colour.

Real viewer, real encoder, real keys in the gallery. A flat copy of up to `--pictures` files of
class folders is opened; their folders are the truth. Of each class `--each` pictures are labelled
by key, drawn at random; every key is timed until each picture has its new class and the canvas is
drawn. Run it with a display or under Xvfb::

    xvfb-run -a python benchmarks/pictures_in_the_dock.py CLASS_FOLDERS --pictures 2000

Prints one line of JSON: seconds, megabytes, and the share of the other pictures that is right (of
all, unknown counted as wrong; and of those that are called something). The encoder says what it
had seen (`seen`): of a set that it was trained on, the share says nothing about new pictures.
While each phase lasts a watcher notes how long the window is away from its events; the three
longest stalls and what the main thread did then go to stderr. With `--made-up N` only opening,
memory and the stalls of the window are measured, on N made-up pictures.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from event_loop import StallWatch
    from napari_hemacells.widgets import HemaCellsWidget

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}


def flat_copy(source: Path, count: int, seed: int) -> tuple[Path, dict[str, str]]:
    """A folder of so many pictures without class folders, and the class of each."""
    files = sorted(path for path in source.glob("*/*") if path.suffix.lower() in SUFFIXES)
    order = np.random.default_rng(seed).permutation(len(files))[:count]
    folder = Path(tempfile.mkdtemp()) / "pictures"
    folder.mkdir()
    truth = {}
    for index in order.tolist():
        file = files[index]
        name = f"{index:05d}{file.suffix}"  # the name must not say the class
        shutil.copyfile(file, folder / name)
        truth[name] = file.parent.name
    return folder, truth


def made_up(count: int) -> Path:
    """A folder of so many small pictures, all different."""
    from PIL import Image

    rng, folder = np.random.default_rng(0), Path(tempfile.mkdtemp()) / "pictures"
    folder.mkdir()
    for number in range(count):
        pixels = rng.integers(120, 250, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06d}.jpg", quality=60)
    return folder


def open_folder(folder: Path, watch: StallWatch) -> tuple[Any, HemaCellsWidget, float]:
    """A viewer, its dock with the folder open, and how long that took."""
    import napari

    from napari_hemacells.widgets import HemaCellsWidget

    os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp()
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    dock = HemaCellsWidget(viewer)
    viewer.window.add_dock_widget(dock, name="HemaCells", area="right")
    watch.wait(0.5)
    watch.phase = "open"
    dock.controller.pictures.open_folder(folder)
    return viewer, dock, watch.wait_until(lambda: dock.gallery is not None)


def label_by_keys(
    dock: HemaCellsWidget, truth: dict[str, str], each: int, seed: int, watch: StallWatch
) -> dict[str, Any]:
    """Press keys on pictures in the gallery; return the times and what became of the others."""
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    session, gallery = dock.session, dock.gallery
    names = dict(zip(session.cells.ids.tolist(), session.cells.table["file"], strict=True))
    kinds = sorted(set(truth.values()))
    for class_id in list(session.palette.ids):
        session.delete_class(class_id)
    keys = {}
    for kind in kinds:
        class_id = session.add_class(kind)
        keys[kind] = session.palette.by_id(class_id).key
    watch.phase = "annotate step"
    dock.controller.show_step("annotate")
    watch.wait_until(lambda: gallery.model.rowCount() == len(names))
    watch.wait(0.5)
    watch.phase = "keys"
    rng, times = np.random.default_rng(seed), []
    chosen = [
        cell for kind in kinds
        for cell in rng.permutation([c for c, name in names.items() if truth[name] == kind])[:each]
    ]  # fmt: skip
    for cell in rng.permutation(chosen).tolist():
        gallery.select_cell(cell)
        before = session.prediction
        start = time.monotonic()
        QTest.keyClick(gallery.view, str(keys[truth[names[cell]]]))
        watch.wait_until(lambda before=before: session.prediction is not before)
        QApplication.processEvents()
        times.append(time.monotonic() - start)
    by_id = {cell_class.id: cell_class.name for cell_class in session.palette}
    others = [
        (by_id.get(known or "", ""), truth[names[cell]])
        for cell, known in zip(session.cells.ids.tolist(), session.known_classes, strict=True)
        if cell not in session.annotated
    ]
    called = [pair for pair in others if pair[0]]
    return {
        "labelled": len(times),
        "key_to_colour_median_s": round(float(np.median(times)), 3),
        "key_to_colour_p95_s": round(float(np.percentile(times, 95)), 3),
        "others": len(others),
        "right_of_all": round(sum(a == b for a, b in others) / len(others), 3),
        "called": len(called),
        "right_of_called": round(sum(a == b for a, b in called) / max(len(called), 1), 3),
    }


def main() -> None:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, nargs="?", help="a folder of class folders")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--each", type=int, default=5, help="pictures labelled of each class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--made-up", type=int, default=0)
    given = parser.parse_args()
    import napari  # noqa: F401  # makes Qt's application
    from qtpy.QtWidgets import QApplication

    from event_loop import StallWatch

    application = QApplication.instance() or QApplication([])
    watch = StallWatch()
    if given.made_up:
        folder, truth = made_up(given.made_up), {}
    else:
        folder, truth = flat_copy(given.source, given.pictures, given.seed)
    viewer, dock, opened = open_folder(folder, watch)
    measured: dict[str, Any] = {
        "pictures": len(dock.session.cells), "opened_s": round(opened, 2),
        "load_average": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    sheet = dock.session.image.sheet
    if given.made_up:
        dock.controller.tasks.cancel()
        watch.phase = "tiles"
        read = watch.wait_until(lambda: not dock.controller.pictures.jobs.running("tiles"))
        measured |= {"tiles_s": round(read, 1)}
    else:
        watch.phase = "embed"
        embedded = watch.wait_until(lambda: dock.session.embeddings is not None)
        measured |= {
            "embedded_s": round(embedded, 1),
            "encoder": dock.session.embeddings.encoder.name,
            "seen": dock.session.embeddings.encoder.seen,
        }
        watch.wait_until(lambda: not len(sheet.not_loaded()))
        measured |= label_by_keys(dock, truth, given.each, given.seed, watch)
    measured |= {
        "longest_stall_s": {phase: round(time, 2) for phase, time in watch.longest.items()},
        "most_processor_s": {phase: round(time, 2) for phase, time in watch.busiest.items()},
        "stalls_above_100_ms": dict(watch.count),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    watch.stop()
    for phase in watch.longest:
        stalls = sorted((one for one in watch.stalls if one[0] == phase), key=lambda one: -one[1])
        for _, seconds, place in stalls[:3]:
            print(f"{phase}: {1000 * seconds:.0f} ms in {place}", file=sys.stderr)
    dock.controller.close()
    viewer.close()
    application.processEvents()
    shutil.rmtree(folder.parent, ignore_errors=True)
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
