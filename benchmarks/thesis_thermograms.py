"""The thesis' recipe on thermograms, split by patient and by image: the effect of the split.

::

    python benchmarks/thesis_thermograms.py --data ../shared/data [--arch resnet34] [--size 224]
        [--copies 4] [--folds 3] [--json FILE]

Every exam becomes a short series: the frame and copies of it, shifted by some pixels, a little
warmer or cooler, and noisier, like the next frames of a dynamic series. The same recipe
(``thesis-thermograms``) is trained twice on the same frames: once with whole patients kept
together, once with frames split as the thesis split its 1,000 images. AUC and accuracy are of
held-out frames of each fold, and by patient also of the mean of each patient's frames.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import tifffile

from napari_hemacells.core.thermography.study.cross_validation import augment_copies
from napari_hemacells.core.thermography.study.roc import auc
from napari_hemacells.core.train.classifier import preset_config
from napari_hemacells.core.train.classifier.cross_validation import cross_validate_steps
from napari_hemacells.core.train.classifier.training import TrainJob
from napari_hemacells.core.types.progress import run_to_end

if TYPE_CHECKING:
    from numpy.typing import NDArray


def main() -> None:
    """Write the series, train twice, print one line per result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--arch", default="resnet34")
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        frames = write_series(options.data / "dmr_ir", Path(folder) / "frames", options.copies)
        for split in ("patient", "image"):
            changes = {
                "arch": options.arch,
                "weights": options.weights,
                "size": options.size,
                "ungrouped": split == "image",
            }
            job = TrainJob(
                frames, Path(folder) / split, preset_config("thesis-thermograms", changes), split
            )
            found = run_to_end(cross_validate_steps(job, options.folds))  # type: ignore[arg-type]
            results[f"by {split}"] = judged(pd.read_csv(found.table))
            print(f"by {split}: {results[f'by {split}']}", flush=True)
    if options.json:
        options.json.write_text(json.dumps({**vars(options), "results": results}, default=str))


def write_series(source: Path, folder: Path, copies: int) -> Path:
    """Return a folder of class folders with the frames of every exam, as float TIFF in °C."""
    exams, rng = pd.read_csv(source / "exams.csv"), np.random.default_rng(0)
    stored = np.load(source / "exams_centidegrees.npz")
    for exam in exams.itertuples():
        celsius: NDArray[np.float32] = (stored[exam.exam] / 100).astype(np.float32)
        stem = str(exam.exam).rpartition(".")[0]
        for number, frame in enumerate(augment_copies(celsius, copies, rng)):
            file = folder / str(exam.label) / f"{stem}.{number:02d}.celsius.tif"
            file.parent.mkdir(parents=True, exist_ok=True)
            small = frame[::2, ::2]
            tifffile.imwrite(file, small)
    return folder


def judged(table: pd.DataFrame) -> dict[str, Any]:
    """Return accuracy and AUC of frames, and of patients by the mean of their frames."""
    sick, told = table["label"] == "sick", table["p_sick"]
    patient = table["path"].str.extract(r"T(\d+)\.")[0]
    means = pd.DataFrame({"sick": sick, "told": told}).groupby(patient.to_numpy()).mean()
    of_patients = auc(means["sick"].to_numpy() > 0.5, means["told"].to_numpy())
    return {
        "frames": len(table),
        "accuracy of frames": round(float(((told >= 0.5) == sick).mean()), 4),
        "AUC of frames": round(auc(sick.to_numpy(), told.to_numpy()), 4),
        "AUC of patients": round(of_patients, 4),
    }


if __name__ == "__main__":
    main()
