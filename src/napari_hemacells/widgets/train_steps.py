"""What fine-tuning does in a thread: gather, let a child process learn, compare on the image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.evaluate.detection import Boxes, match_boxes
from napari_hemacells.core.types import Progress

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_hemacells.core.annotate.state import AnnotationState
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.train import ChildRun
    from napari_hemacells.core.train.detector.job import DetectorJob
    from napari_hemacells.core.train.detector.outcome import DetectorOutcome
    from napari_hemacells.core.types import Cells, SmearImage

LARGEST = 4_000_000  # pixels of an open image that is looked at with the new detector at once


@dataclass(frozen=True)
class Changes:
    """How a new detector's cells differ from those shown."""

    more: int
    fewer: int
    renamed: int

    def words(self) -> str:
        """As a sentence."""
        return (
            f"On the open image, against the cells shown: {self.more} more, {self.fewer} fewer, "
            f"{self.renamed} of another kind."
        )


@dataclass(frozen=True, eq=False)
class Ended:
    """A training that came to its end, and what it would change on the open image."""

    outcome: DetectorOutcome
    changes: Changes | None


@dataclass(frozen=True, eq=False)
class Ground:
    """The session at the moment that Start was pressed; clicks may go on meanwhile."""

    project: Project
    state: AnnotationState
    image: SmearImage | None
    cells: Cells | None


def frozen(state: AnnotationState) -> AnnotationState:
    """Return a copy that later clicks do not change."""
    labels = {annotator: dict(said) for annotator, said in state.by_annotator.items()}
    corrections = {key: dict(done) for key, done in state.corrections.items()}
    return replace(state, by_annotator=labels, corrections=corrections)


def training_steps(
    ground: Ground, job: DetectorJob, run: ChildRun[DetectorJob, DetectorOutcome]
) -> Generator[Progress, None, Ended]:
    """Yield preparations, reports of the training and the comparison; return what came of it."""
    from napari_hemacells.core.train.detector.folder import prepare_folder, remove_folder
    from napari_hemacells.core.train.detector.gather import gather_steps

    opened = {} if ground.image is None else {ground.image.key: ground.image}
    gathered = yield from gather_steps(ground.project, ground.state, opened)
    prepare_folder(job.folder, gathered.fields, gathered.left_out)
    try:
        outcome = yield from run.reports()
    finally:
        remove_folder(job.folder)
    yield Progress(0, 0, "Looking at the open image")
    return Ended(outcome, (yield from _changes(ground, outcome.weights)))


def _changes(ground: Ground, weights: Path) -> Generator[Progress, None, Changes | None]:
    """Return what the new detector does differently on the open image; None for a large one."""
    from napari_hemacells.core.detect import detect_steps, prepare
    from napari_hemacells.core.params import DetectParams
    from napari_hemacells.widgets.graphics import triton_kept_out

    image, cells = ground.image, ground.cells
    if image is None or cells is None or np.prod(image.shape) > LARGEST:
        return None
    params = DetectParams(cell_diameter=cells.diameter, weights=weights)
    with triton_kept_out():
        prepare(params.method, params.weights)
    return differences(cells, (yield from detect_steps(image, params)))


def differences(shown: Cells, found: Cells) -> Changes:
    """Return how many cells are new, gone, or of another kind (boxes at IoU 0.5 are the same)."""
    old, new = Boxes.of_cells(shown), Boxes.of_cells(found)
    hit = match_boxes(new, old)
    same = hit >= 0
    kinds = np.asarray(new.classes[same] != old.classes[hit[same]])
    return Changes(int((~same).sum()), len(old) - int(same.sum()), int(kinds.sum()))
