"""Crops to learn from without labels: of a project, of class folders, or of plain images."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, cast

import numpy as np

from napari_hemacells.core.crop import estimate_context, extract_crops, from_picture
from napari_hemacells.core.detect import detect_steps
from napari_hemacells.core.errors import HemaCellsError, ImageError, TrainingError
from napari_hemacells.core.evaluate import list_class_folders
from napari_hemacells.core.image.layout import WHOLE_PICTURE
from napari_hemacells.core.image.reading_options import ReadingOptions
from napari_hemacells.core.pictures import picture_pixels
from napari_hemacells.core.store.project import annotation_state, corrected_cells
from napari_hemacells.core.store.project_images import project_image, project_reading
from napari_hemacells.core.train.selfsupervised.dataset import (
    MAX_CROPS,
    AdaptTrainingSet,
    LabelledCrops,
)
from napari_hemacells.core.types import CropSpec, Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate.state import AnnotationState
    from napari_hemacells.core.image.plane_selection import PlaneSelection
    from napari_hemacells.core.store.project import Project
    from napari_hemacells.core.types import Cells, SmearImage

MAX_CLICKS_PER_CLASS = 50  # of a class: with more, one wrong answer is no longer seen
FRAMING_SAMPLE = 100  # pictures that tell how a folder is framed


def load_project_crops_steps(
    project: Project,
    state: AnnotationState | None = None,
    *,
    opened: Mapping[str, SmearImage] | None = None,
    most: int = MAX_CROPS,
) -> Generator[Progress, None, AdaptTrainingSet]:
    """Return crops of all cells of a project, or an even part of them, and of those clicked.

    Parameters
    ----------
    opened
        Images that are in memory, by key; the others are read from their files.

    Raises
    ------
    TrainingError
        No image with cells can be read.
    """
    state = annotation_state(project) if state is None else state
    keys = [
        image_entry.key for image_entry in project.images if project.has_cells(image_entry.key)
    ]
    crops, clicked, labels, left_out = [], [], list[str](), list[str]()
    reading, read = project_reading(project), []
    for index, key in enumerate(keys):
        yield Progress(index, len(keys), f"Reading {project.image(key).name}")
        try:
            image = project_image(project, key, reading, (opened or {}).get(key))
            cells = corrected_cells(project, key, state)
        except HemaCellsError as error:
            left_out.append(str(error))
            continue
        crops.append(_sample_crops(image, cells, -(-most // len(keys))))
        classes = _majority_classes(state, key, cells)
        if classes:
            clicked.append(extract_crops(image, cells, CropSpec(), list(classes)))
            labels += classes.values()
        read.append(key)
    return _build_training_set(crops, (clicked, labels), read, left_out, reading)


def load_image_crops_steps(
    paths: Sequence[Path],
    *,
    most: int = MAX_CROPS,
    selection: PlaneSelection = WHOLE_PICTURE,
) -> Generator[Progress, None, AdaptTrainingSet]:
    """Return crops of the cells that the detector finds in images, or an even part of them.

    Raises
    ------
    TrainingError
        No image can be read, or none shows a cell.
    """
    crops, left_out, read = [], list[str](), []
    reading = ReadingOptions.for_files(paths, selection)
    for index, path in enumerate(paths):
        yield Progress(index, len(paths), f"Finding cells in {path.name}")
        try:
            image = reading.read(path)
            cells = yield from detect_steps(image)
        except HemaCellsError as error:
            left_out.append(str(error))
            continue
        crops.append(_sample_crops(image, cells, -(-most // len(paths))))
        read.append(image.key)
    return _build_training_set(crops, ([], []), read, left_out, reading)


def load_folder_crops_steps(
    folder: Path,
    *,
    labels: bool = True,
    most: int = MAX_CROPS,
    per_class: int = MAX_CLICKS_PER_CLASS,
    seed: int = 0,
    selection: PlaneSelection = WHOLE_PICTURE,
) -> Generator[Progress, None, AdaptTrainingSet]:
    """Return the pictures of class folders as crops, framed as ``evaluate fewshot`` frames them.

    Parameters
    ----------
    labels
        Whether the folders' names count as clicks, up to `per_class` of a class, drawn with the
        seed.

    Raises
    ------
    TrainingError
        No picture can be read.
    """
    listed = [(file, name) for name, files in list_class_folders(folder).items() for file in files]
    listed = listed[:: -(-len(listed) // most)]
    crops, places, reading, left_out = yield from read_crops_steps(
        [file for file, _ in listed], selection
    )
    names = [listed[place][1] for place in places]
    read = [hashlib.sha256(listed[place][0].read_bytes()).hexdigest()[:16] for place in places]
    chosen = _sample_per_class(names, per_class, seed) if labels else []
    clicked = [crops[index] for index in chosen]
    return _build_training_set(
        crops, (clicked, [names[index] for index in chosen]), read, left_out, reading
    )


def read_crops_steps(
    files: Sequence[Path], selection: PlaneSelection = WHOLE_PICTURE
) -> Generator[
    Progress, None, tuple[list[NDArray[np.uint8]], list[int], ReadingOptions, list[str]]
]:
    """Return crops of pictures of one folder, framed alike, and the places of those that are read.

    Returns
    -------
    tuple
        ``(1, size, size, 3)`` crops, the place of each in `files`, how they were read, and
        sentences about the files that cannot be read.
    """
    spec, left_out = CropSpec(), list[str]()
    reading = ReadingOptions.for_files(files, selection)
    sample = [
        _read_picture(file, [], reading) for file in files[:: -(-len(files) // FRAMING_SAMPLE)]
    ]
    framing = spec.context / estimate_context(picture for picture in sample if picture is not None)
    crops, places = [], list[int]()
    for index, file in enumerate(files):
        if index % 50 == 0:
            yield Progress(index, len(files), "Reading pictures")
        pixels = _read_picture(file, left_out, reading)
        if pixels is not None:
            crops.append(from_picture(pixels, spec, framing=framing)[np.newaxis])
            places.append(index)
    return crops, places, reading, left_out


def _sample_per_class(names: list[str], most: int, seed: int) -> list[int]:
    """Return places of up to so many of each class."""
    random, indices = np.random.default_rng(seed), list[int]()
    for name in sorted(set(names)):
        members = np.flatnonzero(np.array(names) == name)
        indices += sorted(random.permutation(members)[:most].tolist())
    return indices


def _sample_crops(image: SmearImage, cells: Cells, most: int) -> NDArray[np.uint8]:
    """Return crops of all cells, or of so many of them, evenly over the table."""
    chosen = cells.ids[:: -(-len(cells) // most)] if len(cells) > most else cells.ids
    return extract_crops(image, cells, CropSpec(), chosen.tolist())


def _majority_classes(state: AnnotationState, key: str, cells: Cells) -> dict[int, str]:
    """Return what most annotators call each cell that is still there."""
    votes: dict[int, Counter[str]] = {}
    for labels in state.by_annotator.values():
        for ref, annotation in labels.items():
            if ref.image_key == key and ref.cell in cells.position:
                votes.setdefault(ref.cell, Counter())[annotation.class_id] += 1
    return {cell: ids.most_common(1)[0][0] for cell, ids in votes.items()}


def _read_picture(
    file: Path, unreadable: list[str], reading: ReadingOptions
) -> NDArray[np.uint8] | None:
    try:
        return cast("NDArray[np.uint8]", picture_pixels(file, reading.depths, reading.selection))
    except ImageError as error:
        unreadable.append(f"{file.parent.name}/{file.name}: {error}")
    except Exception as error:  # noqa: BLE001  # whatever a decoder says: this file only
        unreadable.append(f"{file.parent.name}/{file.name} cannot be read ({error}).")
    return None


def _build_training_set(
    crops: list[NDArray[np.uint8]],
    clicks: tuple[list[NDArray[np.uint8]], list[str]],
    images: list[str],
    left_out: list[str],
    reading: ReadingOptions,
) -> AdaptTrainingSet:
    filled = [batch for batch in crops if len(batch)]
    if not filled:
        raise TrainingError("There are no cells to learn from. " + " ".join(left_out[:3]))
    size = filled[0].shape[1]
    pictures, labels = clicks
    clicked = np.concatenate([np.empty((0, size, size, 3), np.uint8), *pictures])
    labelled = LabelledCrops(clicked, tuple(labels))
    return AdaptTrainingSet(
        np.concatenate(filled),
        labelled,
        tuple(images),
        tuple(left_out),
        (reading.note,) if reading.note else (),
    )
