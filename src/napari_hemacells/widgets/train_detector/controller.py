"""Session ↔ training of the detector: when it may start, what is shown, what is kept.

What fine-tuning does in a thread: gather, let a child process learn, compare on the image.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.evaluate.detection_metrics import Boxes, match_boxes
from napari_hemacells.core.params import TrainDetectorParams
from napari_hemacells.core.train import ChildRun
from napari_hemacells.core.train.detector.config import (
    DetectorJob,
    command_of,
    default_steps,
    estimated_seconds,
    training_folder,
)
from napari_hemacells.core.train.detector.project_dataset import lessons_of
from napari_hemacells.core.train.detector.trainer import fine_tune
from napari_hemacells.core.types import Progress
from napari_hemacells.samples.smear import rehearsal_fields
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.train_detector.panel import Teaching, link_to
from napari_hemacells.widgets.training.runner import SectionRun
from napari_hemacells.widgets.training.steps import chosen_weights, frozen

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from qtpy.QtCore import QObject

    from napari_hemacells.core.annotate.state import AnnotationState
    from napari_hemacells.core.params import DetectParams
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.train.detector.report import DetectorOutcome
    from napari_hemacells.core.types import Cells, SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.train_detector.panel import TrainPanel

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


def training_steps(
    ground: Ground, job: DetectorJob, run: ChildRun[DetectorJob, DetectorOutcome]
) -> Generator[Progress, None, Ended]:
    """Yield preparations, reports of the training and the comparison; return what came of it."""
    from napari_hemacells.core.train.detector.config import prepare_folder, remove_folder
    from napari_hemacells.core.train.detector.project_dataset import gather_steps

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
    from napari_hemacells.widgets.native_libraries import triton_kept_out

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


MODELS = "models"
_NOTHING = (
    "Correct an image first, all of it: add the cells that were missed, delete what is none. Then "
    "the detector can learn from it."
)
_KINDS = {"RBC": "red cells", "WBC": "white cells", "Platelets": "platelets", "all": "all cells"}


class TrainRun(SectionRun):
    """The behaviour of the section *Fine-tune the detector*."""

    stopped_words = "Stopped. The detector is as it was."

    def __init__(self, session: Session, panel: TrainPanel, parent: QObject | None = None) -> None:
        super().__init__(panel, parent)
        self._session, self._panel = session, panel
        self._cores = max(1, (os.cpu_count() or 2) - 1)  # one is left to napari
        self._waiting: tuple[Project, Ended] | None = None
        self._project: Project | None = None
        panel.train_requested.connect(self.start)
        panel.use_requested.connect(self.use)
        panel.drop_requested.connect(self.drop)
        panel.bundled_requested.connect(self.use_bundled)
        panel.opened.connect(self.refresh)
        self._subscriptions = Subscriptions(self)
        events = session.events
        for signal in (
            events.project,
            events.image,
            events.cells,
            events.corrected,
            events.annotations,
        ):
            self._subscriptions.add(signal, self.refresh)
        self.refresh()

    def close(self) -> None:
        """End the training, if one runs; late answers are not heard."""
        self._subscriptions.drop()
        super().close()

    def with_weights(self, params: DetectParams) -> DetectParams:
        """Return the parameters with the detector that the project uses."""
        return params.model_copy(update={"weights": chosen_weights(self._session.project)})

    # --- what is asked for -------------------------------------------------------------------

    def refresh(self, _what: object = None) -> None:
        """Say what there is to learn from, where anybody looks."""
        project, history = self._session.project, self._session.history
        weights = chosen_weights(project)
        self._panel.show_in_use(None if weights is None else weights.stem)
        if not self._panel.title.isChecked() or self.running or self._waiting is not None:
            return
        if project is None or history is None:
            self._panel.show_teaching(Teaching(reason=_NOTHING))
            return
        lessons = lessons_of(project, history.state)
        steps = default_steps(self._cores)
        batch = TrainDetectorParams().batch_size
        seconds = estimated_seconds(steps, batch, self._cores)
        reason = "" if lessons.images else _NOTHING
        self._panel.show_teaching(
            Teaching(len(lessons.images), lessons.corrected, seconds, self._cores, reason)
        )

    def start(self, effort: int) -> None:
        """Learn from the corrected images of the open project, in a child process."""
        session = self._session
        if session.project is None or session.history is None:
            return
        project = session.project
        job = self._job(project, effort * default_steps(self._cores))
        self._project = project
        run = ChildRun(fine_tune, job, threads=self._cores)
        ground = Ground(project, frozen(session.history.state), session.image, session.cells)
        self.begin(run, partial(training_steps, ground, job, run))

    def use(self) -> None:
        """Detect with the new detector from now on, in this project."""
        if self._waiting is None:
            return
        project, ended = self._waiting
        weights = ended.outcome.weights
        self._remember(project, weights.relative_to(project.folder))
        self._waiting = None
        self._panel.show_idle(f"{weights.stem} is in use. Detect again to see its cells.")
        self.said.emit("The new detector is in use in this project. Press Detect cells.")

    def drop(self) -> None:
        """Remove the new detector."""
        if self._waiting is None:
            return
        outcome = self._waiting[1].outcome
        for file in (outcome.weights, outcome.report):
            file.unlink(missing_ok=True)
        self._waiting = None
        self._panel.show_idle("Dropped. The detector is as it was.")
        self.refresh()

    def use_bundled(self) -> None:
        """Detect with the bundled detector again; the others are kept."""
        if self._session.project is not None:
            self._remember(self._session.project, None)

    def ended(self, result: Ended) -> None:
        """Show the figures, and ask what to do with the new detector."""
        if self._project is not None:
            self._waiting = (self._project, result)
            self._panel.show_outcome(as_html(result))
            self.said.emit("The detector has learned. Look at the figures, then use or drop it.")

    # --- inside ------------------------------------------------------------------------------

    def _job(self, project: Project, steps: int) -> DetectorJob:
        params = TrainDetectorParams(steps=steps)
        name = datetime.now().astimezone().strftime("detector-%Y%m%d-%H%M%S")
        out = project.folder / MODELS / f"{name}.safetensors"
        start = chosen_weights(project)
        job = DetectorJob(training_folder(out), out, steps, params, start, rehearsal_fields)
        return replace(job, command=command_of(job, project.folder, threads=self._cores))

    def _remember(self, project: Project, weights: Path | None) -> None:
        """Keep the choice in the project; a path inside it is kept as such, so it can be moved."""
        try:
            project.update(detect=project.content.detect.model_copy(update={"weights": weights}))
        except HemaCellsError as error:
            self.warned.emit(str(error))
        self.refresh()


def as_html(ended: Ended) -> str:
    """Return the figures before and after as a small table, and what would change."""
    outcome = ended.outcome
    before, after = outcome.before_limits.f1(), outcome.after.f1()
    rows = "".join(
        f"<tr><td>{_KINDS[name]}</td><td align='right'>{row['annotated']:.0f}</td>"
        f"<td align='right'>{before[name]:.3f}</td><td align='right'><b>{after[name]:.3f}</b></td>"
        "</tr>"
        for name, row in outcome.after.rows().items()
    )
    cells = outcome.after.rows()["all"]["annotated"]
    verdict = f"As far as {cells:.0f} held-out cells tell, it does no better than before: drop it."
    advice = "" if outcome.better else f"<p><b>{verdict}</b></p>"
    changes = f"<p>{ended.changes.words()}</p>" if ended.changes is not None else ""
    notes = "".join(f"<p>{escape(note)}</p>" for note in outcome.notes)
    link = link_to(str(outcome.report), "Open the report")
    return (
        "<p>F1 at IoU 0.5 in the held-out part:</p><table cellspacing='6'>"
        "<tr><td></td><td>cells</td><td>before</td><td>after</td></tr>"
        f"{rows}</table>{advice}{changes}{notes}<p>{link}</p>"
    )
