"""Make ``docs/images/finetune-{ready,curves,ended,result,matrix,changes,after}-dark.png``.

Fine-tuning in a real viewer of 1280 by 800 pixels: fields of the Chula RBC-12 data set (MIT,
Naruenatthanaset et al. 2021) with the classes of their cells as clicks, in a project of several
images. Needs the data set and a display, or::

    xvfb-run -s "-screen 0 1280x800x24" python docs/screenshots_finetune.py FOLDER [light]

Without FOLDER (the one with ``images`` and ``labels``) the synthetic smear stands in.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from screenshots import settle, take, wait_until, window

if TYPE_CHECKING:
    import napari

    from napari_hemacells.core.types import Cells, SmearImage
    from napari_hemacells.widgets import HemaCellsWidget

FIELDS = (26, 36, 12, 276, 43)  # of several smears
NAMES = {0: "normal", 4: "target cell", 6: "ovalocyte", 8: "burr cell", 9: "schistocyte"}
DIAMETER, SAID = 62.0, 0.35  # pixels; share of the cells that are annotated
SHOTS = 12  # clicks a class on each synthetic smear


def chula(folder: Path) -> list[tuple[SmearImage, Cells, dict[int, str]]]:
    """Fields with their cells and, of most of them, the class."""
    from napari_hemacells.core.detect import cells_from_points
    from napari_hemacells.core.image import read_image

    rng, found = np.random.default_rng(0), []
    for number in FIELDS:
        image = read_image(folder / "images" / f"{number}.jpg")
        rows = np.loadtxt(folder / "labels" / f"{number}.txt", dtype=int, ndmin=2)
        cells = cells_from_points(rows[:, [1, 0]], image.shape, DIAMETER)
        nearest = np.square(cells.centres[:, None] - rows[None, :, [1, 0]]).sum(-1).argmin(1)
        kinds = rows[nearest, 2]
        said = {
            int(cell): NAMES[kind]
            for cell, kind in zip(cells.ids, kinds.tolist(), strict=True)
            if kind in NAMES and rng.random() < SAID
        }
        found.append((image, cells, said))
    return found


def synthetic(folder: Path) -> list[tuple[SmearImage, Cells, dict[int, str]]]:
    """Synthetic smears, detected, with some true classes."""
    import imageio.v3 as iio

    from napari_hemacells.cli.demo import choose_clicks, match_truth
    from napari_hemacells.core.detect import detect
    from napari_hemacells.core.image import read_image
    from napari_hemacells.samples.smear import synthetic_smear

    found = []
    for seed in range(4):
        smear = synthetic_smear(seed=seed)
        path = folder / f"smear{seed}.png"
        iio.imwrite(path, smear.image)
        image = read_image(path)
        cells = detect(image)
        classes = dict(zip(smear.table["label"], smear.table["class"], strict=True))
        truth = match_truth(cells, smear.labels, classes)
        found.append((image, cells, choose_clicks(truth, SHOTS, seed=0)))
    return found


def make_project(folder: Path, data: Path | None) -> Path:
    """A project whose images are annotated, as if by hand."""
    from napari_hemacells.core.store import Project
    from napari_hemacells.session import Session

    session = Session("anna")
    session.use_project(Project.create(folder / "project", "red cells"))
    for image, cells, said in synthetic(folder) if data is None else chula(data):
        session.show_image(image)
        session.set_cells(cells)
        for name in sorted(set(said.values())):
            known = session.palette.by_name(name)
            class_id = session.add_class(name) if known is None else known.id
            session.annotate([cell for cell, one in said.items() if one == name], class_id)
    for one in list(session.palette):
        if not any(said.class_id == one.id for said in session.history.state.labels.values()):
            session.delete_class(one.id)
    session.close()
    return folder / "project"


def scroll_to(dock: HemaCellsWidget, name: str) -> None:
    """Bring a part of the page into sight, at the top."""
    settle(0.5)
    area = dock.classify_pages.currentWidget()
    part = getattr(dock.finetune, name)
    area.verticalScrollBar().setValue(part.mapTo(dock.finetune, part.rect().topLeft()).y())


def tell(viewer: napari.Viewer, dock: HemaCellsWidget, theme: str) -> None:
    """Go through a fine-tuning and take a picture of each part."""
    session, page, tuning = dock.session, dock.finetune, dock.controller.finetune_controller
    wait_until(lambda: session.prediction is not None)
    dock.controller.show_step("classify")
    dock.classify.finetune.click()
    page.form.more.setChecked(True)
    page.form.preview.click()
    wait_until(lambda: page.augmented is not None and "Takes about" in page.forecast.text())
    settle(0.5)
    dock.classify_pages.currentWidget().ensureWidgetVisible(page.forecast)
    take(viewer, "finetune-ready", theme)
    page.form.more.setChecked(False)
    page.start.click()
    wait_until(
        lambda: (
            page.curves is not None and len(page.curves.curves.metrics.get("accuracy", ())) >= 10
        ),
        seconds=1200,
    )
    settle(1)
    take(viewer, "finetune-curves", theme)
    wait_until(page.take_over.isVisible, seconds=1200)
    take(viewer, "finetune-ended", theme)
    scroll_to(dock, "result")
    take(viewer, "finetune-result", theme)
    looked = session.image.key
    pair = tuning.run.result.findings.confusion.pairs(1)[0]
    page.result.choose(pair.label, pair.predicted)
    wait_until(lambda: bool(dock.gallery.model.proposed) and session.prediction is not None)
    take(viewer, "finetune-matrix", theme)
    page.changes.click()
    wait_until(lambda: session.image.key == looked and session.prediction is not None)
    scroll_to(dock, "outcome")
    take(viewer, "finetune-changes", theme)
    page.take_over.click()
    wait_until(lambda: session.prediction is not None)
    settle(2)
    take(viewer, "finetune-after", theme)


def main() -> None:
    """One theme, a fresh project."""
    given = [one for one in sys.argv[1:] if one not in {"dark", "light"}]
    theme = "light" if "light" in sys.argv else "dark"
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder), Path(given[0]) if given else None)
        viewer, dock = window(theme)
        dock.controller.project_controller.open_project(project)
        viewer.reset_view()
        tell(viewer, dock, theme)
        viewer.close()


if __name__ == "__main__":
    main()
