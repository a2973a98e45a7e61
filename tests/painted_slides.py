"""Two painted slides in a project, some of their cells annotated; trainings that run below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import psutil
from PIL import Image

from napari_hemacells.core.detect import cells_from_points
from napari_hemacells.core.image import read_image
from napari_hemacells.core.store import Project
from napari_hemacells.session import Session

if TYPE_CHECKING:
    from pathlib import Path

CELL, GLASS = 11, (235, 232, 228)
COLOURS = {"RBC": (205, 130, 130), "WBC": (110, 60, 150)}
PLACES = [(25 + 48 * row, 28 + 45 * col) for row in range(4) for col in range(5)]


def kind_of(place: int) -> str:
    return "WBC" if place % 2 else "RBC"


def paint(path: Path, seed: int) -> None:
    """Twenty round cells on a grid, every other one purple."""
    rng = np.random.default_rng(seed)
    pixels = np.full((200, 240, 3), GLASS, float)
    rows, cols = np.mgrid[:200, :240]
    for number, (row, col) in enumerate(PLACES):
        inside = (rows - row) ** 2 + (cols - col) ** 2 < CELL**2
        pixels[inside] = COLOURS[kind_of(number)]
    noisy = np.clip(pixels + rng.normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(path)


def painted_project(folder: Path, annotated: int, encoder: str = "bundled") -> Path:
    """Two slides of twenty cells, the first so many of each annotated."""
    session = Session("anna")
    session.use_project(Project.create(folder / "project"))
    session.set_encoder(encoder)
    for seed in (1, 0):
        path = folder / f"slide{seed}.png"
        paint(path, seed)
        image = read_image(path)
        session.show_image(image)
        session.set_cells(cells_from_points(PLACES, image.shape, 2.0 * CELL))
        at = {int(session.cells.labels[place]): n for n, place in enumerate(PLACES)}
        for name in COLOURS:
            chosen = [cell for cell, n in at.items() if n < annotated and kind_of(n) == name]
            session.annotate(chosen, session.palette.by_name(name).id)
    session.close()
    return folder / "project"


def children() -> list[int]:
    """Trainings that run below this process."""
    found = psutil.Process().children(recursive=True)
    return [one.pid for one in found if "subprocess_main" in " ".join(one.cmdline())]
