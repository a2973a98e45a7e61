"""Living and dead cells: crops of several sizes, a small VGG and the bundled encoder.

::

    OMP_NUM_THREADS=1 python benchmarks/live_dead.py ../shared/data --out DIR
        [--enlarge 3] [--input 32] [--epochs 12] [--approaches few-shot fine-tuned scratch]

Crops are cut around the centres of the boxes, split by field; fields that show the same place
(some are in the set twice, or a moment later) are one group. A run that was stopped goes on.
``--series`` holds out one series of fields after the other (by the beginning of the file's name)
and scores the frozen encoder on each: no field of a series teaches about the same series.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from napari_hemacells.cli.evaluate import make_encoder
from napari_hemacells.core.classify import SupportSet, fit
from napari_hemacells.core.evaluate.classification_metrics import compute_classification_metrics
from napari_hemacells.core.malloc import keep_freed_memory
from napari_hemacells.core.params import CropSizeParams, PointCropParams
from napari_hemacells.core.store.point_crops import write_point_crops_steps
from napari_hemacells.core.store.point_sources import images_of_folder, read_annotated_points
from napari_hemacells.core.train.classifier.crop_size_study import study_crop_size_steps
from napari_hemacells.core.train.classifier.dataset import read_examples
from napari_hemacells.core.types import CropSpec, Embeddings, EncoderInfo
from napari_hemacells.core.types.progress import run_to_end

ALIKE = 0.95  # correlation of two fields, at the shift that fits best, that show one place
SIDE, BLOCK = 219, 3  # pixels that every field but one has; averaged by threes


def main() -> None:
    """Cut the crops, run the study, print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[90, 95, 100, 128])
    parser.add_argument("--enlarge", type=float, default=3.0)
    parser.add_argument("--input", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--tuned-epochs", type=int)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--approaches", nargs="+", default=["few-shot", "fine-tuned", "scratch"])
    parser.add_argument("--series", action="store_true")
    chosen = parser.parse_args()
    keep_freed_memory()
    crops = chosen.out / "crops"
    if not (crops / "crops.csv").is_file():
        cut(chosen, crops)
    encoder = make_encoder("bundled", "auto")
    if chosen.series:
        print(json.dumps(by_series(crops / "95px", encoder), indent=1))
        return
    params = CropSizeParams(
        input_size=chosen.input,
        epochs=chosen.epochs,
        tuned_epochs=chosen.tuned_epochs,
        copies=chosen.copies,
        draws=chosen.draws,
    )
    steps = study_crop_size_steps(
        crops,
        chosen.out / f"study-{chosen.input or 'full'}",
        encoder,
        sizes=chosen.sizes,
        approaches=chosen.approaches,
        params=params,
    )
    study = run_with_log(steps)
    print(study.split, study.as_markdown(), sep="\n\n")


def run_with_log(steps):
    """Print each round of a training, and return what comes at the end."""
    last = ""
    while True:
        try:
            report = next(steps)
        except StopIteration as end:
            return end.value
        figures = {**report.losses, **report.metrics}
        line = f"{report.message} {figures}" if report.metrics else report.message
        if line != last and (report.metrics or report.done == report.total):
            print(f"{report.done}/{report.total} {line}", flush=True)
        last = line


def cut(chosen: argparse.Namespace, folder: Path) -> None:
    """Write the crops of all sizes, 60/15/25 by field: a quarter, so that the figure says much."""
    files = images_of_folder(chosen.data / "live_dead/images")
    found = read_annotated_points(chosen.data / "live_dead/annotations", files)
    group_of = same_places(files)
    points = [image._replace(group=group_of[image.name]) for image in found.images]
    params = PointCropParams(enlarge=chosen.enlarge, check="none", validation=0.15, test=0.25)
    report = run_to_end(
        write_point_crops_steps(
            points, folder, sizes=chosen.sizes, params=params, notes=found.notes
        )
    )
    print(json.dumps(report.to_dict(), indent=1))


def same_places(files: list[Path]) -> dict[str, str]:
    """Return the group of each field: the first of those that show the same place."""
    window = np.outer(*[np.hanning(SIDE // BLOCK)] * 2)
    spectra, energies = [], []
    for file in files:
        picture = Image.open(file)
        grey = picture if picture.mode == "I;16" else picture.convert("L")
        values = np.zeros((SIDE, SIDE))
        part = np.asarray(grey, float)[:SIDE, :SIDE]
        values[: part.shape[0], : part.shape[1]] = part - part.mean()
        small = values.reshape(SIDE // BLOCK, BLOCK, SIDE // BLOCK, BLOCK).mean((1, 3))
        small = small / small.std() * window
        spectra.append(np.fft.rfft2(small))
        energies.append(float((small**2).sum()))
    group = {file.name: file.name for file in files}
    transforms = np.array(spectra)
    for first, file in enumerate(files[:-1]):
        crossed = transforms[first] * np.conj(transforms[first + 1 :])
        peaks = np.fft.irfft2(crossed, s=window.shape).max((1, 2))
        alike = peaks / np.sqrt(energies[first] * np.array(energies[first + 1 :])) >= ALIKE
        for place in np.flatnonzero(alike):
            old, new = group[files[first + 1 + place].name], group[file.name]
            group = {name: new if own == old else own for name, own in group.items()}
    sizes = Counter(group.values())
    print(f"{len(files)} fields, {len(sizes)} places; {sum(n > 1 for n in sizes.values())} "
          "places in two fields or more")  # fmt: skip
    return group


def by_series(folder: Path, encoder) -> dict[str, object]:
    """Return the figures of the frozen encoder, each series told by the others."""
    items = read_examples(folder).items
    names = [Path(item.name).stem for item in items]
    series = np.array([re.match(r"[a-z]+_?", name)[0] for name in names])
    classes = sorted({item.label for item in items})
    truth = np.array([classes.index(item.label) for item in items])
    size = CropSpec().size
    crops = np.stack(
        [np.asarray(Image.open(item.path).convert("RGB").resize((size, size), Image.BILINEAR))
         for item in items]
    )  # fmt: skip
    batches = [crops[at : at + 64] for at in range(0, len(crops), 64)]
    vectors = np.concatenate([encoder.encode(batch) for batch in batches])
    probabilities = np.zeros((len(items), len(classes)))
    for one in np.unique(series):
        taught, asked = np.flatnonzero(series != one), np.flatnonzero(series == one)
        support = SupportSet(vectors[taught], tuple(str(truth[place]) for place in taught))
        head = fit(support, [str(n) for n in range(len(classes))], context=vectors[taught])
        embeddings = Embeddings(
            asked, vectors[asked], EncoderInfo("crops", "", vectors.shape[1]), CropSpec(), "crops"
        )
        probabilities[asked] = head.predict(embeddings).probabilities
    groups = [item.group for item in items]
    figures = compute_classification_metrics(truth, probabilities, classes, groups=groups)
    right = probabilities.argmax(1) == truth
    return {
        "n": figures["n"],
        "accuracy": figures["accuracy"],
        "balanced_accuracy": figures["balanced_accuracy"],
        "series": {
            str(one): [int((series == one).sum()), round(float(right[series == one].mean()), 3)]
            for one in np.unique(series)
        },
    }


if __name__ == "__main__":
    main()
