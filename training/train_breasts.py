r"""Train the cascade that finds the breast boxes, and cross-validate it.

::

    python training/train_breasts.py --data ../shared/data --out build/breasts.safetensors

It learns from the DMR-IR exams with a box for both breasts: as they are, mirrored, in other
framings (cut off, with margins), and from deliberately displaced torsos. Each exam is from another
patient, so folds of exams are folds of patients. ``--folds 0`` only trains.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_hemacells.core.thermography.regions.body import TorsoExtent, body_mask, find_torso
from napari_hemacells.core.thermography.regions.breasts import find_boxes
from napari_hemacells.core.thermography.regions.pose_regression import (
    Cascade,
    CascadeInput,
    apply_offsets,
    encode_offsets,
    extract_features,
    initial_boxes,
    mirror_boxes,
    prepare_input,
)
from thermogram_boxes import Exam, best_overlaps, read_exams, summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

STAGES, STARTS, RIDGE = 4, 8, 1.0
MISJUDGED = (0.15, 0.12, 0.06)  # σ of the torso's log width, row and column, in widths


class Lesson(NamedTuple):
    """A frame, the estimated position of its torso, and its breast boxes, ``(2, 4)``."""

    seen: CascadeInput
    torso: TorsoExtent
    boxes: NDArray[np.float64]


def main() -> None:
    """Cross-validate, train on all exams, write the weights."""
    from safetensors.numpy import save_file

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    exams = read_exams(options.data)
    if options.folds:
        print(summary(cross_validated(exams, options.folds, options.seed)))
    cascade = train(lessons_of(exams), options.seed)
    tensors = {f"stage{n}": stage.astype(np.float16) for n, stage in enumerate(cascade.stages)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({**tensors, "start": cascade.start}, options.out)


def cross_validated(
    exams: Sequence[Exam], folds: int, seed: int
) -> list[tuple[str, NDArray[np.float64]]]:
    """Return name and overlap of each annotated breast of each exam, by cascades without it."""
    order, found = np.random.default_rng(seed).permutation(len(exams)), []
    lessons = [lessons_of([exam]) for exam in exams]
    for fold in range(folds):
        out = set(order[fold::folds].tolist())
        kept = [one for n, own in enumerate(lessons) if n not in out for one in own]
        cascade = train(kept, seed)
        for exam in (exams[n] for n in sorted(out)):
            boxes = find_boxes(exam.celsius, body_mask(exam.celsius), cascade)
            found.append((exam.name, best_overlaps(boxes, exam.boxes)))
    return found


def lessons_of(exams: Sequence[Exam]) -> list[Lesson]:
    """Return the training frames: each framing, and its mirror image."""
    lessons = []
    for exam in exams:
        if len(exam.boxes) != 2:
            continue
        for celsius, boxes in framings(exam.celsius, sized(exam.boxes)):
            body, columns = body_mask(celsius), float(celsius.shape[1])
            torso = find_torso(body)
            turned = torso._replace(col=columns - torso.col)
            here = prepare_input(celsius, body, torso.width)
            there = prepare_input(celsius[:, ::-1], body[:, ::-1], torso.width)
            lessons += [
                Lesson(here, torso, boxes),
                Lesson(there, turned, mirror_boxes(boxes, columns)),
            ]
    return lessons


def framings(
    celsius: NDArray[np.float32], boxes: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float64]]]:
    """Yield the frame as it is, cut off, and with a margin of background."""
    rows, cols = celsius.shape
    yield celsius, boxes
    top, left = rows // 8, cols // 16
    yield celsius[top:, left : cols - left // 2], boxes - (top, left, 0, 0)
    bottom = int(min(rows, (boxes[:, 0] + boxes[:, 2] / 2).max() + rows / 20))
    yield celsius[:bottom], boxes
    room = float(np.percentile(celsius, 1))
    margin = ((rows // 5, 0), (cols // 4, cols // 4))
    moved = np.array([rows // 5, cols // 4, 0, 0])
    yield np.pad(celsius, margin, constant_values=room), boxes + moved


def sized(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(n, 4)`` centre and size of half-open boxes."""
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def train(lessons: Sequence[Lesson], seed: int) -> Cascade:
    """Return the cascade: each stage is a ridge regression on the residual of earlier stages."""
    rng = np.random.default_rng(seed)
    start = np.median([_from_torso(one) for one in lessons], axis=0).astype(np.float32)
    tries = [
        (one, initial_boxes(_misjudged(one.torso, rng, n), start))
        for one in lessons
        for n in range(STARTS)
    ]
    stages = []
    for _ in range(STAGES):
        views = np.stack([extract_features(one.seen, guess) for one, guess in tries]).astype(
            np.float64
        )
        wanted = np.stack([encode_offsets(one.boxes, guess) for one, guess in tries])
        stage = ridge(views, wanted)
        stages.append(stage)
        tries = [
            (one, apply_offsets(guess, view @ stage))
            for (one, guess), view in zip(tries, views, strict=True)
        ]
    return Cascade(tuple(stages), start)


def ridge(views: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float32]:
    """``(features, 8)`` ridge regression; only the constant is not penalised."""
    penalty = np.full(views.shape[1], RIDGE * len(views))
    penalty[-1] = 0
    normal = views.T @ views + np.diag(penalty)
    return np.linalg.solve(normal, views.T @ wanted).astype(np.float32)


def _from_torso(lesson: Lesson) -> NDArray[np.float64]:
    boxes = lesson.boxes.copy()
    boxes[:, :2] -= (lesson.torso.row, lesson.torso.col)
    return (boxes / lesson.torso.width).ravel()


def _misjudged(torso: TorsoExtent, rng: np.random.Generator, attempt: int) -> TorsoExtent:
    """Return the torso with a random displacement; none at the first attempt."""
    if attempt == 0:
        return torso
    wider, lower, aside = rng.normal(0, MISJUDGED)
    return TorsoExtent(
        torso.row + lower * torso.width,
        torso.col + aside * torso.width,
        torso.width * np.exp(wider),
    )


if __name__ == "__main__":
    main()
