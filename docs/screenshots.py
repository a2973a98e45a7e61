"""Make ``docs/images/{detect,overlap,annotate,classify,export}-{dark,light}.png`` and others.

``unknown`` is the panel while one class has no click yet, ``map`` the map of the cells, ``large``
a large image.

The whole story in a real viewer of 1280 by 800 pixels, on the synthetic smear, with the bundled
encoder; the clicks come from the smear's ground truth. ``large`` is a detection half-way through
an image of 34 megapixels, which is made first. Needs a display, or::

    xvfb-run -s "-screen 0 1280x800x24" python docs/screenshots.py [--only-large] [dark] [light]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

    from napari_hemacells.samples.smear import SyntheticSmear
    from napari_hemacells.widgets import HemaCellsWidget

IMAGES = Path(__file__).parent / "images"
SIZE, SEED, SHOTS = (1280, 800), 0, 5
THEMES = ("dark", "light")
LARGE = (4800, 7000)  # rows and columns of the large image
UNSEEN = "RBC"  # the class of which ``unknown`` shows what happens while nobody has shown it
CLOSE = 9.0  # cells that the close-up is wide


def wait_until(done: Callable[[], bool], seconds: float = 300) -> None:
    """Let Qt work until something is so."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("the dock did not come to an end of its work")
        QApplication.processEvents()
        time.sleep(0.02)


def settle(seconds: float = 1.0) -> None:
    """Let Qt draw."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end)


def take(viewer: napari.Viewer, step: str, theme: str) -> None:
    """Save a picture of the whole window."""
    settle()
    pixels = viewer.screenshot(canvas_only=False, flash=False)[..., :3]
    # Rare colours too, such as those of a few white cells, which the usual method merges.
    rare = Image.Quantize.MAXCOVERAGE
    small = Image.fromarray(pixels).quantize(255, rare, kmeans=1, dither=Image.Dither.NONE)
    small.save(IMAGES / f"{step}-{theme}.png", optimize=True)


def truth_clicks(dock: HemaCellsWidget, smear: SyntheticSmear) -> dict[int, str]:
    """A few detected cells of each class with their true class."""
    from napari_hemacells.cli.demo import choose_clicks, match_truth

    classes = dict(zip(smear.table["label"], smear.table["class"], strict=True))
    return choose_clicks(match_truth(dock.session.cells, smear.labels, classes), SHOTS, seed=0)


def label(dock: HemaCellsWidget, cell: int, name: str) -> None:
    """Click a cell with a class, and wait for the new colours."""
    session = dock.session
    session.active_class = session.palette.by_name(name).id
    before = session.prediction
    dock.controller.canvas.click(cell)
    wait_until(lambda: session.prediction is not before)


def draw_around_white_cells(dock: HemaCellsWidget) -> None:
    """Choose on the map what is called a white cell, as a line around them would."""
    import numpy as np

    cells, prediction = dock.session.cells, dock.session.prediction
    white = prediction.class_ids.index(dock.session.palette.by_name("WBC").id)
    chosen = prediction.ids[(prediction.predicted_column == white) & ~prediction.verdict]
    settle()
    dock.map.canvas.chosen.emit(np.flatnonzero(np.isin(cells.ids, chosen)))


def go_close(viewer: napari.Viewer, dock: HemaCellsWidget) -> None:
    """Bring the two cells whose boxes overlap most to the middle, some cells wide."""
    import numpy as np

    cells = dock.session.cells
    low, high = cells.boxes[:, None, :2], cells.boxes[:, None, 2:]
    shared = np.minimum(high, cells.boxes[None, :, 2:]) - np.maximum(low, cells.boxes[None, :, :2])
    overlap = np.triu(np.clip(shared, 0, None).prod(axis=-1), 1)
    pair = np.unravel_index(overlap.argmax(), overlap.shape)
    centre = cells.centres[list(pair)].mean(axis=0)
    layer = dock.controller.bridge.cells_layer
    viewer.scene.camera.center = (0, *layer.data_to_world(centre))
    viewer.scene.camera.zoom = 560 / (CLOSE * cells.diameter * float(layer.scale[-1]))


def tell_of_large(path: Path, theme: str) -> None:
    """Take a picture of a detection half-way through a large image."""
    from napari_hemacells.core.image import read_image
    from napari_hemacells.widgets.canvas import layer_readers

    viewer, dock = window(theme)
    viewer.add_image(**layer_readers.image_layer_kwargs(read_image(path)))
    wait_until(lambda: dock.session.image is not None)
    viewer.reset_view()
    shares: list[float] = []
    dock.controller.tasks.jobs.progressed.connect(
        lambda _kind, report: shares.append(
            report.done / report.total if report.found is not None else 0.0
        )
    )
    dock.detect.button.click()
    wait_until(lambda: bool(shares) and shares[-1] >= 0.5, seconds=3600)
    viewer.reset_view()
    take(viewer, "large", theme)
    dock.controller.tasks.cancel()
    viewer.close()


def window(theme: str) -> tuple[napari.Viewer, HemaCellsWidget]:
    """A viewer of this theme with the dock, and a fresh place for projects."""
    import napari
    from napari.settings import get_settings

    from napari_hemacells.widgets import HemaCellsWidget

    os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp()
    get_settings().appearance.theme = theme
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    dock = HemaCellsWidget(viewer)
    viewer.window.add_dock_widget(dock, name="HemaCells", area="right")
    return viewer, dock


def tell(viewer: napari.Viewer, dock: HemaCellsWidget, smear: SyntheticSmear, theme: str) -> None:
    """Go through the four steps and take a picture of each."""
    dock.detect.button.click()
    wait_until(lambda: dock.session.embeddings is not None)
    viewer.reset_view()
    take(viewer, "detect", theme)
    go_close(viewer, dock)
    take(viewer, "overlap", theme)
    dock.controller.show_step("annotate")
    clicks = truth_clicks(dock, smear)
    for cell, name in clicks.items():
        if name != UNSEEN:
            label(dock, cell, name)
    dock.controller.show_step("classify")
    viewer.reset_view()
    take(viewer, "unknown", theme)
    dock.controller.show_step("annotate")
    for cell, name in clicks.items():
        if name == UNSEEN:
            label(dock, cell, name)
    dock.controller.canvas.act("next")
    viewer.reset_view()
    take(viewer, "annotate", theme)
    dock.controller.show_step("classify")
    dock.controller.canvas.show_mode("confidence")
    take(viewer, "classify", theme)
    dock.controller.canvas.show_mode("class")
    dock.controller.bridge.raise_dock(dock.map)
    draw_around_white_cells(dock)
    take(viewer, "map", theme)
    dock.controller.bridge.raise_dock(dock.gallery)
    dock.controller.show_step("export")
    dock.export.button.click()
    wait_until(lambda: bool(dock.export.result.text()))
    take(viewer, "export", theme)


def main() -> None:
    """Both themes, each with a fresh project."""
    from napari_hemacells.samples import smear_mosaic
    from napari_hemacells.samples.smear import synthetic_smear

    IMAGES.mkdir(exist_ok=True)
    wanted = [one for one in sys.argv[1:] if not one.startswith("-")]
    themes = wanted or list(THEMES)
    if "--only-large" not in sys.argv:
        smear = synthetic_smear(seed=SEED)
        for theme in themes:
            viewer, dock = window(theme)
            viewer.add_image(smear.image, name="synthetic smear")
            tell(viewer, dock, smear, theme)
            viewer.close()
    with tempfile.TemporaryDirectory() as folder:
        large = smear_mosaic(Path(folder) / "slide.ome.zarr", LARGE, seed=SEED)
        for theme in themes:
            tell_of_large(large.path, theme)


if __name__ == "__main__":
    main()
