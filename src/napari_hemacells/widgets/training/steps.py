"""Before a training: how long it would take, a good rate, and what augmentation does.

What fine-tuning a classifier does in threads: gather, let a child learn, compare.

What the fine-tuning page says, and how long is left.

What fine-tuning does in a thread: gather, let a child process learn, compare on the image.

Session ↔ training of the detector: when it may start, what is shown, what is kept.
"""

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
    from collections.abc import Callable, Generator, Mapping
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
    """The session at the moment that Start was pressed; clicks may go on meanwhile."""

    project: Project
    state: AnnotationState
    opened: Mapping[str, SmearImage] = field(default_factory=dict)


def embed_annotated_steps(
    ground: ProjectSnapshot, here: str | None, embed: Embed, *, whole: bool = False
) -> Generator[Progress, None, None]:
    """Embed the annotated cells of other images, as the classifier in use needs them.

    Images that cannot be read are left out; that was told when the training gathered them.

    Parameters
    ----------
    whole
        All cells of these images, for vectors that depend on one another.
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
    """Yield what a training reports, but not hundreds of times a second.

    What is said for the first time is never left out, nor are held-out figures.
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
    """Seconds to go: what the training says, or what is left of the time foretold.

    Parameters
    ----------
    foretold
        Seconds in all, where that was estimated.
    """

    def __init__(
        self, foretold: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._foretold, self._clock, self._began = foretold, clock, clock()

    def after(self, report: TrainingReport) -> float | None:
        """Return the seconds to go after a report; ``None`` where unknown, or nearly none."""
        if report.phase == "end":
            return None
        if report.eta_s is not None:
            return report.eta_s
        if self._foretold is None:
            return None
        left = self._foretold - (self._clock() - self._began)
        return left if left > 0 else None


def format_count(n: int, thing: str) -> str:
    """``1 cell``, ``1,200 cells``."""
    return f"{n:,} {thing}{'s' * (n != 1)}"


def freeze_state(state: AnnotationState) -> AnnotationState:
    """Return a copy that later clicks do not change."""
    labels = {
        annotator: dict(annotations) for annotator, annotations in state.by_annotator.items()
    }
    corrections = {key: dict(done) for key, done in state.corrections.items()}
    return replace(state, by_annotator=labels, corrections=corrections)


def chosen_weights(project: Project | None) -> Path | None:
    """Return the fine-tuned detector that a project uses; ``None`` for the bundled one."""
    weights = None if project is None else project.content.detect.weights
    return None if project is None or weights is None else project.folder / weights
