"""Detected against annotated cells of images, with the facts that the figures rest on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.detect import detect_steps
from napari_hemacells.core.detect.learned.metadata import (
    BUNDLED_TRAINING_DATA,
    KINDS,
    read_training_data,
)
from napari_hemacells.core.errors import CellsError, ImageError
from napari_hemacells.core.evaluate.detection_datasets import AnnotatedPoints
from napari_hemacells.core.evaluate.detection_metrics import (
    IOU,
    Boxes,
    DetectionScore,
    match_boxes,
    match_points,
    score_boxes,
)
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.image.reading_options import ReadingOptions
from napari_hemacells.core.params import DetectParams
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from napari_hemacells.core.evaluate.detection_datasets import AnnotatedField
    from napari_hemacells.core.image.plane_selection import PlaneSelection
    from napari_hemacells.core.types import Cells

ANY_CLASS = "any"  # one class for all cells, where the annotation's classes are not the detector's


@dataclass(frozen=True)
class FieldCount:
    """Cells of one image, annotated and found, of the classes that are compared."""

    path: Path
    annotated: int
    found: int

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        counts = {"annotated": self.annotated, "found": self.found}
        return {"image": str(self.path), **counts, "count_error": self.found - self.annotated}


@dataclass(frozen=True)
class DetectionReport:
    """Scores, and what they stand on.

    Attributes
    ----------
    classes
        The score of each class that is annotated somewhere and that the detector knows.
    together
        The classes added up.
    unknown
        Recall of the cells under names that the detector does not know, found as any kind:
        hits and annotated cells of each.
    not_annotated
        Found cells of kinds that are annotated nowhere; they count neither way.
    by_points
        Whether a hit is a cell that holds a point; otherwise it is a box of IoU 0.5 or more.
    unreadable
        Why images, or their annotations, were left out.
    notes
        What was put right in annotations, or scaled.
    """

    params: DetectParams
    by_points: bool
    classes: dict[str, DetectionScore]
    overall: DetectionScore
    unknown: dict[str, tuple[int, int]]
    not_annotated: dict[str, int]
    images: list[FieldCount]
    unreadable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "classes": {name: score.to_dict() for name, score in self.classes.items()}
            | {name: _recall_only(*counts) for name, counts in self.unknown.items()},
            "all": self.overall.to_dict(),
            "hit": "cell holds the point" if self.by_points else f"IoU of boxes {IOU:g} or more",
            "found_but_not_annotated": self.not_annotated,
            "detector": self.params.method,
            "detector_has_seen": describe_training_data(self.params),
            "params": self.params.model_dump(),
            "n_images": len(self.images),
            "images": [count.to_dict() for count in self.images],
            "unreadable": self.unreadable,
            "notes": self.notes,
        }


def describe_training_data(params: DetectParams) -> str:
    """Return, in words, what the chosen detector has been trained on."""
    if params.method == "classical":
        return "nothing: it does not learn"
    return BUNDLED_TRAINING_DATA if params.weights is None else read_training_data(params.weights)


def _recall_only(hits: int, annotated: int) -> dict[str, Any]:
    """Return the record of a class that the detector does not tell from others."""
    rates = {"precision": None, "recall": hits / annotated, "f1": None, "ap50": None}
    return {**rates, "annotated": annotated, "found": None, "hits": hits, "count_error": None}


def evaluate_detection_steps(
    fields: Sequence[AnnotatedField],
    params: DetectParams | None = None,
    selection: PlaneSelection = WHOLE_PICTURE,
) -> Generator[Progress, None, DetectionReport]:
    """Yield the progress image by image; return how the found cells fit the annotated ones.

    Classes are compared by name. Where no annotated name is one of the detector's, every cell
    counts as one class. Images that cannot be read are left out and named.

    Parameters
    ----------
    selection
        The plane of stacks, and the channels.

    Raises
    ------
    CellsError
        Boxes for some images and points for others, or no image that can be read.
    """
    params = params or DetectParams()
    usable = [annotated_field for annotated_field in fields if not annotated_field.refused]
    by_points = {isinstance(annotated_field.truth, AnnotatedPoints) for annotated_field in usable}
    if len(by_points) != 1:
        raise CellsError("Annotations of one form are needed: boxes or points, for all images.")
    pairs: list[tuple[AnnotatedField, Cells]] = []
    reading = ReadingOptions.for_files([each.path for each in usable], selection)
    about_images: dict[str, list[str]] = {}
    unreadable = [f"{each.path.name}: {each.refused}" for each in fields if each.refused]
    for index, annotated_field in enumerate(usable):
        yield Progress(index, len(usable), annotated_field.path.name)
        try:
            image = reading.read(annotated_field.path)
        except ImageError as error:
            unreadable.append(str(error))
            continue
        for note in image.notes:
            about_images.setdefault(note, []).append(annotated_field.path.name)
        pairs.append(
            (
                annotated_field,
                (yield from _detect_with_image_progress(image, params, index, len(usable))),
            )
        )
    if not pairs:
        raise CellsError("None of the annotated images can be read.")
    report = _report(pairs, params, unreadable, by_points=by_points.pop())
    notes = [note for annotated_field, _ in pairs for note in annotated_field.notes]
    for note, names in about_images.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        notes.append(f"{names[0]}{more}: {note}")
    return replace(report, notes=notes)


def _detect_with_image_progress(
    image: Any, params: DetectParams, index: int, total: int
) -> Generator[Progress, None, Cells]:
    """Return the cells; the progress stays that of the images."""
    steps = detect_steps(image, params)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            cells: Cells = end.value
            return cells
        yield Progress(index, total, image.name)


def _report(
    pairs: Sequence[tuple[AnnotatedField, Cells]],
    params: DetectParams,
    unreadable: list[str],
    *,
    by_points: bool,
) -> DetectionReport:
    annotated = sorted(
        {str(name) for annotated_field, _ in pairs for name in annotated_field.truth.classes}
    )
    classes = [kind for kind in KINDS if kind in annotated]
    unknown = [name for name in annotated if name not in KINDS]
    other = Counter(
        str(kind) for _, cells in pairs for kind in cells.table["class"] if kind not in classes
    )
    score = _score_points if by_points else _score_boxes
    compared = [_as_single_class(*pair) for pair in pairs] if not classes else list(pairs)
    scores = score(compared, classes or [ANY_CLASS])
    together = scores.pop("all")
    return DetectionReport(
        params=params,
        by_points=by_points,
        classes=scores if classes else {},
        overall=together,
        unknown={name: _count_hits(pairs, name) for name in unknown},
        not_annotated=dict(other) if classes else {},
        images=[_count(*pair, classes or [ANY_CLASS]) for pair in compared],
        unreadable=unreadable,
    )


def _as_single_class(
    annotated_field: AnnotatedField, cells: Cells
) -> tuple[AnnotatedField, Cells]:
    """Return both sides with every cell of one class."""
    names = np.full(len(annotated_field.truth.classes), ANY_CLASS)
    table = cells.table.assign(**{"class": ANY_CLASS})
    return replace(annotated_field, truth=replace(annotated_field.truth, classes=names)), replace(
        cells, table=table
    )


def _count(annotated_field: AnnotatedField, cells: Cells, classes: Sequence[str]) -> FieldCount:
    return FieldCount(
        annotated_field.path,
        int(np.isin(annotated_field.truth.classes, classes).sum()),
        int(cells.table["class"].isin(classes).sum()),
    )


def _score_boxes(
    pairs: Sequence[tuple[AnnotatedField, Cells]], classes: Sequence[str]
) -> dict[str, DetectionScore]:
    known = []
    for annotated_field, cells in pairs:
        detected, true = Boxes.of_cells(cells), _boxes(annotated_field)
        known.append(
            tuple(boxes.pick(np.isin(boxes.classes, classes)) for boxes in (detected, true))
        )
    return score_boxes(known, classes)  # type: ignore[arg-type]  # tuples of two


def _score_points(
    pairs: Sequence[tuple[AnnotatedField, Cells]], classes: Sequence[str]
) -> dict[str, DetectionScore]:
    """Return the score of each class and of all; points have no average precision."""
    scores = {name: _score_of_points(pairs, name) for name in classes}
    counts = [_count(annotated_field, cells, classes) for annotated_field, cells in pairs]
    together = DetectionScore(
        annotated=sum(score.annotated for score in scores.values()),
        found=sum(score.found for score in scores.values()),
        hits=sum(score.hits for score in scores.values()),
        ap50=None,
        count_error=float(np.mean([abs(count.found - count.annotated) for count in counts])),
    )
    return {**scores, "all": together}


def _score_of_points(pairs: Sequence[tuple[AnnotatedField, Cells]], name: str) -> DetectionScore:
    hits, counts = 0, []
    for annotated_field, cells in pairs:
        own = replace(cells, table=cells.table[cells.table["class"] == name])
        hits += int((match_points(own, _centres(annotated_field, name)) > 0).sum())
        counts.append(_count(annotated_field, cells, [name]))
    return DetectionScore(
        annotated=sum(count.annotated for count in counts),
        found=sum(count.found for count in counts),
        hits=hits,
        ap50=None,
        count_error=float(np.mean([abs(count.found - count.annotated) for count in counts])),
    )


def _count_hits(pairs: Sequence[tuple[AnnotatedField, Cells]], name: str) -> tuple[int, int]:
    """Return how many cells annotated under a name are found, as whatever kind, of how many."""
    hits = total = 0
    for annotated_field, cells in pairs:
        own = annotated_field.truth.classes == name
        total += int(own.sum())
        if isinstance(annotated_field.truth, AnnotatedPoints):
            hits += int((match_points(cells, annotated_field.truth.centres)[own] > 0).sum())
        else:
            hit = match_boxes(Boxes.of_cells(cells), annotated_field.truth)
            hits += int(np.isin(np.flatnonzero(own), hit).sum())
    return hits, total


def _centres(annotated_field: AnnotatedField, name: str) -> Any:
    truth = annotated_field.truth
    if not isinstance(truth, AnnotatedPoints):
        raise TypeError("boxes have no annotated centres")
    return truth.centres[truth.classes == name]


def _boxes(annotated_field: AnnotatedField) -> Boxes:
    if isinstance(annotated_field.truth, AnnotatedPoints):
        raise TypeError("points have no boxes")
    return annotated_field.truth
