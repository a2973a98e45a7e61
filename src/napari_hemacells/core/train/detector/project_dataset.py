"""The corrected fields of a project, or of annotated files, ready to be learned from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.detect import detect_steps
from napari_hemacells.core.errors import CellsError, HemaCellsError, ImageError, TrainingError
from napari_hemacells.core.evaluate.detection_metrics import Boxes
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.image.reading_options import ReadingOptions
from napari_hemacells.core.store.project import annotation_state, corrected_cells
from napari_hemacells.core.store.project_images import project_image, project_reading
from napari_hemacells.core.train.detector.dataset import (
    RED_CELLS_FOR_DIAMETER,
    field_of_boxes,
    field_of_cells,
)
from napari_hemacells.core.types import RBC, Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from napari_hemacells.core.annotate.state import AnnotationState
    from napari_hemacells.core.evaluate.detection_datasets import AnnotatedField
    from napari_hemacells.core.image.plane_selection import PlaneSelection
    from napari_hemacells.core.store.project import Project
    from napari_hemacells.core.train.detector.dataset import TrainingField
    from napari_hemacells.core.types import SmearImage


@dataclass(frozen=True)
class CorrectedImages:
    """What there is to learn from, before anything is read.

    Attributes
    ----------
    images
        Keys of the images with cells that were worked on.
    untouched
        Names of the images with cells in which nobody changed or classified any.
    corrected
        Cells that were added, removed, redrawn or given a class.
    """

    images: tuple[str, ...]
    untouched: tuple[str, ...]
    corrected: int


@dataclass(frozen=True, eq=False)
class DetectorTrainingSet:
    """Fields to learn from, sentences about those left out, and about what was put right."""

    fields: tuple[TrainingField, ...]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_corrected_images(project: Project, state: AnnotationState) -> CorrectedImages:
    """Return which images of a project can be learned from; quick, nothing is read."""
    touched, untouched, corrected = [], [], 0
    for stored in project.images:
        if (
            stored.modality != "colour"
            or stored.kind == "pictures"
            or not project.has_cells(stored.key)
        ):
            continue
        cells = set(state.corrections_of(stored.key)) | state.cells_of(stored.key)
        corrected += len(cells)
        if cells:
            touched.append(stored.key)
        else:
            untouched.append(stored.name)
    return CorrectedImages(tuple(touched), tuple(untouched), corrected)


def load_project_fields_steps(
    project: Project,
    state: AnnotationState | None = None,
    opened: Mapping[str, SmearImage] | None = None,
) -> Generator[Progress, None, DetectorTrainingSet]:
    """Yield image by image; return the corrected fields of a project.

    Images in which the user touched nothing are left out: nobody has looked at their cells.

    Parameters
    ----------
    opened
        Images that are in memory anyway, by key; the others are read from their files.

    Raises
    ------
    TrainingError
        No field to learn from.
    """
    state = annotation_state(project) if state is None else state
    lessons = find_corrected_images(project, state)
    left_out = [
        f"{name}: nothing was corrected or classified there." for name in lessons.untouched
    ]
    fields, reading = [], project_reading(project)
    for index, key in enumerate(lessons.images):
        yield Progress(index, len(lessons.images), f"Reading {project.image(key).name}")
        try:
            image = project_image(project, key, reading, (opened or {}).get(key))
            cells = corrected_cells(project, key, state)
            fields.append(field_of_cells(image, cells, _majority_class_names(state, key)))
        except HemaCellsError as error:
            left_out.append(str(error))
    if not fields:
        raise TrainingError(
            "There is no corrected field to learn from: go through an image, add and remove "
            "cells until all of it is right, then train. " + " ".join(left_out)
        )
    notes = (reading.note,) if reading.note else ()
    return DetectorTrainingSet(tuple(fields), tuple(left_out), notes)


def _majority_class_names(state: AnnotationState, key: str) -> dict[int, str]:
    """Return what the cells are called by most annotators, by cell id."""
    votes: dict[int, Counter[str]] = {}
    for labels in state.by_annotator.values():
        for ref, annotation in labels.items():
            if ref.image_key == key and annotation.class_id in state.palette:
                name = state.palette.by_id(annotation.class_id).name
                votes.setdefault(ref.cell, Counter())[name] += 1
    return {cell: names.most_common(1)[0][0] for cell, names in votes.items()}


def load_annotated_fields_steps(
    annotated: Sequence[AnnotatedField],
    selection: PlaneSelection = WHOLE_PICTURE,
) -> Generator[Progress, None, DetectorTrainingSet]:
    """Yield image by image; return the fields of image files with annotated boxes.

    The diameter of a red cell is that of the annotated ones of the field, or of all fields where
    it has few; where there are hardly any, the bundled detector measures it.

    Parameters
    ----------
    selection
        The plane of stacks, and the channels.

    Raises
    ------
    TrainingError
        No field to learn from, or centres without boxes.
    """
    fields: list[TrainingField] = []
    left_out: list[str] = []
    notes: list[str] = []
    usual = _usual_diameter(annotated)
    files = [each.path for each in annotated if not each.refused]
    reading = ReadingOptions.for_files(files, selection)
    notes += [reading.note] if reading.note else []
    for index, field in enumerate(annotated):
        yield Progress(index, len(annotated), f"Reading {field.path.name}")
        if field.refused:
            left_out.append(f"{field.path.name}: {field.refused}")
            continue
        notes += field.notes
        if not isinstance(field.truth, Boxes):
            raise TrainingError(
                f"{field.path.name} is annotated with centres: boxes are needed to learn from "
                "(Pascal VOC, COCO or YOLO)."
            )
        try:
            image = reading.read(field.path)
            diameter = usual or (yield from _measure_diameter_steps(image))
            fields.append(field_of_boxes(image, field.truth, diameter))
        except (CellsError, ImageError) as error:
            left_out.append(str(error))
    if not fields:
        raise TrainingError("None of the images has boxes to learn from. " + " ".join(left_out))
    return DetectorTrainingSet(tuple(fields), tuple(left_out), tuple(notes))


def _usual_diameter(annotated: Sequence[AnnotatedField]) -> float | None:
    """Return the median red cell's longer side over all fields; None with hardly any."""
    truths = [
        field.truth.of_class(RBC).boxes for field in annotated if isinstance(field.truth, Boxes)
    ]
    boxes = np.concatenate([np.empty((0, 4)), *truths])
    if len(boxes) < RED_CELLS_FOR_DIAMETER:
        return None
    return float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1)))


def _measure_diameter_steps(image: SmearImage) -> Generator[Progress, None, float]:
    """Return the typical diameter as the bundled detector measures it."""
    return (yield from detect_steps(image)).diameter
