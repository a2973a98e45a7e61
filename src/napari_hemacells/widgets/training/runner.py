"""A training in a child process, and the section of the dock that shows it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_hemacells.core.train import TrainingReport
from napari_hemacells.widgets.background.workers import JobRunner

if TYPE_CHECKING:
    from napari_hemacells.core.errors import HemaCellsError
    from napari_hemacells.core.train import SubprocessJob
    from napari_hemacells.core.types import Progress
    from napari_hemacells.widgets.background.workers import JobSteps
    from napari_hemacells.widgets.training.section import TrainingSection


class TrainingRunner(QObject):
    """Starts, stops and listens to a training; what came of it goes to :meth:`ended`.

    Signals
    -------
    said, warned
        A sentence for the message line.
    """

    said = Signal(str)
    warning_emitted = Signal(str)
    stopped_message = "Stopped. Nothing has changed."

    def __init__(self, panel: TrainingSection, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._section = panel
        self.jobs = JobRunner(self)
        self._run: SubprocessJob[Any, Any] | None = None
        panel.cancel_requested.connect(self.cancel)
        self.jobs.progressed.connect(self._progressed)
        self.jobs.returned.connect(self._returned)
        self.jobs.refused.connect(self._refused)
        self.jobs.failed.connect(self._failed)

    @property
    def running(self) -> bool:
        """Whether it is being trained."""
        return self.jobs.running("train")

    def close(self) -> None:
        """End the training, if one runs; late answers are not heard."""
        if self._run is not None:
            self._run.cancel()
            self._run = None
        self.jobs.close()

    def begin(self, run: SubprocessJob[Any, Any], steps: JobSteps) -> None:
        """Run the steps, which listen to this child."""
        self._run = run
        self._section.show_started()
        self.jobs.start("train", steps)

    def cancel(self) -> None:
        """Stop the training; the dock does not wait until the process is gone."""
        run, self._run = self._run, None
        if run is not None:
            threading.Thread(target=run.cancel).start()
        self.jobs.cancel("train")
        self._section.show_idle(self.stopped_message)
        self.refresh()

    # --- for those who know what is trained --------------------------------------------------

    def refresh(self, _what: object = None) -> None:
        """Say what there is to learn from."""

    def handle_result(self, result: Any) -> None:
        """Take what came of the training."""

    def left(self, report: TrainingReport) -> TrainingReport:
        """The report with the time left as far as it is known."""
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
            f"The training failed unexpectedly ({error}). Your annotations are untouched."
        )
        self.refresh()
