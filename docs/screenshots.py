"""Make ``docs/images/{detect,annotate,classify,export}-{dark,light}.png``.

The whole story in a real viewer of 1280 by 800 pixels, on the synthetic smear, with the bundled
encoder; the clicks come from the smear's ground truth. Needs a display, or::

    xvfb-run -s "-screen 0 1280x800x24" python docs/screenshots.py
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
    small = Image.fromarray(pixels).quantize(255, dither=Image.Dither.NONE)
    small.save(IMAGES / f"{step}-{theme}.png", optimize=True)


def truth_clicks(dock: HemaCellsWidget, smear: SyntheticSmear) -> dict[int, str]:
    """A few detected cells of each class with their true class."""
    from napari_hemacells.cli.truth import choose_clicks, match_truth

    classes = dict(zip(smear.table["label"], smear.table["class"], strict=True))
    return choose_clicks(match_truth(dock.session.cells, smear.labels, classes), SHOTS, seed=0)


def label(dock: HemaCellsWidget, cell: int, name: str) -> None:
    """Click a cell with a class, and wait for the new colours."""
    session = dock.session
    session.active_class = session.palette.by_name(name).id
    before = session.prediction
    dock.controller.canvas.click(cell)
    wait_until(lambda: session.prediction is not before)


def tell(viewer: napari.Viewer, dock: HemaCellsWidget, smear: SyntheticSmear, theme: str) -> None:
    """Go through the four steps and take a picture of each."""
    dock.detect.button.click()
    wait_until(lambda: dock.session.embeddings is not None)
    viewer.reset_view()
    take(viewer, "detect", theme)
    dock.controller.show_step("annotate")
    for cell, name in truth_clicks(dock, smear).items():
        label(dock, cell, name)
    dock.controller.canvas.act("next")
    viewer.reset_view()
    take(viewer, "annotate", theme)
    dock.controller.show_step("classify")
    dock.controller.canvas.show_mode("confidence")
    take(viewer, "classify", theme)
    dock.controller.canvas.show_mode("class")
    dock.controller.show_step("export")
    dock.export.button.click()
    wait_until(lambda: bool(dock.export.result.text()))
    take(viewer, "export", theme)


def main() -> None:
    """Both themes, each with a fresh project."""
    import napari
    from napari.settings import get_settings

    from napari_hemacells.samples.smear import synthetic_smear
    from napari_hemacells.widgets import HemaCellsWidget

    IMAGES.mkdir(exist_ok=True)
    smear = synthetic_smear(seed=SEED)
    for theme in sys.argv[1:] or THEMES:
        os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp()
        get_settings().appearance.theme = theme
        viewer = napari.Viewer()
        viewer.window.resize(*SIZE)
        viewer.add_image(smear.image, name="synthetic smear")
        dock = HemaCellsWidget(viewer)
        viewer.window.add_dock_widget(dock, name="HemaCells", area="right")
        tell(viewer, dock, smear, theme)
        viewer.close()


if __name__ == "__main__":
    main()
