"""Session ↔ fine-tuning of a classifier: the training, and what is done with what came of it."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QUrl, Signal
from qtpy.QtGui import QDesktopServices

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.train import ChildRun, TrainingReport
from napari_hemacells.core.train.classifier import kept
from napari_hemacells.core.train.classifier.gather import cell_of, lessons_of
from napari_hemacells.core.train.classifier.planned import plan_split
from napari_hemacells.core.train.classifier.tune import fine_tune_steps
from napari_hemacells.core.types import CellRef
from napari_hemacells.session.finetuning import changes_between, held_out
from napari_hemacells.widgets.finetune_choice import ClassifierChoice
from napari_hemacells.widgets.finetune_forecast import cores, job_for
from napari_hemacells.widgets.finetune_ready import Readiness
from napari_hemacells.widgets.finetune_steps import (
    held_out_agreement,
    looking_steps,
    opening_steps,
    recalling_steps,
    resuming_steps,
    training_steps,
)
from napari_hemacells.widgets.finetune_words import Comparison, Remaining, outcome_html
from napari_hemacells.widgets.workers import Jobs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_hemacells.core.store import Project
    from napari_hemacells.core.train.classifier.run import TrainJob
    from napari_hemacells.core.types import Progress, SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.finetune_panel import FineTunePanel
    from napari_hemacells.widgets.finetune_steps import Embed, Looked, Opened, Trained


class FineTuneRun(QObject):
    """The behaviour of the fine-tuning page.

    Parameters
    ----------
    opened
        The images that are in memory, by key.
    embed
        Makes what embeds cells as the classifier in use needs them.

    Signals
    -------
    said, warned
        A sentence for the message line.
    cell_wanted
        A cell of some image of the project, to be gone to.
    review_wanted
        Cells to be gone through by key: a tuple of references.
    """

    said = Signal(str)
    warned = Signal(str)
    cell_wanted = Signal(object)
    review_wanted = Signal(object)

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
        self.jobs = Jobs(self)
        self.ready = Readiness(session, panel, opened, self)
        self.choice = ClassifierChoice(session, panel, self)
        self._run: ChildRun[TrainJob, Any] | None = None
        self._project: Project | None = None
        self._folder: Path | None = None  # of the training that runs, or waits for an answer
        self._trained: Trained | None = None
        self.result: Opened | None = None  # what the page shows
        self._comparison = Comparison()
        self._remaining = Remaining()
        self._connect()

    def close(self) -> None:
        """End the training, if one runs; late answers are not heard."""
        self.ready.close()
        self.choice.close()
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
            (panel.result_requested, self.show_result),
            (panel.result.cell_requested, self._go_to),
            (panel.result.review_requested, self._review),
            (panel.result.report_requested, self._open_report),
            (self.jobs.progressed, self._progressed),
            (self.jobs.returned, self._returned),
            (self.jobs.refused, self._refused),
            (self.jobs.failed, self._failed),
        ):
            signal.connect(slot)
        for part in (self.ready, self.choice):
            part.said.connect(self.said)
            part.warned.connect(self.warned)

    # --- the training ------------------------------------------------------------------------

    def start(self) -> None:
        """Learn from the annotated cells of the open project, in a child process."""
        ground, recipe = self.ready.ground(), self.ready.recipe()
        if ground is None or recipe is None:
            return
        grouped = plan_split(lessons_of(ground.project, ground.state), recipe).grouped

        def begin() -> None:
            job = job_for(ground, recipe, self._panel.form.name)
            run = self._child(job, ground.project)
            self.jobs.start("train", partial(training_steps, ground, job, run, grouped=grouped))

        self._try(begin)

    def resume(self) -> None:
        """Go on with the training that was interrupted."""
        project = self._session.project
        folder = None if project is None else kept.interrupted(project)
        if project is None or folder is None:
            return

        def begin() -> None:
            job = kept.job_of(folder, self._session.palette)
            self.jobs.start("train", partial(resuming_steps, self._child(job, project), job))

        self._try(begin)

    def _child(self, job: TrainJob, project: Project) -> ChildRun[TrainJob, Any]:
        self._remaining = Remaining(self.ready.forecast.seconds())
        self.ready.forecast.stop()
        self.ready.idle = False
        self._project, self._folder = project, job.folder
        self._run = ChildRun(fine_tune_steps, job, threads=cores())
        self._panel.result.hide()
        self._panel.show_started()
        return self._run

    def cancel(self) -> None:
        """Stop the training; the dock does not wait until the process is gone."""
        run, self._run = self._run, None
        if run is not None:
            threading.Thread(target=run.cancel).start()
        self.jobs.cancel("train")
        self._idle("Stopped. The classifier is as it was.")

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

    def _ended(self, trained: Trained) -> None:
        self._trained, self._run = trained, None
        self._panel.show_comparing()
        self.jobs.start("read", partial(opening_steps, trained.outcome.folder))

    def _read(self, opened: Opened) -> None:
        """Show what was found; a new model is compared then."""
        self.result, session = opened, self._session
        self._panel.result.show_findings(opened.findings, report=opened.report is not None)
        self._panel.result.show()
        ground = self.ready.ground()
        if self._trained is not None and ground is not None:
            here = None if session.image is None else session.image.key
            self.jobs.start("recall", partial(recalling_steps, ground, here, self._embed))

    def _recalled(self, _nothing: None) -> None:
        session, opened = self._session, self.result
        if opened is None or self._project is None:
            return
        session.recall(again=True)
        asked = held_out(session, opened.taught)
        place = (self._project, session.image, session.cells)
        self.jobs.start("compare", partial(looking_steps, opened, *place, asked=asked))

    def _compared(self, looked: Looked) -> None:
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
        names = {one.id: one.name for one in session.palette}
        words = outcome_html(self._comparison, names, trained.left_out)
        self._panel.show_outcome(words, changed=len(self._comparison.changes))
        self.said.emit("The network has learned. Look at the figures, then take it over or not.")

    def show_changes(self) -> None:
        """Show the cells that would change in the gallery, the surest first."""
        found = self._comparison
        self.review_wanted.emit(tuple(CellRef(found.image_key, one.cell) for one in found.changes))

    def take_over(self) -> None:
        """Classify with the new model from now on, in this project."""
        folder, result = self._folder, self.result
        if folder is None or result is None or self._trained is None:
            return
        if self._project is not self._session.project:
            self._idle("Another project is open now; the model waits in its own.")
        elif self._try(partial(self.choice.adopt, result, folder)):
            self._idle("The new model classifies. The former one can be chosen again above.")

    def drop(self) -> None:
        """Remove the new model."""
        if self._folder is not None and self._trained is not None:
            kept.forget(self._folder)
        self.result = None
        self._panel.result.hide()
        self._idle("Dropped. The classifier is as it was.")

    def _idle(self, words: str) -> None:
        """Nothing runs and nothing waits for an answer any more."""
        self._trained, self._folder, self._comparison = None, None, Comparison()
        self.ready.idle = True
        self._panel.show_idle(words)
        self.ready.refresh()
        self.choice.refresh()

    # --- the result --------------------------------------------------------------------------

    def show_result(self) -> None:
        """Show what the training of the model in use found."""
        project = self._session.project
        if project is not None and project.classifier is not None:
            self.jobs.start("read", partial(opening_steps, project.classifier))

    def _go_to(self, name: str) -> None:
        for ref in _cells((name,)):
            self.cell_wanted.emit(ref)

    def _review(self, names: tuple[str, ...]) -> None:
        self.review_wanted.emit(_cells(names))

    def _open_report(self) -> None:
        if self.result is not None and self.result.report is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.result.report)))

    # --- what went wrong ---------------------------------------------------------------------

    def _refused(self, kind: str, error: HemaCellsError) -> None:
        self.warned.emit(str(error))
        if kind != "read" or self._trained is not None:
            self._idle(str(error))

    def _failed(self, _kind: str, error: Exception) -> None:
        words = f"It failed unexpectedly ({error}). Your annotations are untouched."
        self.warned.emit(words)
        self._idle(words)

    def _try(self, change: Callable[[], object]) -> bool:
        try:
            change()
        except HemaCellsError as error:
            self.warned.emit(str(error))
            return False
        return True


def _cells(names: tuple[str, ...]) -> tuple[CellRef, ...]:
    return tuple(ref for ref in map(cell_of, names) if ref is not None)
