"""Make ``docs/images/thermogram-report.png``, from rendered thermograms.

Sixty made-up patients, two frames of each, half of them with a hot spot, teach a head on the
bundled network in two minutes; whole patients are held out. The report is then photographed by a
browser::

    python docs/screenshots_thermogram_report.py [FOLDER]

Needs chromium or another browser of its family; the report stays in FOLDER, if given.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from screenshots_report import IMAGES, photograph

from napari_hemacells.core.train.classifier import preset_config
from napari_hemacells.core.train.classifier.pipeline import train
from napari_hemacells.core.train.classifier.training import TrainJob
from napari_hemacells.samples.thermogram import synthetic_thermogram

PATIENTS, FRAMES, NOISE = 60, 2, 0.05  # °C
CHANGES = {
    "arch": "bundled", "weights": "imagenet", "size": 160, "frozen_epochs": 24,
    "frozen_views": 6, "epochs": 0, "rate": 1e-3, "test": 0.25, "validation": 0.25,
    "device": "cpu",
}  # fmt: skip


def write_frames(folder: Path) -> Path:
    """Write the frames as float TIFF in °C, a folder a class, named as DMR-IR names them."""
    random = np.random.default_rng(0)
    for patient in range(PATIENTS):
        sick = patient % 2 == 1
        made = synthetic_thermogram(patient, hot_spot=sick, size=(240, 320)).celsius
        for frame in range(FRAMES):
            noisy = made + random.normal(0, NOISE, made.shape).astype(np.float32)
            name = f"T{patient:04d}.1.1.S.2026-03-16.{frame:02d}.celsius.tif"
            file = folder / ("sick" if sick else "healthy") / name
            file.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(file, noisy)
    return folder


def main() -> None:
    """Train, write the report, and take the picture."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    frames = write_frames(folder / "frames")
    recipe = preset_config("thesis-thermograms", CHANGES)
    command = " ".join(
        ["hemacells train frames --recipe thesis-thermograms --out run"]
        + [f"--{name.replace('_', '-')} {value}" for name, value in CHANGES.items()]
    )
    job = TrainJob(frames, folder / "run", recipe, "Rendered thermograms", command, report=True)
    outcome = train(job)
    if outcome.report is None:
        raise SystemExit(outcome.notes[-1])
    photograph(outcome.report, IMAGES / "thermogram-report.png", (1000, 1450))


if __name__ == "__main__":
    main()
