"""A training run in a child process and its section of the dock."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

from qtpy.QtCore import QObject, Signal

from napari_hemacells.core.train import TrainingReport
from napari_hemacells.widgets.background.workers import JobRunner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_hemacells.core.errors import HemaCellsError
    from napari_hemacells.core.train import SubprocessJob
    from napari_hemacells.core.types import Progress
    from napari_hemacells.widgets.background.workers import JobSteps
    from napari_hemacells.widgets.message_bar import Notifier
    from napari_hemacells.widgets.training.section import TrainingSection


def other_training_reason(trainings: Mapping[str, HasTrainingJob]) -> str:
    """Return why a training must wait for another one; empty while none of these runs.

    Parameters
    ----------
    trainings
        The others, by what they train.
    """
    for name, training in trainings.items():
        if training.jobs.running("train"):
            return f"The {name} is being trained: wait until it has finished, or cancel it."
    return ""


class HasTrainingJob(Protocol):
    """A training with its job."""

    @property
    def jobs(self) -> JobRunner:
        """Where it runs."""
        ...


class TrainingRunner(QObject):
    """Starts, stops and listens to a training; :meth:`ended` handles its result.

    Signals
    -------
    said, warning_emitted
        A sentence for the message bar.
    """

    said = Signal(str)
    warning_emitted = Signal(str)
    stopped_message = "Stopped. Nothing has changed."

    def __init__(self, panel: TrainingSection, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._section = panel
        self.jobs: JobRunner = JobRunner(self)
        self._run: SubprocessJob[Any, Any] | None = None
        panel.cancel_requested.connect(self.cancel)
        self.jobs.progressed.connect(self._progressed)
        self.jobs.returned.connect(self._returned)
        self.jobs.refused.connect(self._refused)
        self.jobs.failed.connect(self._failed)

    def join_dock(self, voice: Notifier, trainings: Mapping[str, HasTrainingJob]) -> None:
        """Speak through the dock's message bar, and look again when another training stops."""
        self.said.connect(voice.say)
        self.warning_emitted.connect(voice.warn)
        for training in trainings.values():
            training.jobs.stopped.connect(self.refresh)

    @property
    def running(self) -> bool:
        """Whether a training is running."""
        return self.jobs.running("train")

    def close(self) -> None:
        """Stop a running training; late answers are ignored."""
        if self._run is not None:
            self._run.cancel()
            self._run = None
        self.jobs.close()

    def begin(self, run: SubprocessJob[Any, Any], steps: JobSteps) -> None:
        """Run the steps, which listen to this child process."""
        self._run = run
        self._section.show_started()
        self.jobs.start("train", steps)

    def cancel(self) -> None:
        """Stop the training, without waiting for the end of the process."""
        run, self._run = self._run, None
        if run is not None:
            threading.Thread(target=run.cancel).start()
        self.jobs.cancel("train")
        self._section.show_idle(self.stopped_message)
        self.refresh()

    # --- for those who know what is trained --------------------------------------------------

    def refresh(self, _what: object = None) -> None:
        """Show the training set."""

    def handle_result(self, result: Any) -> None:
        """Handle the result of the training."""

    def left(self, report: TrainingReport) -> TrainingReport:
        """The report with the time left, if known."""
        return report

    # --- what came back ----------------------------------------------------------------------

    def _progressed(self, _kind: str, progress: Progress) -> None:
        if isinstance(progress, TrainingReport):
            self._section.show_report(self.left(progress))
        else:
            self._section.show_progress(progress.done, progress.total, progress.message)

    def _returned(self, _kind: str, result: Any) -> None:
        self._run = None
        self.handle_result(result)

    def _refused(self, _kind: str, error: HemaCellsError) -> None:
        self._section.show_idle()
        self.warning_emitted.emit(str(error))
        self.refresh()

    def _failed(self, _kind: str, error: Exception) -> None:
        self._section.show_idle()
        self.warning_emitted.emit(
            f"The training failed unexpectedly ({error}). Your annotations are safe."
        )
        self.refresh()
