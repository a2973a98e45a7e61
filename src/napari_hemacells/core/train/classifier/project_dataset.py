"""The annotated cells of a project as pictures to learn from, whatever image is open.

How the annotated cells of a project would be split: known, and said, before a training.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.crop import extract_crops
from napari_hemacells.core.errors import HemaCellsError, TrainingError
from napari_hemacells.core.evaluate.splits import group_key
from napari_hemacells.core.store.project import corrected_cells
from napari_hemacells.core.store.project_images import project_image, project_reading
from napari_hemacells.core.train.classifier.crop_store import (
    CropGeometry,
    CropStore,
    LoadedExamples,
)
from napari_hemacells.core.train.classifier.dataset import (
    Example,
    Examples,
    write_examples,
    write_spec,
)
from napari_hemacells.core.train.classifier.split import SplitRule, split_examples
from napari_hemacells.core.types import CellRef, CropSpec, LearnedFrom, Progress, SmearImage

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate.state import AnnotationState
    from napari_hemacells.core.store.project import Project
    from napari_hemacells.core.store.schema import StoredImage
    from napari_hemacells.core.train.classifier.config import ClassifierConfig


@dataclass(frozen=True)
class AnnotatedCells:
    """What there is to learn from, before any image is read.

    Attributes
    ----------
    cells
        Class name of each annotated cell, by image key and cell id.
    groups
        Patient, slide or image of each image, as a split keeps it together.
    """

    cells: Mapping[str, Mapping[int, str]]
    groups: Mapping[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """Annotated cells of each class, by its name."""
        counts = Counter(name for cells in self.cells.values() for name in cells.values())
        return dict(sorted(counts.items()))

    @property
    def total(self) -> int:
        """Annotated cells in all."""
        return sum(map(len, self.cells.values()))


@dataclass(frozen=True)
class ExportedCrops:
    """What was written to learn from, and sentences about what could not be had."""

    table: Path
    count: int
    left_out: tuple[str, ...] = ()


def annotated_cells_of(project: Project, state: AnnotationState) -> AnnotatedCells:
    """Return the present annotator's word about the cells of colour images; quick."""
    cells, groups = dict[str, dict[int, str]](), dict[str, str]()
    for stored in project.images:
        annotations = state.annotations_of_image(stored.key)
        if stored.modality != "colour" or not annotations or not project.has_cells(stored.key):
            continue
        cells[stored.key] = {
            cell: state.palette.by_id(annotation.class_id).name
            for cell, annotation in annotations.items()
        }
        groups[stored.key] = image_group(stored)
    return AnnotatedCells(cells, groups)


def single_cell_classes(lessons: AnnotatedCells) -> tuple[str, ...]:
    """Return the classes with one annotated cell that can be left out: two others remain."""
    counts = lessons.counts
    lonely = tuple(name for name, count in counts.items() if count == 1)
    return lonely if len(counts) - len(lonely) >= 2 else ()


def unavailable_reason(lessons: AnnotatedCells) -> str:
    """Return why these annotations are not enough to learn from; empty where they are."""
    counts = lessons.counts
    if len(counts) < 2:
        known = f": so far there are cells of “{next(iter(counts))}” only" if counts else ""
        return f"Give cells of at least two classes under Annotate{known}."
    lonely = [name for name, count in counts.items() if count == 1]
    if lonely:
        return (
            f"“{lonely[0]}” has one annotated cell: at least two are needed, one to learn from "
            "and one to check with. Annotate another, or take its class away."
        )
    return ""


def export_crops_steps(
    project: Project,
    state: AnnotationState,
    folder: Path,
    spec: CropSpec,
    *,
    grouped: bool,
    opened: Mapping[str, SmearImage],
) -> Generator[Progress, None, ExportedCrops]:
    """Return the crops of all annotated cells, written into a folder; yield image by image.

    Parameters
    ----------
    grouped
        Whether the crops carry the group that a split keeps together.
    opened
        Images in memory, by key; the others are read from their files.

    Raises
    ------
    TrainingError
        No annotated cell can be had.
    StorageError
        The folder cannot be written.
    """
    lessons = annotated_cells_of(project, state)
    reading = project_reading(project)
    crops, sources = list["NDArray[np.uint8]"](), list[LearnedFrom]()
    labels, groups, names, left_out = list[str](), list[str](), list[str](), list[str]()
    for index, (key, class_of_cell) in enumerate(lessons.cells.items()):
        yield Progress(index, len(lessons.cells), f"Reading {project.image(key).name}")
        try:
            image = project_image(project, key, reading, opened.get(key))
            cells = corrected_cells(project, key, state)
        except HemaCellsError as error:
            left_out.append(
                f"{error} Its {len(class_of_cell)} annotated cells are not learned from."
            )
            continue
        there = [cell for cell in class_of_cell if cell in cells.position]
        sources.append(cells.learned_from(image.modality))
        crops.append(extract_crops(image, cells, spec, there))
        labels += [class_of_cell[cell] for cell in there]
        groups += [lessons.groups[key] if grouped else ""] * len(there)
        names += [cell_name(CellRef(key, cell)) for cell in there]
    if not labels:
        raise TrainingError("No annotated cell can be learned from. " + " ".join(left_out))
    yield Progress(0, 0, f"Writing {len(labels):,} crops")
    table = write_examples(folder, np.concatenate(crops), labels, groups, names)
    write_spec(folder, spec, reduce(LearnedFrom.joined, sources))
    return ExportedCrops(table, len(labels), tuple(left_out))


def cell_name(ref: CellRef) -> str:
    """Return what a cell is called in tables and reports of a training."""
    return f"{ref.image_key}-{ref.cell}"


def parse_cell_name(name: str) -> CellRef | None:
    """Return the cell that has this name; ``None`` for other names.

    Examples
    --------
    >>> cell_of("f00-17")
    CellRef(image_key='f00', cell=17)
    """
    key, _, cell = name.rpartition("-")
    return CellRef(key, int(cell)) if key and cell.isdecimal() else None


def image_group(stored: StoredImage) -> str:
    """Return what a split must keep together with an image of a project."""
    nothing = np.zeros((0, 0, 3), np.uint8)
    return group_key(SmearImage(nothing, stored.key, stored.name, groups=stored.groups))


def read_project_image(project: Project, key: str) -> SmearImage:
    """Return an image of a project from its file.

    Raises
    ------
    HemaCellsError
        It was moved or changed, or cannot be read.
    """
    return project_image(project, key)


@dataclass(frozen=True)
class SplitPlan:
    """Whether whole patients, slides or images are held out, and that in a sentence."""

    grouped: bool
    words: str


def plan_split(lessons: AnnotatedCells, recipe: ClassifierConfig) -> SplitPlan:
    """Return how a training would check itself on these annotations.

    Groups are kept together wherever each class occurs in two of them; otherwise the class could
    be learned or checked, not both, and cells are drawn one by one.
    """
    against = ungrouped_reason(lessons, recipe)
    if against:
        share = round(1 / recipe.validation)
        return SplitPlan(
            False,
            f"About one cell in {share} is held out, drawn cell by cell, because {against}: cells "
            "of the same slide teach and check, so the figures are a little too good."
            + few_words(recipe),
        )
    kind = next(iter(lessons.groups.values())).split("/", 1)[0]
    held = _held_out(lessons, recipe)
    groups = set(lessons.groups.values())
    cells = sum(
        len(class_of_cell)
        for key, class_of_cell in lessons.cells.items()
        if lessons.groups[key] in held
    )
    whole = f"{len(held)} of {len(groups)} {kind}s"
    return SplitPlan(
        True,
        f"Held out as a whole: {whole}, {cells:,} of {lessons.total:,} cells; they check."
        + few_words(recipe),
    )


def few_words(
    recipe: ClassifierConfig | None, among: str = "the rest", left_over: str = "the others test"
) -> str:
    """Return a sentence, with a blank before it, of a recipe that learns from a few of each class.

    Examples
    --------
    >>> from napari_hemacells.core.train.classifier import ClassifierConfig
    >>> few_words(ClassifierConfig(shots=5))
    ' Of the rest, 5 of each class teach; the others test.'
    """
    if recipe is None or recipe.shots is None:
        return ""
    return f" Of {among}, {recipe.shots} of each class teach; {left_over}."


def ungrouped_reason(lessons: AnnotatedCells, recipe: ClassifierConfig) -> str:
    """Return why groups cannot be kept together; empty where they can."""
    groups = set(lessons.groups.values())
    if recipe.ungrouped:
        return "groups are to be ignored"
    if len(groups) < 2:
        return "all are of one image" if len(lessons.groups) < 2 else "all are of one group"
    for name in lessons.counts:
        own = {
            lessons.groups[key]
            for key, class_of_cell in lessons.cells.items()
            if name in class_of_cell.values()
        }
        if len(own) < 2:
            return f"all “{name}” are of one {own.pop().split('/', 1)[0]}"
    return ""


def _held_out(lessons: AnnotatedCells, recipe: ClassifierConfig) -> set[str]:
    """Return the groups that would check, by the very rule that the training follows."""
    items = tuple(
        Example(Path(), name, lessons.groups[key])
        for key, class_of_cell in lessons.cells.items()
        for name in class_of_cell.values()
    )
    store = CropStore((), np.empty((0, 1, 1, 3), np.uint8), CropGeometry(CropSpec(1), 1.0))
    loaded = LoadedExamples(Examples(items, Path()), store, ("",) * len(items), ())
    rule = SplitRule(validation=recipe.validation, test=recipe.test, seed=recipe.seed)
    split = split_examples(loaded, rule)
    return {
        item.group
        for item, part in zip(items, split.parts, strict=True)
        if part in {"validation", "test"}
    }
