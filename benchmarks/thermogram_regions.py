"""Breast boxes on DMR-IR thermograms against the annotated boxes, and °C against NumPy.

::

    python benchmarks/thermogram_regions.py --data ../shared/data [--folds 8] [--json FILE]

Mean IoU is over all annotated breast boxes, each matched to one detected box (best one-to-one
assignment). *Both found* is the share of the exams with two annotated boxes in which each has
IoU ≥ 0.5. The bundled cascade was trained on these boxes: only the cross-validated row (folds of
patients; one exam per patient) says what to expect on a new patient. ``framings`` are the same
frames cut off, with background margins, and at a quarter of the resolution, with the same
cross-validated cascades. ``torso alone`` is the initial estimate, before any learned stage.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.thermography.regions import find_boxes, find_regions
from napari_hemacells.core.thermography.regions.body import body_mask, find_torso
from napari_hemacells.core.thermography.regions.breasts import bundled_cascade, corners
from napari_hemacells.core.thermography.regions.measure import temperature_statistics
from napari_hemacells.core.thermography.regions.pose_regression import Cascade, initial_boxes

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from thermogram_boxes import Exam, best_overlaps, read_exams, summary
from train_breasts import framings, lessons_of, sized, train

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Overlaps = list[tuple[str, NDArray[np.float64]]]


def main() -> None:
    """Print one line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=8, help="0: only the bundled cascade")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    exams = read_exams(options.data)
    results: dict[str, Any] = {
        "bundled (trained on these)": summary([
            (one.name, best_overlaps(_boxes(one.celsius, bundled_cascade()), one.boxes))
            for one in exams
        ]),
        "torso alone": summary([
            (one.name, best_overlaps(_from_torso(one.celsius), one.boxes)) for one in exams
        ]),
        "°C equal NumPy's to the last digit": same_degrees(exams[:10]),
    }  # fmt: skip
    if options.folds:
        for name, found in cross_validated(exams, options.folds).items():
            results[f"cross-validated, {name}"] = summary(found)
    for name, row in results.items():
        print(f"{name}: {row}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False))


def cross_validated(exams: Sequence[Exam], folds: int) -> dict[str, Overlaps]:
    """Return the overlaps of each framing, by cascades that have not seen the patient."""
    lessons = [lessons_of([exam]) for exam in exams]
    order = np.random.default_rng(0).permutation(len(exams))
    found: dict[str, Overlaps] = {}
    for fold in range(folds):
        out = set(order[fold::folds].tolist())
        cascade = train([one for n, own in enumerate(lessons) if n not in out for one in own], 0)
        for exam in (exams[n] for n in sorted(out)):
            for name, celsius, boxes in _framed(exam):
                overlaps = best_overlaps(_boxes(celsius, cascade), boxes)
                found.setdefault(name, []).append((exam.name, overlaps))
    return found


def _framed(exam: Exam) -> Iterator[tuple[str, NDArray[np.float32], NDArray[np.float64]]]:
    """Yield name, frame and half-open boxes of each framing."""
    several = framings(exam.celsius, sized(exam.boxes))
    for name, (celsius, boxes) in zip(
        ("as they are", "cut off", "low", "margins"), several, strict=True
    ):
        if name != "low":
            half = boxes[:, 2:] / 2
            yield name, celsius, np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    yield "a quarter of the resolution", exam.celsius[::4, ::4], exam.boxes / 4


def same_degrees(exams: Sequence[Exam]) -> bool:
    """Whether mean, minimum, maximum and deviation equal NumPy's on the raw values."""
    for exam in exams:
        regions = find_regions(exam.celsius)
        for breast in regions.breasts.values():
            values = exam.celsius[breast.mask].astype(np.float64)
            told = temperature_statistics(regions.celsius, breast.mask)
            if (told["mean"], told["min"], told["max"], told["std"]) != (
                values.mean(), values.min(), values.max(), values.std(),
            ):  # fmt: skip
                return False
    return True


def _boxes(celsius: NDArray[np.float32], cascade: Cascade) -> NDArray[np.float64]:
    return find_boxes(celsius, body_mask(celsius), cascade)


def _from_torso(celsius: NDArray[np.float32]) -> NDArray[np.float64]:
    guess = initial_boxes(find_torso(body_mask(celsius)), bundled_cascade().start)
    return corners(guess, celsius.shape)


if __name__ == "__main__":
    main()
