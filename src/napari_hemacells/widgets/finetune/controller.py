"""Fine-tuning of the classifier in the dock: training run, result, and the model in use."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.train import SubprocessJob, TrainingReport
from napari_hemacells.core.train.classifier import model_store
from napari_hemacells.core.train.classifier.pipeline import fine_tune_steps
from napari_hemacells.core.train.classifier.project_dataset import (
    annotated_cells_of,
    parse_cell_name,
    plan_split,
)
from napari_hemacells.core.types import CellRef
from napari_hemacells.session.model_comparison import changes_between, held_out_request
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.canvas.viewer_bridge import images_in_memory
from napari_hemacells.widgets.finetune.class_folders import make_folder_job
from napari_hemacells.widgets.finetune.estimate import FineTunePreparation, make_train_job
from napari_hemacells.widgets.finetune.model_choice import ClassifierChoice
from napari_hemacells.widgets.finetune.opened_results import ResultsPage
from napari_hemacells.widgets.finetune.steps import (
    Comparison,
    FinishedTraining,
    classifier_training_steps,
    compare_model_steps,
    held_out_agreement,
    outcome_html,
    read_training_steps,
    resumed_training_steps,
)
from napari_hemacells.widgets.navigation import Navigator
from napari_hemacells.widgets.training.steps import (
    RemainingTime,
    available_cores,
    embed_annotated_steps,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qtpy.QtWidgets import QWidget

    from napari_hemacells.core.store import Project
    from napari_hemacells.core.train.classifier import ClassifierConfig
    from napari_hemacells.core.train.classifier.training import TrainJob
    from napari_hemacells.core.types import Progress, SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.background.tasks import BackgroundTasks
    from napari_hemacells.widgets.canvas.cell_layer_controller import CellLayerController
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
    from napari_hemacells.widgets.finetune.panel import FineTunePanel
    from napari_hemacells.widgets.finetune.steps import FineTuneResult, NewModelPrediction
    from napari_hemacells.widgets.gallery.widget import GalleryWidget
    from napari_hemacells.widgets.message_bar import Notifier
    from napari_hemacells.widgets.training.steps import Embed


class FineTuneRunner(QObject):
    """The behaviour of the fine-tuning page.

    Parameters
    ----------
    opened
        The images that are in memory, by key.
    embed
        Returns steps that embed cells for the classifier in use.

    Signals
    -------
    said, warning_emitted
        A sentence for the message bar.
    cell_requested
        A cell of any image of the project, to be shown.
    review_requested
        Cells to review by key: a tuple of references.
    """

    said = Signal(str)
    warning_emitted = Signal(str)
    cell_requested = Signal(object)
    review_requested = Signal(object)

    def __init__(
        self,
        session: Session,
        panel: FineTunePanel,
        opened: Callable[[], dict[str, SmearImage]],
        embed: Embed,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._panel, self._embed = session, panel, embed
        self.jobs = JobRunner(self)
        self.preparation = FineTunePreparation(session, panel, opened, self)
        self.choice = ClassifierChoice(session, panel, self)
        self.page = ResultsPage(session, panel, self)
        self._run: SubprocessJob[TrainJob, Any] | None = None
        self._project: Project | None = None
        self._folder: Path | None = None  # of the training that runs, or waits for an answer
        self._trained: FineTuneResult | None = None
        self.result: FinishedTraining | None = None  # what the page shows
        self._comparison = Comparison()
        self._remaining = RemainingTime()
        self._connect()

    def close(self) -> None:
        """Stop a running training; late answers are ignored."""
        self.preparation.close()
        self.choice.close()
        self.page.close()
        if self._run is not None:
            self._run.cancel()
            self._run = None
        self.jobs.close()

    def _connect(self) -> None:
        panel = self._panel
        for signal, slot in (
            (panel.start_requested, self.start),
            (panel.resume_requested, self.resume),
            (panel.cancel_requested, self.cancel),
            (panel.take_over_requested, self.take_over),
            (panel.drop_requested, self.drop),
            (panel.changes_requested, self.show_changes),
            (panel.result.cell_requested, self._go_to),
            (panel.result.review_requested, self._review),
            (self.jobs.progressed, self._progressed),
            (self.jobs.returned, self._returned),
            (self.jobs.refused, self._refused),
            (self.jobs.failed, self._failed),
        ):
            signal.connect(slot)
        for part in (self.preparation, self.choice, self.page):
            part.said.connect(self.said)
            part.warning_emitted.connect(self.warning_emitted)

    # --- the training ------------------------------------------------------------------------

    def start(self) -> None:
        """Train on the annotated cells of the project, or on class folders, in a child process."""
        ground, recipe = self.preparation.take_snapshot(), self.preparation.recipe()
        if ground is None or recipe is None:
            return
        folders, name = self.preparation.folders.chosen, self._panel.form.name
        if folders is not None:
            self._try(partial(self._start_on, folders.folder, ground.project, recipe, name))
            return
        grouped = plan_split(annotated_cells_of(ground.project, ground.state), recipe).grouped

        def begin() -> None:
            job = make_train_job(ground, recipe, name)
            run = self._child(job, ground.project)
            self.jobs.start(
                "train", partial(classifier_training_steps, ground, job, run, grouped=grouped)
            )

        self._try(begin)

    def _start_on(
        self, source: Path, project: Project, recipe: ClassifierConfig, name: str
    ) -> None:
        """Train on class folders, in a child process."""
        job = make_folder_job(project, self._session.palette, recipe, name, source)
        run = self._child(job, project)
        self.jobs.start("train", partial(resumed_training_steps, run, job))

    def resume(self) -> None:
        """Resume the interrupted training."""
        project = self._session.project
        folder = None if project is None else model_store.interrupted_training(project)
        if project is None or folder is None:
            return

        def begin() -> None:
            job = model_store.load_job(folder, self._session.palette)
            self.jobs.start(
                "train", partial(resumed_training_steps, self._child(job, project), job)
            )

        self._try(begin)

    def _child(self, job: TrainJob, project: Project) -> SubprocessJob[TrainJob, Any]:
        self._remaining = RemainingTime(self.preparation.forecast.seconds())
        self.preparation.forecast.stop()
        self.preparation.idle = False
        self._project, self._folder = project, job.folder
        self._run = SubprocessJob(fine_tune_steps, job, threads=available_cores())
        self._panel.result.hide()
        self._panel.show_started()
        return self._run

    def cancel(self) -> None:
        """Stop the training, without waiting for the end of the process."""
        run, self._run = self._run, None
        if run is not None:
            threading.Thread(target=run.cancel).start()
        self.jobs.cancel("train")
        self._idle("Stopped. The classifier has not changed.")

    def _progressed(self, _kind: str, progress: Progress) -> None:
        if isinstance(progress, TrainingReport):
            self._panel.show_report(progress, self._remaining.after(progress))
        else:
            self._panel.show_progress(progress.done, progress.total, progress.message)

    # --- what came of it ---------------------------------------------------------------------

    def _returned(self, kind: str, result: Any) -> None:
        take: dict[str, Callable[[Any], None]] = {
            "train": self._ended, "read": self._read,
            "recall": self._recalled, "compare": self._compared,
        }  # fmt: skip
        take[kind](result)

    def _ended(self, trained: FineTuneResult) -> None:
        self._trained, self._run = trained, None
        self._panel.show_comparing()
        self.jobs.start("read", partial(read_training_steps, trained.outcome.folder))

    def _read(self, opened: FinishedTraining) -> None:
        """Show the results; a new model is then compared with the one in use."""
        self.result, session = opened, self._session
        self.page.show(opened.pages)
        ground = self.preparation.take_snapshot()
        if self._trained is not None and ground is not None:
            here = None if session.image is None else session.image.key
            self.jobs.start("recall", partial(embed_annotated_steps, ground, here, self._embed))

    def _recalled(self, _nothing: None) -> None:
        session, opened = self._session, self.result
        if opened is None or self._project is None:
            return
        session.recall(again=True)
        asked = held_out_request(session, opened.taught)
        inputs = (self._project, session.image, session.cells)
        self.jobs.start("compare", partial(compare_model_steps, opened, *inputs, asked=asked))

    def _compared(self, looked: NewModelPrediction) -> None:
        session, trained, result = self._session, self._trained, self.result
        if trained is None or result is None:
            return
        here = session.image is not None and session.image.key == looked.image_key
        after = looked.prediction if here else None
        self._comparison = Comparison(
            looked.image_key,
            0 if after is None else len(after.ids),
            () if after is None else changes_between(session.prediction, after, session.annotated),
            held_out_agreement(result, looked),
        )
        names = {cell_class.id: cell_class.name for cell_class in session.palette}
        words = outcome_html(self._comparison, names, trained.left_out)
        self._panel.show_outcome(words, changed=len(self._comparison.changes))
        self.said.emit(
            "The training has finished. Check the results, then use or discard the new model."
        )

    def show_changes(self) -> None:
        """Show the cells that would change in the gallery, highest confidence first."""
        comparison = self._comparison
        self.review_requested.emit(
            tuple(CellRef(comparison.image_key, change.cell) for change in comparison.changes)
        )

    def take_over(self) -> None:
        """Use the new model in this project from now on."""
        folder, result = self._folder, self.result
        if folder is None or result is None or self._trained is None:
            return
        if self._project is not self._session.project:
            self._idle("Another project is open now. Open the project of the new model to use it.")
        elif self._try(partial(self.choice.adopt, result, folder)):
            self._idle(
                "The new model is in use. You can choose the previous one again in "
                "the list In use."
            )

    def drop(self) -> None:
        """Remove the new model."""
        if self._folder is not None and self._trained is not None:
            model_store.delete_training(self._folder)
        self.result = None
        self._panel.result.hide()
        self._idle("Discarded. The classifier has not changed.")

    def _idle(self, words: str) -> None:
        """Clear the state: nothing runs, and no result is pending."""
        self._trained, self._folder, self._comparison = None, None, Comparison()
        self.preparation.idle = True
        self._panel.show_idle(words)
        self.preparation.refresh()
        self.choice.refresh()

    # --- the result --------------------------------------------------------------------------

    def _go_to(self, name: str) -> None:
        for ref in _cells((name,)):
            self.cell_requested.emit(ref)

    def _review(self, names: tuple[str, ...]) -> None:
        self.review_requested.emit(_cells(names))

    # --- what went wrong ---------------------------------------------------------------------

    def _refused(self, kind: str, error: HemaCellsError) -> None:
        self.warning_emitted.emit(str(error))
        if kind != "read" or self._trained is not None:
            self._idle(str(error))

    def _failed(self, _kind: str, error: Exception) -> None:
        words = f"The fine-tuning failed unexpectedly ({error}). Your annotations are safe."
        self.warning_emitted.emit(words)
        self._idle(words)

    def _try(self, change: Callable[[], object]) -> bool:
        try:
            change()
        except HemaCellsError as error:
            self.warning_emitted.emit(str(error))
            return False
        return True


def _cells(names: tuple[str, ...]) -> tuple[CellRef, ...]:
    return tuple(ref for ref in map(parse_cell_name, names) if ref is not None)


_LAID_OUT_MS = 60


class FineTuneView(Protocol):
    """The controller's interface to the dock: its panel, the gallery, and the page."""

    finetune: FineTunePanel
    gallery: GalleryWidget | None

    def show_finetuning(self, *, opened: bool) -> None:
        """Open or leave the page."""

    def scroll_finetuning_to(self, part: QWidget) -> None:
        """Scroll a part of the page to the top."""


class FineTuneController(QObject):
    """Connects the page *Fine-tune the classifier* to the rest of the dock.

    ``run`` and ``going`` outlive the dock until their ``close`` is called, and hold no reference
    to it.
    """

    def __init__(
        self,
        view: FineTuneView,
        session: Session,
        bridge: ViewerBridge,
        *,
        canvas: CellLayerController,
        tasks: BackgroundTasks,
        voice: Notifier,
    ) -> None:
        super().__init__()
        self._view, self._session, self._tasks, self._voice = view, session, tasks, voice
        self._bridge = bridge
        opened = partial(images_in_memory, session, bridge)
        self.run = FineTuneRunner(session, view.finetune, opened, tasks.embedding)
        self.navigator = Navigator(session, bridge, canvas)
        view.finetune.back_requested.connect(self.leave)
        self._part: QWidget | None = None
        self._soon = QTimer(self)  # when the page has been laid out
        self._soon.setSingleShot(True)
        self._soon.setInterval(_LAID_OUT_MS)
        self._soon.timeout.connect(self._scroll)
        view.finetune.scroll_requested.connect(self._scroll_soon)
        self.run.cell_requested.connect(self.navigator.go_to)
        self.run.review_requested.connect(self.navigator.review)
        self.run.choice.changed.connect(self._embed)
        self.navigator.proposed.connect(self._propose)
        self.run.said.connect(voice.say)
        for part in (self.run, self.navigator):
            part.warning_emitted.connect(voice.warn)

    def open(self) -> None:
        """Show the page."""
        self._view.show_finetuning(opened=True)

    def leave(self) -> None:
        """Show *Classify* again; a running training continues."""
        self._view.show_finetuning(opened=False)

    def _scroll_soon(self, part: QWidget) -> None:
        self._part = part
        self._soon.start()

    def _scroll(self) -> None:
        if self._part is not None:
            self._view.scroll_finetuning_to(self._part)

    def _propose(self, cells: list[int], elsewhere: int) -> None:
        """Show cells of the open image in the gallery, to be reviewed by key."""
        gallery = self._view.gallery
        if gallery is None:
            return
        self._bridge.raise_dock(gallery)
        gallery.propose(cells)
        others = f"; {elsewhere:,} more are in other images" if elsewhere else ""
        self._voice.say(f"{len(cells):,} in the gallery{others}. Press 1 to 9 to give a class.")

    def _embed(self) -> None:
        """Request embeddings of another network; classes follow."""
        if self._session.embeddings is None:
            self._tasks.embed()
        else:
            self._tasks.classify()
