"""Fine-tuning of the detector in the dock: training run, comparison, and the detector in use."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.evaluate.detection_metrics import Boxes, match_boxes
from napari_hemacells.core.files.fsio import reserve_folder
from napari_hemacells.core.params import TrainDetectorParams
from napari_hemacells.core.train import SubprocessJob
from napari_hemacells.core.train.detector.config import (
    ENDING,
    DetectorJob,
    default_steps,
    estimated_seconds,
    format_command,
    training_folder,
)
from napari_hemacells.core.train.detector.project_dataset import find_corrected_images
from napari_hemacells.core.train.jobs import fine_tune_detector
from napari_hemacells.core.types import Progress
from napari_hemacells.samples.smear import rehearsal_fields
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.train_detector.panel import DetectorTrainingSummary
from napari_hemacells.widgets.training.runner import TrainingRunner
from napari_hemacells.widgets.training.section import link_to
from napari_hemacells.widgets.training.steps import chosen_weights, freeze_state

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
    from napari_hemacells.widgets.train_detector.panel import TrainDetectorPanel

MAX_COMPARED_PIXELS = (
    4_000_000  # pixels of an open image that is looked at with the new detector at once
)


@dataclass(frozen=True)
class DetectionChanges:
    """The difference between a new detector's cells and those shown."""

    more: int
    fewer: int
    reclassified: int

    def words(self) -> str:
        """The difference in a sentence."""
        return (
            f"On the open image, compared with the cells shown: {self.more} more, "
            f"{self.fewer} fewer, {self.reclassified} of another class."
        )


@dataclass(frozen=True, eq=False)
class DetectorTrainingResult:
    """A finished training, and its changes on the open image."""

    outcome: DetectorOutcome
    changes: DetectionChanges | None


@dataclass(frozen=True, eq=False)
class DetectorTrainingSnapshot:
    """A snapshot of the session; annotation can continue during the training."""

    project: Project
    state: AnnotationState
    image: SmearImage | None
    cells: Cells | None


def detector_training_steps(
    ground: DetectorTrainingSnapshot,
    job: DetectorJob,
    run: SubprocessJob[DetectorJob, DetectorOutcome],
) -> Generator[Progress, None, DetectorTrainingResult]:
    """Yield preparations, reports of the training and the comparison; return the result."""
    from napari_hemacells.core.train.detector.config import prepare_folder, remove_folder
    from napari_hemacells.core.train.detector.project_dataset import load_project_fields_steps

    opened = {} if ground.image is None else {ground.image.key: ground.image}
    gathered = yield from load_project_fields_steps(ground.project, ground.state, opened)
    prepare_folder(job.folder, gathered.fields, gathered.left_out)
    try:
        outcome = yield from run.reports()
    finally:
        remove_folder(job.folder)
    yield Progress(0, 0, "Detecting on the open image")
    return DetectorTrainingResult(outcome, (yield from _changes(ground, outcome.weights)))


def _changes(
    ground: DetectorTrainingSnapshot, weights: Path
) -> Generator[Progress, None, DetectionChanges | None]:
    """Return the new detector's changes on the open image; ``None`` for a large one."""
    from napari_hemacells.core.detect import detect_steps, preload_detector
    from napari_hemacells.core.params import DetectParams
    from napari_hemacells.widgets.native_libraries import without_triton

    image, cells = ground.image, ground.cells
    if image is None or cells is None or np.prod(image.shape) > MAX_COMPARED_PIXELS:
        return None
    params = DetectParams(cell_diameter=cells.diameter, weights=weights)
    with without_triton():
        preload_detector(params.method, params.weights)
    return compare_detections(cells, (yield from detect_steps(image, params)))


def compare_detections(shown: Cells, detected: Cells) -> DetectionChanges:
    """Return how many cells are new, missing, or of another class (matched at box IoU 0.5)."""
    old, new = Boxes.of_cells(shown), Boxes.of_cells(detected)
    hit = match_boxes(new, old)
    same = hit >= 0
    kinds = np.asarray(new.classes[same] != old.classes[hit[same]])
    return DetectionChanges(int((~same).sum()), len(old) - int(same.sum()), int(kinds.sum()))


MODELS_FOLDER = "models"
_NOTHING = (
    "Correct a whole image first: add missed cells and delete false ones. Then the detector "
    "can be trained on it."
)
_KINDS = {"RBC": "red cells", "WBC": "white cells", "Platelets": "platelets", "all": "all cells"}


class TrainDetectorController(TrainingRunner):
    """The behaviour of the section *Fine-tune the detector*."""

    stopped_message = "Stopped. The detector has not changed."

    def __init__(
        self, session: Session, panel: TrainDetectorPanel, parent: QObject | None = None
    ) -> None:
        super().__init__(panel, parent)
        self._session, self._panel = session, panel
        self._cores = max(1, (os.cpu_count() or 2) - 1)  # one is left to napari
        self._waiting: tuple[Project, DetectorTrainingResult] | None = None
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
        """Stop a running training; late answers are ignored."""
        self._subscriptions.drop()
        super().close()

    def with_weights(self, params: DetectParams) -> DetectParams:
        """Return the parameters with the detector that the project uses."""
        return params.model_copy(update={"weights": chosen_weights(self._session.project)})

    # --- what is asked for -------------------------------------------------------------------

    def refresh(self, _what: object = None) -> None:
        """Show the training set, if the section is visible."""
        project, history = self._session.project, self._session.history
        weights = chosen_weights(project)
        self._panel.show_in_use(None if weights is None else weights.stem)
        if not self._panel.title.isChecked() or self.running or self._waiting is not None:
            return
        if project is None or history is None:
            self._panel.show_training_summary(DetectorTrainingSummary(reason=_NOTHING))
            return
        lessons = find_corrected_images(project, history.state)
        steps = default_steps(self._cores)
        batch = TrainDetectorParams().batch_size
        seconds = estimated_seconds(steps, batch, self._cores)
        reason = "" if lessons.images else _NOTHING
        self._panel.show_training_summary(
            DetectorTrainingSummary(
                len(lessons.images), lessons.corrected, seconds, self._cores, reason
            )
        )

    def start(self, effort: int) -> None:
        """Train on the corrected images of the open project, in a child process."""
        session = self._session
        if session.project is None or session.history is None:
            return
        project = session.project
        try:
            job = self._job(project, effort * default_steps(self._cores))
        except HemaCellsError as error:
            self.warning_emitted.emit(str(error))
            return
        self._project = project
        run = SubprocessJob(fine_tune_detector, job, threads=self._cores)
        ground = DetectorTrainingSnapshot(
            project, freeze_state(session.history.state), session.image, session.cells
        )
        self.begin(run, partial(detector_training_steps, ground, job, run))

    def use(self) -> None:
        """Use the new detector in this project from now on."""
        if self._waiting is None:
            return
        project, ended = self._waiting
        weights = ended.outcome.weights
        self._remember(project, weights.relative_to(project.folder))
        self._waiting = None
        self._panel.show_idle(f"{weights.stem} is in use. Press Detect cells to see its cells.")
        self.said.emit("The new detector is in use in this project. Press Detect cells.")

    def drop(self) -> None:
        """Remove the new detector."""
        if self._waiting is None:
            return
        outcome = self._waiting[1].outcome
        for file in (outcome.weights, outcome.report):
            file.unlink(missing_ok=True)
        self._waiting = None
        self._panel.show_idle("Discarded. The detector has not changed.")
        self.refresh()

    def use_bundled(self) -> None:
        """Use the bundled detector again; the others are kept."""
        if self._session.project is not None:
            self._remember(self._session.project, None)

    def handle_result(self, result: DetectorTrainingResult) -> None:
        """Show the results and ask what to do with the new detector."""
        if self._project is not None:
            self._waiting = (self._project, result)
            self._panel.show_outcome(format_detector_result(result))
            self.said.emit(
                "The training has finished. Check the results, then use or "
                "discard the new detector."
            )

    # --- inside ------------------------------------------------------------------------------

    def _job(self, project: Project, steps: int) -> DetectorJob:
        params = TrainDetectorParams(steps=steps)
        folder = reserve_folder(project.folder / MODELS_FOLDER, f"detector-%Y%m%d-%H%M%S{ENDING}")
        out = folder.with_suffix(".safetensors")
        start = chosen_weights(project)
        job = DetectorJob(training_folder(out), out, steps, params, start, rehearsal_fields)
        return replace(job, command=format_command(job, project.folder, threads=self._cores))

    def _remember(self, project: Project, weights: Path | None) -> None:
        """Save the choice in the project; a path inside it is saved as a relative one."""
        try:
            project.update(detect=project.content.detect.model_copy(update={"weights": weights}))
        except HemaCellsError as error:
            self.warning_emitted.emit(str(error))
        self.refresh()


def format_detector_result(ended: DetectorTrainingResult) -> str:
    """Return the scores before and after as a table, and the changes."""
    outcome = ended.outcome
    before, after = outcome.before_limits.f1(), outcome.after.f1()
    rows = "".join(
        f"<tr><td>{_KINDS[name]}</td><td align='right'>{row['annotated']:.0f}</td>"
        f"<td align='right'>{before[name]:.3f}</td><td align='right'><b>{after[name]:.3f}</b></td>"
        "</tr>"
        for name, row in outcome.after.rows().items()
    )
    cells = outcome.after.rows()["all"]["annotated"]
    verdict = (
        f"On {cells:.0f} held-out cells the new detector is no better than before: discard it."
    )
    advice = "" if outcome.is_better else f"<p><b>{verdict}</b></p>"
    changes = f"<p>{ended.changes.words()}</p>" if ended.changes is not None else ""
    notes = "".join(f"<p>{escape(note)}</p>" for note in outcome.notes)
    link = link_to(str(outcome.report), "Open the report")
    return (
        "<p>F1 at IoU 0.5 in the held-out part:</p><table "
        f"cellspacing='6'><tr><td></td><td>cells</td><td>before</td><td>after</td></tr>{rows}</table>{advice}{changes}{notes}<p>{link}</p>"
    )
