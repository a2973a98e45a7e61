"""Make ``docs/images/trained-{unknown,heat,results,charts,folders}-dark.png``.

A model of ``hemacells train`` in a real viewer of 1280 by 800 pixels: it classifies a field that
it has not seen; the heat map over a cell; its results page; class folders as the training set.
Crops and field are of the Chula RBC-12 data set (MIT, Naruenatthanaset et al. 2021). Needs the
data set and a display, or::

    xvfb-run -s "-screen 0 1280x800x24" python docs/screenshots_trained.py FOLDER [light]

FOLDER is the one with ``images`` and ``labels``.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from screenshots import settle, take, wait_until, window
from screenshots_finetune import DIAMETER, NAMES

if TYPE_CHECKING:
    import napari

    from napari_hemacells.core.types import Cells, SmearImage
    from napari_hemacells.widgets import HemaCellsWidget

TAUGHT, SHOWN = (26, 36, 12, 276, 1, 46, 97, 148, 193), 43
MOST, FEWEST = 60, 8  # crops of a class
RECIPE = {"epochs": 3, "frozen_epochs": 6, "search": True, "tta": 0, "device": "cpu"}


def field(folder: Path, number: int) -> tuple[SmearImage, Cells, dict[int, str]]:
    """A field with the cells that the detector finds, and the class of those with a point."""
    from napari_hemacells.core.detect import detect
    from napari_hemacells.core.image import read_image

    image = read_image(folder / "images" / f"{number}.jpg")
    rows = np.loadtxt(folder / "labels" / f"{number}.txt", dtype=int, ndmin=2)
    cells = detect(image)
    last = np.array(image.shape) - 1
    under = np.asarray(cells.labels)[tuple(np.clip(rows[:, [1, 0]], 0, last).T)]
    kinds = zip(under.tolist(), rows[:, 2].tolist(), strict=True)
    return image, cells, {cell: NAMES[kind] for cell, kind in kinds if cell and kind in NAMES}


def trained(folder: Path, data: Path) -> tuple[Path, Path]:
    """Class folders of crops, and what ``hemacells train`` makes of them."""
    from napari_hemacells.core.crop import extract_crops
    from napari_hemacells.core.train.classifier import preset_config
    from napari_hemacells.core.train.classifier.dataset import write_examples, write_spec
    from napari_hemacells.core.train.classifier.pipeline import train
    from napari_hemacells.core.train.classifier.training import TrainJob
    from napari_hemacells.core.types import CropSpec

    spec, crops, labels, names = CropSpec(96, 1.6), [], [], []
    for number in TAUGHT:
        image, cells, classes = field(data, number)
        for cell, name in classes.items():
            if labels.count(name) < MOST:
                crops.append(extract_crops(image, cells, spec, [cell])[0])
                labels.append(name)
                names.append(f"field{number}-{cell}")
    counts = Counter(labels)
    kept = [place for place, name in enumerate(labels) if counts[name] >= FEWEST]
    source = folder / "red cells"
    write_examples(
        source, np.stack([crops[place] for place in kept]), [labels[place] for place in kept],
        names=[names[place] for place in kept],
    )  # fmt: skip
    write_spec(source, spec)
    train(TrainJob(source, folder / "run", preset_config("quick", RECIPE), name="red cells"))
    return source, folder / "run"


def make_project(folder: Path, data: Path) -> Path:
    """A project of one field, in which nothing is annotated."""
    from napari_hemacells.core.store import Project
    from napari_hemacells.session import Session

    session = Session("anna")
    session.use_project(Project.create(folder / "project", "red cells"))
    image, cells, _ = field(data, SHOWN)
    session.show_image(image)
    session.set_cells(cells)
    session.close()
    return folder / "project"


def go_close(viewer: napari.Viewer, dock: HemaCellsWidget) -> None:
    """Choose the surest cell in the middle of the field, and zoom in on it."""
    cells, prediction = dock.session.cells, dock.session.prediction
    middle = np.abs(cells.centres - np.array(dock.session.image.shape) / 2).max(axis=1)
    inside = np.isin(prediction.ids, cells.ids[middle < 0.3 * min(dock.session.image.shape)])
    normal = [one.id for one in dock.session.palette if one.name == NAMES[0]]
    other = ~np.isin(np.array(prediction.class_ids)[prediction.predicted_column], normal)
    sure = np.where(inside & other & ~prediction.verdict, prediction.confidence, 0)
    cell = int(prediction.ids[sure.argmax()])
    dock.controller.canvas.go_to(cell)
    layer = dock.controller.bridge.cells_layer
    row, col = cells.centres[cells.position[cell]]
    viewer.scene.camera.center = (0, *layer.data_to_world((row, col)))
    viewer.scene.camera.zoom = 560 / (5 * DIAMETER * float(layer.scale[-1]))


def tell(
    viewer: napari.Viewer, dock: HemaCellsWidget, made: tuple[Path, Path], theme: str
) -> None:
    """Take the pictures in turn."""
    source, run = made
    session, page, controller = dock.session, dock.finetune, dock.controller
    controller.show_step("classify")
    wait_until(lambda: session.embeddings is not None)
    controller.classify_controller.load_bundle(run / "model")
    wait_until(lambda: session.prediction is not None)
    settle(2)
    take(viewer, "trained-unknown", theme)
    go_close(viewer, dock)
    controller.canvas.show_mode("image")
    dock.classify.heat.click()
    wait_until(lambda: "Heat map" in viewer.layers)
    settle(1)
    take(viewer, "trained-heat", theme)
    dock.classify.heat.click()
    controller.canvas.show_mode("class")
    viewer.reset_view()
    dock.classify.finetune.click()
    tuning = controller.finetune_controller.run
    tuning.page.open(run)
    wait_until(lambda: page.result.isVisibleTo(page))
    page.result.of_class.setCurrentIndex(2)
    page.result.show_list("losses")
    page.result.heat.setChecked(True)
    wait_until(lambda: not tuning.page.jobs.running("heat"), seconds=600)
    area = dock.classify_pages.currentWidget()
    settle(1)
    area.verticalScrollBar().setValue(page.result.y())
    take(viewer, "trained-results", theme)
    area.verticalScrollBar().setValue(area.verticalScrollBar().maximum())
    take(viewer, "trained-charts", theme)
    page.result.hide()
    tuning.preparation.folders.read(source)
    wait_until(lambda: "class folders" in page.lessons.text())
    wait_until(lambda: page.form.beginning.text().startswith("Starts"))
    page.form.more.setChecked(True)
    wait_until(lambda: "Takes about" in page.forecast.text())
    area.verticalScrollBar().setValue(0)
    take(viewer, "trained-folders", theme)


def main() -> None:
    """One theme, a fresh project."""
    (data,) = (Path(one) for one in sys.argv[1:] if one not in {"dark", "light"})
    theme = "light" if "light" in sys.argv else "dark"
    with tempfile.TemporaryDirectory() as folder:
        made = trained(Path(folder), data)
        project = make_project(Path(folder), data)
        viewer, dock = window(theme)
        dock.controller.project_controller.open_project(project)
        viewer.reset_view()
        tell(viewer, dock, made, theme)
        viewer.close()


if __name__ == "__main__":
    main()
