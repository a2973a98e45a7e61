"""Before an adaptation: how many cells there are, what is missing, how long it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_hemacells.core.errors import ProjectError, TrainingError
from napari_hemacells.core.train.selfsupervised.config import check_installed, default_steps
from napari_hemacells.core.train.selfsupervised.dataset import MAX_CROPS, MIN_CROPS
from napari_hemacells.core.train.selfsupervised.evaluator import BACKGROUND_CROPS

if TYPE_CHECKING:
    from napari_hemacells.core.annotate.state import AnnotationState
    from napari_hemacells.core.params import AdaptParams
    from napari_hemacells.core.store.project import Project

# Of the bundled encoder on one core that nothing else uses (processor time): 3 batches of 64 took
# 4.5 s, a look at 150 crops 3.2 s, and loading 5.4 s.
SECONDS_A_CROP, SECONDS_TO_START = 0.023, 6.0
EVALUATIONS = 5  # at the clicks, and at others that steady the standardisation


@dataclass(frozen=True)
class AvailableCells:
    """What there is to learn from.

    Attributes
    ----------
    cells, images
        Of the project: those shown, and those kept of its other images.
    """

    cells: int = 0
    images: int = 0

    @property
    def taught(self) -> int:
        """How many of the cells it learns from: all, or an even part of very many."""
        return min(self.cells, MAX_CROPS)


def count_available_cells(project: Project, state: AnnotationState) -> AvailableCells:
    """Return how many cells of a project there are to learn from; no picture is read.

    An image whose cells cannot be read counts none; that is told when they are gathered.
    """
    counts = [_count(project, image.key, state) for image in project.images]
    return AvailableCells(sum(counts), sum(1 for count in counts if count))


def adaptation_unavailable_reason(lessons: AvailableCells) -> str:
    """Return what is missing, a sentence; empty where an adaptation can begin."""
    try:
        check_installed()
    except TrainingError as error:
        return str(error)
    if lessons.cells >= MIN_CROPS:
        return ""
    there = f"There {'is' if lessons.cells == 1 else 'are'} {lessons.cells} so far"
    return (
        f"At least {MIN_CROPS} cells are needed to learn from, better a thousand. {there}: detect "
        "cells, also on other images of the project."
    )


def estimated_seconds(
    lessons: AvailableCells, clicks: int, params: AdaptParams, cores: int
) -> float:
    """Return about how long the bundled encoder takes on so many cores.

    Parameters
    ----------
    clicks
        Annotated cells that judge; 0 where there are too few.
    """
    batch = min(params.batch_size, max(1, lessons.taught // 2))
    steps = params.steps or default_steps(lessons.taught, batch)
    looked_at = EVALUATIONS * (clicks + min(lessons.taught, BACKGROUND_CROPS)) if clicks else 0
    return SECONDS_TO_START + SECONDS_A_CROP * (steps * batch + looked_at) / cores


def _count(project: Project, key: str, state: AnnotationState) -> int:
    if not project.has_cells(key):
        return 0
    try:
        ids = project.cell_ids(key)
    except ProjectError:
        return 0
    corrections = state.corrections_of(key)
    there = sum(correction.status == "there" for correction in corrections.values())
    return len(ids) - sum(cell in ids for cell in corrections) + there
