"""Shared steps of trainings: snapshots, embeddings of other images, and progress reports."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.store.project import corrected_cells
from napari_hemacells.core.train.classifier.project_dataset import read_project_image
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping
    from pathlib import Path

    from napari_hemacells.core.annotate.state import AnnotationState
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.train import TrainingReport
    from napari_hemacells.core.types import Cells, SmearImage

Embed: TypeAlias = (
    "Callable[[Project, SmearImage, Cells], Callable[[], Generator[Any, None, Any]]]"
)
REPORT_INTERVAL_S = 0.05  # the dock is told no more often


@dataclass(frozen=True, eq=False)
class ProjectSnapshot:
    """A snapshot of the session; annotation can continue during the training."""

    project: Project
    state: AnnotationState
    opened: Mapping[str, SmearImage] = field(default_factory=dict)


def embed_annotated_steps(
    ground: ProjectSnapshot, here: str | None, embed: Embed, *, whole: bool = False
) -> Generator[Progress, None, None]:
    """Embed the annotated cells of other images, as the classifier in use needs them.

    Images that cannot be read are left out; the user was told while the training set was read.

    Parameters
    ----------
    whole
        Embed all cells of these images, for embeddings that depend on one another.
    """
    for key in {ref.image_key for ref in ground.state.labels} - {here}:
        yield Progress(0, 0, f"Comparing on {ground.project.image(key).name}")
        try:
            image = ground.opened.get(key) or read_project_image(ground.project, key)
            cells = corrected_cells(ground.project, key, ground.state)
        except HemaCellsError:
            continue
        mine = cells.table["label"].isin(list(ground.state.annotations_of_image(key)))
        if mine.any():
            wanted = cells if whole else replace(cells, table=cells.table[mine])
            yield from embed(ground.project, image, wanted)()


def throttle_reports(
    steps: Generator[TrainingReport, None, Any],
) -> Generator[TrainingReport, None, Any]:
    """Yield a training's reports, at most some per second.

    The first report of each kind and held-out metrics are never left out.
    """
    reported_at, last_message = 0.0, ""
    while True:
        try:
            report = next(steps)
        except StopIteration as end:
            return end.value
        now = time.monotonic()
        if (
            report.metrics
            or report.message != last_message
            or now - reported_at >= REPORT_INTERVAL_S
        ):
            reported_at, last_message = now, report.message
            yield report


def available_cores() -> int:
    """Return how many cores a training may use: one is left to napari."""
    return max(1, (os.cpu_count() or 2) - 1)


class RemainingTime:
    """Seconds left: as reported, or the rest of the estimated time.

    Parameters
    ----------
    foretold
        Estimated seconds in total, if known.
    """

    def __init__(
        self, foretold: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._foretold, self._clock, self._began = foretold, clock, clock()

    def after(self, report: TrainingReport) -> float | None:
        """Return the seconds left after a report; ``None`` if unknown or almost 0."""
        if report.phase == "end":
            return None
        if report.eta_s is not None:
            return report.eta_s
        if self._foretold is None:
            return None
        left = self._foretold - (self._clock() - self._began)
        return left if left > 0 else None


def format_count(n: int, thing: str) -> str:
    """Return a count with its noun: ``1 cell``, ``1,200 cells``."""
    return f"{n:,} {thing}{'s' * (n != 1)}"


def freeze_state(state: AnnotationState) -> AnnotationState:
    """Return a snapshot that later annotations do not change."""
    labels = {
        annotator: dict(annotations) for annotator, annotations in state.by_annotator.items()
    }
    corrections = {key: dict(done) for key, done in state.corrections.items()}
    return replace(state, by_annotator=labels, corrections=corrections)


def without_classes(state: AnnotationState, names: Collection[str]) -> AnnotationState:
    """Return a snapshot without the annotations of the classes of these names."""
    left_out = {category.id for category in state.palette if category.name in names}
    labels = {
        annotator: {ref: given for ref, given in annotations.items()
                    if given.class_id not in left_out}
        for annotator, annotations in state.by_annotator.items()
    }  # fmt: skip
    return replace(freeze_state(state), by_annotator=labels)


def chosen_weights(project: Project | None) -> Path | None:
    """Return the fine-tuned detector that a project uses; ``None`` for the bundled one."""
    weights = None if project is None else project.content.detect.weights
    return None if project is None or weights is None else project.folder / weights
