"""Preparation of a fine-tuning: training set, time estimate, learning rate and augmentation."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.train import SubprocessJob, TrainingReport
from napari_hemacells.core.train.classifier import model_store
from napari_hemacells.core.train.classifier.estimate import (
    MeasuredThroughput,
    ThroughputJob,
    augmented_views,
    estimated_seconds,
    measure_throughput_steps,
)
from napari_hemacells.core.train.classifier.estimate import (
    suggest_lr_steps as find_rate,
)
from napari_hemacells.core.train.classifier.own_model import bundle_folder
from napari_hemacells.core.train.classifier.project_dataset import (
    annotated_cells_of,
    plan_split,
    single_cell_classes,
    unavailable_reason,
)
from napari_hemacells.core.train.progress import format_duration
from napari_hemacells.core.types import CropSpec, Progress
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.finetune.augmentation_preview import AugmentationPreview
from napari_hemacells.widgets.finetune.class_folders import FolderSource, make_folder_job
from napari_hemacells.widgets.finetune.starting_weights import (
    NOT_FINE_TUNED,
    ModelInUse,
    StartingWeights,
)
from napari_hemacells.widgets.finetune.steps import FineTuneSummary, rate_finder_steps
from napari_hemacells.widgets.native_libraries import without_triton
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.training.steps import (
    ProjectSnapshot,
    available_cores,
    freeze_state,
    throttle_reports,
    without_classes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import numpy as np
    from numpy.typing import NDArray

    from napari_hemacells.core.annotate.state import AnnotationState
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.train.classifier import ClassifierConfig
    from napari_hemacells.core.train.classifier.training import TrainJob
    from napari_hemacells.core.types import Cells, SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.finetune.panel import FineTunePanel

PAUSE_MS = 400  # changes in the form that come faster than that are timed once
PRETRAINED_CROP_SIZE = (
    224  # pixels of the crops for networks of others; a training takes what it needs of them
)
SAMPLES, VIEWS, SIDE = 4, 5, 96  # crops shown, views of each, pixels


class TrainingEstimator(QObject):
    """Short jobs that prepare a training.

    Signals
    -------
    estimate_ready
        The time that the training takes, in words.
    rate_found
        A good learning rate.
    augmented
        Augmented views of some crops, ``(n, m, size, size, 3)``.
    progressed, warning_emitted
        The progress of the rate finder; why a job failed.
    """

    estimate_ready = Signal(str)
    rate_found = Signal(float)
    augmented = Signal(object)
    progressed = Signal(int, int, str)
    warning_emitted = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.jobs = JobRunner(self)
        self._paces: dict[tuple[Any, ...], MeasuredThroughput] = {}
        self._asked: tuple[ClassifierConfig, int, int] | None = None
        self._runs: dict[str, SubprocessJob[Any, Any]] = {}
        self._closed = False
        self._soon = QTimer()  # no child: where Qt ends first, it must not take the timer along
        self._soon.setSingleShot(True)
        self._soon.setInterval(PAUSE_MS)
        self._soon.timeout.connect(self._measure)
        self.jobs.progressed.connect(self._progressed)
        self.jobs.returned.connect(self._returned)
        self.jobs.refused.connect(self._refused)
        self.jobs.failed.connect(self._refused)

    def close(self) -> None:
        """Stop all jobs and start no more; late answers are ignored."""
        self._closed = True
        for run in self._runs.values():
            run.cancel()
        self.jobs.close()

    def stop(self) -> None:
        """Stop all jobs: a training needs the cores."""
        if self._closed:
            return
        self._soon.stop()
        for run_name in tuple(self._runs):
            self._end(run_name)
        for kind in ("pace", "rate"):
            self.jobs.cancel(kind)

    # --- how long ----------------------------------------------------------------------------

    def ask(self, recipe: ClassifierConfig, cells: int, classes: int) -> None:
        """Estimate the time of a training: from an earlier timing, or by timing a few steps."""
        if self._closed:
            return
        self._asked = (recipe, cells, classes)
        if self._tell():
            self._soon.stop()
        else:
            self.estimate_ready.emit("Timing a few steps to say how long it takes …")
            self._soon.start()

    def seconds(self) -> float | None:
        """Return the estimated seconds; ``None`` before they are known."""
        if self._asked is None:
            return None
        recipe, cells, classes = self._asked
        pace = self._paces.get(_pace_key(recipe))
        return None if pace is None else estimated_seconds(recipe, cells, pace, classes)

    def _tell(self) -> bool:
        seconds = self.seconds()
        if seconds is None or self._asked is None:
            return False
        pace = self._paces[_pace_key(self._asked[0])]
        n = available_cores()
        where = f"{n} core{'s' * (n != 1)}" if pace.device == "cpu" else pace.device
        self.estimate_ready.emit(
            f"Takes about {format_duration(seconds)} on {where} ({pace.learned:,.0f} "
            "images/s, just measured). You can go on annotating."
        )
        return True

    def _measure(self) -> None:
        if self._asked is None or self._closed:  # the timer may still come
            return
        recipe, _, classes = self._asked
        run = self._run(
            "pace",
            SubprocessJob(
                measure_throughput_steps, ThroughputJob(recipe, classes), threads=available_cores()
            ),
        )
        self.jobs.start("pace", partial(_measure_pace_steps, recipe, run))

    # --- rate --------------------------------------------------------------------------------

    def find_rate(self, ground: ProjectSnapshot | None, job: TrainJob, *, grouped: bool) -> None:
        """Find a good learning rate in a child process; without `ground` on the job's pictures."""
        if self._closed:
            return
        run = self._run("rate", SubprocessJob(find_rate, job, threads=available_cores()))
        self.jobs.start("rate", partial(rate_finder_steps, ground, job, run, grouped=grouped))

    # --- augmentation ------------------------------------------------------------------------

    def augment(
        self, image: SmearImage, cells: Cells, ids: list[int], recipe: ClassifierConfig
    ) -> None:
        """Augment some cells of the open image."""
        if self._closed:
            return
        self.jobs.start(
            "preview", partial(_augmentation_steps, image, cells, ids[:SAMPLES], recipe)
        )

    def _end(self, kind: str) -> None:
        """Stop a child process without waiting for its end."""
        run = self._runs.pop(kind, None)
        if run is not None:
            threading.Thread(target=run.cancel).start()

    # --- what came back ----------------------------------------------------------------------

    def _run(self, kind: str, run: SubprocessJob[Any, Any]) -> SubprocessJob[Any, Any]:
        self._end(kind)
        self._runs[kind] = run
        return run

    def _progressed(self, kind: str, progress: Progress) -> None:
        if kind == "rate":
            self.progressed.emit(progress.done, progress.total, progress.message)

    def _returned(self, kind: str, result: Any) -> None:
        if kind == "preview":
            self.augmented.emit(result)
        elif kind == "rate":
            self.rate_found.emit(result.suggestion)
        else:
            recipe, pace = result
            self._paces[_pace_key(recipe)] = pace
            self._tell()

    def _refused(self, kind: str, error: Exception) -> None:
        if kind == "pace":
            words = (
                str(error)
                if isinstance(error, HemaCellsError)
                else ("The time could not be estimated.")
            )
            self.estimate_ready.emit(words)
        else:
            self.warning_emitted.emit(str(error))


def _pace_key(recipe: ClassifierConfig) -> tuple[Any, ...]:
    """Return the settings that the speed depends on."""
    own = bundle_folder(recipe.weights)  # of a trained model, which gives its architecture
    return (recipe.arch, recipe.head, recipe.size, recipe.frozen_blocks, recipe.batch,
            recipe.device, recipe.precision, recipe.mix, own)  # fmt: skip


def _measure_pace_steps(
    recipe: ClassifierConfig, run: SubprocessJob[ThroughputJob, MeasuredThroughput]
) -> Generator[TrainingReport, None, tuple[ClassifierConfig, MeasuredThroughput]]:
    pace = yield from throttle_reports(run.reports())
    return recipe, pace


def _augmentation_steps(
    image: SmearImage, cells: Cells, ids: list[int], recipe: ClassifierConfig
) -> Generator[Progress, None, NDArray[np.uint8]]:
    from napari_hemacells.core.crop import extract_crops

    yield Progress(0, 0, "Augmenting")
    spec = CropSpec(SIDE, recipe.context or CropSpec().context)
    with without_triton():
        return augmented_views(extract_crops(image, cells, spec, ids), recipe, VIEWS)


def make_train_job(ground: ProjectSnapshot, recipe: ClassifierConfig, name: str) -> TrainJob:
    """Return the training of a config on a project's annotated cells, in a new folder of it."""
    folder = model_store.new_training_folder(ground.project)
    bundled = recipe.arch == "bundled" and bundle_folder(recipe.weights) is None
    size = recipe.size or (CropSpec().size if bundled else PRETRAINED_CROP_SIZE)
    spec = CropSpec(size, recipe.context or CropSpec().context)
    model_store.save_job(folder, recipe, name, spec)
    return model_store.load_job(folder, ground.state.palette)


_NOTHING = (
    "Open an image, detect its cells and give some of them classes first; or train on class "
    "folders."
)
_NONE_HERE = "Give a cell of this image a class first, or open an annotated image."


class FineTunePreparation(QObject):
    """Prepares a fine-tuning on the page.

    Parameters
    ----------
    opened
        The images that are in memory, by key.
    """

    said = Signal(str)
    warning_emitted = Signal(str)

    def __init__(
        self,
        session: Session,
        panel: FineTunePanel,
        opened: Callable[[], dict[str, SmearImage]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._panel, self._opened = session, panel, opened
        self.forecast = TrainingEstimator(self)
        self.beginning = StartingWeights(self)
        self.in_use = ModelInUse(session)
        self.folders = FolderSource(panel, self)
        self.idle = True
        panel.form.changed.connect(self.refresh)
        panel.form.preview_requested.connect(self.preview)
        panel.form.rate_requested.connect(self.find_rate)
        panel.opened.connect(self.refresh)
        self.beginning.found.connect(self._begins)
        self.folders.changed.connect(self._folders_changed)
        self.folders.warning_emitted.connect(self.warning_emitted)
        panel.leave_out.toggled.connect(self.refresh)
        self.forecast.estimate_ready.connect(panel.show_forecast)
        self.forecast.rate_found.connect(self._rate_found)
        self.forecast.augmented.connect(self._augmented)
        self.forecast.progressed.connect(panel.show_searching)
        self.forecast.warning_emitted.connect(self._warned)
        self._subscriptions = Subscriptions(self)
        events = session.events
        for signal in (events.project, events.image, events.cells, events.annotations,
                       events.palette, events.model):  # fmt: skip
            self._subscriptions.add(signal, self.refresh)

    def close(self) -> None:
        """Stop all jobs; late answers are ignored."""
        self._subscriptions.drop()
        self.beginning.close()
        self.folders.close()
        self.forecast.close()

    def _folders_changed(self) -> None:
        """Without a project, the folders have one of their own: the model must be somewhere."""
        chosen = self.folders.chosen
        if chosen is not None and self._session.project is None:
            try:
                self._session.open_folder_project(chosen.folder, list(chosen.counts))
            except HemaCellsError as error:
                self.warning_emitted.emit(str(error))
        self.refresh()

    def refresh(self, _what: object = None) -> None:
        """Show the training set, if the page is visible."""
        panel, project, history = self._panel, self._session.project, self._session.history
        if not self.idle or not panel.is_open:
            return
        if project is None or history is None:
            panel.show_training_summary(FineTuneSummary(reason=_NOTHING))
            panel.show_forecast(_NOTHING)
            return
        panel.show_resumable(resumable=model_store.interrupted_training(project) is not None)
        panel.form.offer_model_in_use(there=self.in_use.has_network, why_not=NOT_FINE_TUNED)
        try:
            recipe, invalid = self.in_use.put_into(panel.form.value()), ""
        except HemaCellsError as error:
            recipe, invalid = None, str(error)
        if recipe is not None:
            self.beginning.ask(recipe)
        if self.folders.chosen is not None:
            teaching = self.folders.chosen.summary(recipe, invalid)
            panel.offer_leaving_out(())
        else:
            teaching = self._annotated(project, history.state, recipe, invalid)
        panel.show_training_summary(teaching)
        if teaching.reason:
            panel.show_forecast(teaching.reason)
        elif recipe is not None:
            total = sum(count for _, count in teaching.counts)
            self.forecast.ask(recipe, total, len(teaching.counts))

    def _annotated(
        self,
        project: Project,
        state: AnnotationState,
        recipe: ClassifierConfig | None,
        invalid: str,
    ) -> FineTuneSummary:
        """Return what the annotated cells of the project teach."""
        single = single_cell_classes(annotated_cells_of(project, state))
        self._panel.offer_leaving_out(single)
        if self._panel.leaves_out:
            state = without_classes(state, single)
        lessons = annotated_cells_of(project, state)
        reason = unavailable_reason(lessons) or invalid
        split = "" if reason or recipe is None else plan_split(lessons, recipe).words
        return FineTuneSummary(len(lessons.cells), tuple(lessons.counts.items()), split, reason)

    def recipe(self) -> ClassifierConfig | None:
        """Return the form's config; ``None``, with a message, if it is not valid."""
        try:
            return self.in_use.put_into(self._panel.form.value())
        except HemaCellsError as error:
            self.warning_emitted.emit(str(error))
            return None

    def take_snapshot(self) -> ProjectSnapshot | None:
        """Return a snapshot of the session; annotation can continue."""
        session = self._session
        if session.project is None or session.history is None:
            return None
        state = freeze_state(session.history.state)
        if self._panel.leaves_out:
            single = single_cell_classes(annotated_cells_of(session.project, state))
            state = without_classes(state, single)
        return ProjectSnapshot(session.project, state, self._opened())

    def preview(self) -> None:
        """Show augmented views of the user's own cells."""
        session, recipe = self._session, self.recipe()
        if session.image is None or session.cells is None or recipe is None:
            return
        ids = [cell for cell in session.annotated if cell in session.cells.position]
        if ids:
            self.forecast.augment(session.image, session.cells, ids, recipe)
        else:
            self.warning_emitted.emit(_NONE_HERE)

    def find_rate(self) -> None:
        """Find a good learning rate on the annotated cells and write it into the form."""
        ground, recipe = self.take_snapshot(), self.recipe()
        if ground is None or recipe is None:
            return
        lessons = annotated_cells_of(ground.project, ground.state)
        grouped = lessons.total > 0 and plan_split(lessons, recipe).grouped
        name, searched = self._panel.form.name, recipe.model_copy(update={"rate": None})
        folders = self.folders.chosen
        try:
            if folders is None:
                job = make_train_job(ground, searched, name)
            else:
                palette = self._session.palette
                job = make_folder_job(ground.project, palette, searched, name, folders.folder)
        except HemaCellsError as error:
            self.warning_emitted.emit(str(error))
            return
        self._panel.form.search.setEnabled(False)
        taught_by = ground if folders is None else None
        self.forecast.find_rate(taught_by, job, grouped=grouped)

    def _rate_found(self, rate: float) -> None:
        self._panel.form.search.setEnabled(True)
        self._panel.form.set_rate(rate)
        self.said.emit(f"The learning rate {rate:g} is now set in the form.")

    def _begins(self, words: str, refused: bool) -> None:
        self._panel.show_beginning(words, refused=refused)

    def _augmented(self, views: NDArray[np.uint8]) -> None:
        self._panel.show_augmented(AugmentationPreview(views, self._panel.form.body.width()))

    def _warned(self, words: str) -> None:
        self._panel.form.search.setEnabled(True)
        self.warning_emitted.emit(words)
        self.refresh()
