"""Make ``docs/images/report.png`` and ``docs/images/heat-maps.png``, from made-up cells.

Cells of 24 synthetic smears, a few of them under a wrong class on purpose, teach a head
on the bundled encoder in a minute; the report is then photographed by a browser::

    python docs/screenshots_report.py [FOLDER]

Needs chromium or another browser of its family; the report stays in FOLDER, if given.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_hemacells.core.store import load_bundle
from napari_hemacells.core.train.classifier import ClassifierConfig
from napari_hemacells.core.train.classifier.dataset import write_examples
from napari_hemacells.core.train.classifier.gradcam import gradcam_maps
from napari_hemacells.core.train.classifier.pipeline import train
from napari_hemacells.core.train.classifier.report.galleries import overlay_heatmap
from napari_hemacells.core.train.classifier.results import read_results
from napari_hemacells.core.train.classifier.training import TrainJob
from napari_hemacells.samples.smear import synthetic_smear

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGES = Path(__file__).parent / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SMEARS, HALF, MOST, WRONG = 24, 40, 4, 0.03
SHOWN, GAP = 8, 6  # heat maps in a row, pixels between them


def cells_of(seed: int) -> list[tuple[NDArray[np.uint8], str]]:
    """Return crops of a synthetic smear with their true classes, up to four of each."""
    smear = synthetic_smear(seed, (500, 700), white_cells=14, platelets=10)
    found, counts = [], dict[str, int]()
    for row in smear.table.to_dict("records"):
        label = row["subtype"] or row["class"]
        centre = round(row["row"]), round(row["col"])
        part = smear.image[
            centre[0] - HALF : centre[0] + HALF, centre[1] - HALF : centre[1] + HALF
        ]
        inside = part.shape[:2] == (2 * HALF, 2 * HALF) and min(centre) >= HALF
        if inside and counts.get(label, 0) < MOST:
            counts[label] = counts.get(label, 0) + 1
            found.append((part, label))
    return found


def write_cells(folder: Path) -> Path:
    """Write the crops of all smears, some under a wrong class; return the folder."""
    random = np.random.default_rng(0)
    rows = [
        (crop, label, f"smear {seed}", f"smear{seed}-{n:03d}")
        for seed in range(SMEARS)
        for n, (crop, label) in enumerate(cells_of(seed))
    ]
    crops, labels, groups, names = map(list, zip(*rows, strict=True))
    classes = sorted(set(labels))
    for place in random.choice(len(labels), round(WRONG * len(labels)), replace=False):
        labels[place] = random.choice([one for one in classes if one != labels[place]])
    write_examples(folder, np.stack(crops), labels, groups, names)
    return folder


def photograph(page: Path, file: Path, size: tuple[int, int]) -> None:
    """Save what a browser shows of a page."""
    browser = next((one for one in map(shutil.which, BROWSERS) if one), None)
    if browser is None:
        raise SystemExit("A browser of chromium's family is needed.")
    command = (
        browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--window-size={size[0]},{size[1]}", f"--screenshot={file}", page.resolve().as_uri(),
    )  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    Image.open(file).convert("P", palette=Image.Palette.ADAPTIVE, colors=192).save(file)


def heat_strip(folder: Path, file: Path) -> None:
    """Save crops of all classes with, below them, where the network looked."""
    found, bundle = read_results(folder), load_bundle(folder / "model")
    names = {one.id: one.name for one in bundle.palette}
    classes = [names[one] for one in bundle.head.class_ids]
    right = found.most_certain(right=True, n=len(found.items))
    of_each = [[one for one in right if one.label == name] for name in classes]
    turns = max(map(len, of_each))
    chosen = [own[turn] for turn in range(turns) for own in of_each if turn < len(own)][:SHOWN]
    size = bundle.spec.size
    crops = np.stack([
        np.asarray(Image.open(one.path).convert("RGB").resize((size, size))) for one in chosen
    ])  # fmt: skip
    asked = np.array([classes.index(one.predicted) for one in chosen])
    warm = gradcam_maps(bundle.make_encoder("cpu"), bundle.head, crops, asked)
    below = [overlay_heatmap(crop, heat) for crop, heat in zip(crops, warm, strict=True)]
    sheet = np.full((2 * size + GAP, SHOWN * (size + GAP) - GAP, 3), 255, np.uint8)
    for place, (crop, hot) in enumerate(zip(crops, below, strict=True)):
        start = place * (size + GAP)
        sheet[:size, start : start + size] = crop
        sheet[size + GAP :, start : start + size] = hot
    Image.fromarray(sheet).save(file)


def main() -> None:
    """Train, write the report, and take both pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    recipe = ClassifierConfig(
        size=96, frozen_epochs=8, frozen_views=1, epochs=0, rate=None,
        test=0.25, validation=0.25, device="cpu",
    )  # fmt: skip
    command = (
        "hemacells train cells --size 96 --frozen-epochs 8 --frozen-views 1 --epochs 0 "
        "--test 0.25 --validation 0.25 --device cpu --out run"
    )
    job = TrainJob(
        write_cells(folder / "cells"), folder / "run", recipe, "Synthetic cells", command,
        report=True,
    )  # fmt: skip
    outcome = train(job)
    if outcome.report is None:
        raise SystemExit(outcome.notes[-1])
    photograph(outcome.report, IMAGES / "report.png", (1000, 1160))
    heat_strip(outcome.folder, IMAGES / "heat-maps.png")


if __name__ == "__main__":
    main()
