"""Make ``docs/images/thermogram-{dark,light}.png``: a series of thermograms, opened by the reader.

Twenty synthetic thermograms of two patients are written as text under DMR-IR names and opened as
a folder in a real viewer of 1280 by 800 pixels; the mouse rests on the hot spot. Needs a display,
or::

    xvfb-run -s "-screen 0 1280x800x24" python docs/screenshots_thermogram.py [dark] [light]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_hemacells.samples import synthetic_thermogram

if TYPE_CHECKING:
    import napari

    from napari_hemacells.samples.thermogram import SyntheticThermogram

IMAGES = Path(__file__).parent / "images"
SIZE, THEMES, SHOWN = (1280, 800), ("dark", "light"), 12


def write_series(folder: Path) -> SyntheticThermogram:
    """Write a series, and return the exam of the frame that is shown."""
    shown = synthetic_thermogram(2, hot_spot="left")
    for number in range(20):
        patient = 1 + number // 10
        exam = shown if patient == 2 else synthetic_thermogram(patient)
        warmer = exam.celsius + np.float32(0.02 * (number % 10))
        name = f"T{patient:04d}.1.1.D.2026-03-16.{number % 10:02d}.txt"
        np.savetxt(folder / name, warmer, fmt="%.2f")
    return shown


def settle(seconds: float = 1.0) -> None:
    """Let Qt draw."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.02)


def rest_on(viewer: napari.Viewer, row: float, col: float) -> None:
    """Move the mouse onto a pixel of the layer."""
    from qtpy.QtCore import QPoint
    from qtpy.QtTest import QTest

    canvas = viewer.window._qt_viewer.canvas.native  # noqa: SLF001  # a real mouse needs it
    camera = viewer.scene.camera
    centre, zoom = camera.center, camera.zoom
    ratio = canvas.devicePixelRatioF()
    across = canvas.width() / 2 + (col - centre[2]) * zoom / ratio
    down = canvas.height() / 2 + (row - centre[1]) * zoom / ratio
    for nudge in (3, 2, 1, 0):
        QTest.mouseMove(canvas, QPoint(round(across) + nudge, round(down)))
        settle(0.1)


def take(theme: str, folder: Path, spot: tuple[float, float]) -> None:
    """Save a picture of the whole window."""
    import napari

    viewer = napari.Viewer()
    viewer.theme = theme
    viewer.window.resize(*SIZE)
    viewer.open(str(folder), plugin="napari-hemacells")
    viewer.dims.set_point(0, SHOWN)
    settle()
    viewer.reset_view()
    rest_on(viewer, *spot)
    settle()
    pixels = viewer.screenshot(canvas_only=False, flash=False)[..., :3]
    few = Image.Quantize.MAXCOVERAGE
    small = Image.fromarray(pixels).quantize(255, few, dither=Image.Dither.NONE)
    small.save(IMAGES / f"thermogram-{theme}.png", optimize=True)
    viewer.close()


def main() -> None:
    """Make the pictures of the themes that are named, or of all."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "dynamic series"
        folder.mkdir()
        (spot,) = write_series(folder).hot_spots
        for theme in sys.argv[1:] or THEMES:
            take(theme, folder, (spot.row, spot.col))


if __name__ == "__main__":
    main()
