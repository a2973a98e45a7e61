"""Adaptation of the encoder in the dock: preconditions, training run, result and undo."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hemacells.core.encode.adapted import read_header
from napari_hemacells.core.encode.catalog import encoder_choice
from napari_hemacells.core.errors import EncoderError, HemaCellsError
from napari_hemacells.core.params import AdaptParams
from napari_hemacells.core.train import SubprocessJob
from napari_hemacells.core.train.jobs import adapt_encoder
from napari_hemacells.core.train.selfsupervised import encoder_store
from napari_hemacells.core.train.selfsupervised.estimate import (
    adaptation_unavailable_reason,
    count_available_cells,
    estimated_seconds,
)
from napari_hemacells.core.train.selfsupervised.evaluator import evaluable_clicks
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets.adapt_encoder.panel import AdaptationSummary
from napari_hemacells.widgets.canvas.viewer_bridge import images_in_memory
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.training.runner import TrainingRunner, other_training_reason
from napari_hemacells.widgets.training.steps import (
    ProjectSnapshot,
    RemainingTime,
    available_cores,
    freeze_state,
    throttle_reports,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from napari_hemacells.core.store import Project
    from napari_hemacells.core.train import TrainingReport
    from napari_hemacells.core.train.selfsupervised.config import AdaptJob, AdaptOutcome
    from napari_hemacells.core.types import SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.adapt_encoder.panel import AdaptEncoderPanel
    from napari_hemacells.widgets.background.tasks import BackgroundTasks
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
    from napari_hemacells.widgets.message_bar import Notifier
    from napari_hemacells.widgets.training.runner import HasTrainingJob


def adaptation_steps(
    ground: ProjectSnapshot, job: AdaptJob, run: SubprocessJob[AdaptJob, AdaptOutcome]
) -> Generator[Progress, None, AdaptOutcome]:
    """Yield preparations and reports; return the result.

    Only an encoder that is better or equal is kept in the project, even after an error.
    """
    from napari_hemacells.core.train.selfsupervised.dataset import remove_folder

    keep = False
    try:
        yield from _write_crops(ground, job)
        outcome: AdaptOutcome = yield from throttle_reports(run.reports())
        if outcome.kept:
            encoder_store.save_outcome(job, outcome)
            remove_folder(job.folder)
        keep = outcome.kept
        return outcome
    finally:
        if not keep:
            encoder_store.remove_adaptation(job.out)


def _write_crops(ground: ProjectSnapshot, job: AdaptJob) -> Generator[Progress, None, None]:
    """Write the crops where the child process reads them; this process does not keep them."""
    from napari_hemacells.core.train.selfsupervised.dataset import write_training_set
    from napari_hemacells.core.train.selfsupervised.project_dataset import load_project_crops_steps

    yield Progress(0, 0, "Reading cells")
    crops = yield from load_project_crops_steps(ground.project, ground.state, opened=ground.opened)
    yield Progress(0, 0, f"{len(crops.crops):,} training cells")
    write_training_set(job.folder, crops)


ADAPTED_PREFIX = "adapted:"
_PAUSE_MS = 300
_NOTHING = "Open an image and detect its cells first."
_OWN = (
    "A loaded model brings its own encoder. Choose your annotations under Fine-tune…, In "
    "use, or open the project again without the model."
)


class AdaptEncoderRunner(TrainingRunner):
    """The behaviour of the section *Adapt to my slides*.

    Parameters
    ----------
    opened
        The images that are in memory, by key.
    others
        Returns why adaptation must wait while another training runs; otherwise an empty string.

    Signals
    -------
    encoder_requested
        The name of the encoder to use from now on.
    """

    encoder_requested = Signal(str)
    stopped_message = "Stopped. The encoder has not changed."

    def __init__(
        self,
        session: Session,
        panel: AdaptEncoderPanel,
        opened: Callable[[], dict[str, SmearImage]],
        others: Callable[[], str],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(panel, parent)
        self._session, self._panel = session, panel
        self._opened, self._others = opened, others
        self.params = AdaptParams()
        self._job: AdaptJob | None = None
        self._project: Project | None = None
        self._waiting: AdaptOutcome | None = None
        self._remaining = RemainingTime()
        for signal, slot in (
            (panel.start_requested, self.start),
            (panel.use_requested, self.use),
            (panel.drop_requested, self.drop),
            (panel.back_requested, self.use_former_encoder),
            (panel.opened, self.refresh),
            (panel.seen, self.refresh),
        ):
            signal.connect(slot)
        self._subscriptions = Subscriptions(self)
        events = session.events
        self._subscriptions.add(events.project, self._project_changed)
        self._subscriptions.add(events.settings, self._settings_changed)
        for event in (events.image, events.cells, events.corrected, events.annotations,
                      events.model):  # fmt: skip
            self._subscriptions.add(event, self._refresh_soon)
        self._soon = QTimer(self)  # when the hand rests: a click is coloured first
        self._soon.setSingleShot(True)
        self._soon.setInterval(_PAUSE_MS)
        self._soon.timeout.connect(self.refresh)

    def close(self) -> None:
        """End a running adaptation and discard it; late answers are ignored."""
        self._subscriptions.drop()
        self._soon.stop()
        running = self.running
        super().close()
        if running and self._job is not None:
            encoder_store.remove_adaptation(self._job.out)

    # --- what is asked for -------------------------------------------------------------------

    def refresh(self, _what: object = None) -> None:
        """Show what the training set would be, if the section is visible."""
        if not self._panel.isVisible():
            return
        self._panel.show_in_use(self._former())
        if not self.running and self._waiting is None:
            self._panel.show_ready(self._ready())

    def start(self) -> None:
        """Adapt the encoder in use to the cells of the open project, in a child process."""
        session, ready = self._session, self._ready()
        if session.project is None or session.history is None or ready.reason:
            self._panel.show_ready(ready)
            return
        ground = ProjectSnapshot(
            session.project, freeze_state(session.history.state), self._opened()
        )
        try:
            job = encoder_store.new_job(session.project, session.live.encoder, self.params)
        except HemaCellsError as error:
            self.warning_emitted.emit(str(error))
            return
        self._job = job
        self._project = session.project
        self._remaining = RemainingTime(ready.seconds)
        run = SubprocessJob(adapt_encoder, job, threads=available_cores())
        self.begin(run, partial(adaptation_steps, ground, job, run))

    def use(self) -> None:
        """Use the adapted encoder in this project from now on."""
        if self._waiting is None:
            return
        if self._project is not self._session.project:
            self._idle(
                "Another project is open now. Open the project of the adapted encoder to use it."
            )
        elif self._session.live.model is not None:
            self.warning_emitted.emit(_OWN)
        else:
            self.encoder_requested.emit(f"{ADAPTED_PREFIX}{self._waiting.file}")

    def drop(self) -> None:
        """Remove the adapted encoder, or the message on one that was not kept."""
        outcome, self._waiting = self._waiting, None
        if outcome is not None and outcome.file is not None:
            encoder_store.remove_adaptation(outcome.file)
            self._idle("Discarded. The encoder has not changed.")
        else:
            self._idle("")

    def use_former_encoder(self) -> None:
        """Go back to the encoder that the adapted one started from."""
        try:
            self.encoder_requested.emit(read_header(_file(self._session.live.encoder)).base)
        except EncoderError as error:
            self.warning_emitted.emit(str(error))

    # --- what came back ----------------------------------------------------------------------

    def left(self, report: TrainingReport) -> TrainingReport:
        """The report with the time left: the reported one, or else the estimate."""
        return replace(report, eta_s=self._remaining.after(report))

    def handle_result(self, result: AdaptOutcome) -> None:
        """Show the result and ask what to do with the adapted encoder."""
        self._waiting = result
        self._panel.show_adapted(result)
        self.said.emit(
            (
                "The encoder is adapted. Check the result under Classify, then use or discard "
                "the encoder."
            )
            if result.kept
            else "The adapted encoder was not kept: it separates your classes worse."
        )

    def _project_changed(self) -> None:
        """Show the pending result of the project that is open now."""
        project = self._session.project
        if self.running or project is None:
            return
        encoder_store.remove_unfinished(project)
        self._project, self._waiting = project, encoder_store.load_pending_outcome(project)
        if self._waiting is None:
            self._idle("")
        else:
            self._panel.title.setChecked(True)
            self._panel.show_adapted(self._waiting)

    def _settings_changed(self) -> None:
        """Close the question once the encoder is in use: until then it can fail."""
        waiting, name = self._waiting, self._session.live.encoder
        if waiting is not None and waiting.kept and _file(name).stem == waiting.sha256:
            encoder_store.clear_pending_outcome(waiting)
            self._waiting = None
            self._idle("The adapted encoder is in use.")
        self.refresh()

    # --- inside ------------------------------------------------------------------------------

    def _refresh_soon(self, _what: object = None) -> None:
        self._soon.start()

    def _idle(self, message: str) -> None:
        self._waiting = None
        self._panel.show_idle(message)
        self.refresh()

    def _ready(self) -> AdaptationSummary:
        session = self._session
        if session.project is None or session.history is None:
            return AdaptationSummary(reason=_NOTHING)
        state = session.history.state
        lessons = count_available_cells(session.project, state)
        model = _OWN if session.live.model is not None else ""
        clicks = len(
            evaluable_clicks([annotation.class_id for annotation in state.labels.values()])
        )
        return AdaptationSummary(
            lessons,
            clicks,
            estimated_seconds(lessons, clicks, self.params, available_cores()),
            available_cores(),
            self._others() or model or adaptation_unavailable_reason(lessons),
        )

    def _former(self) -> str:
        """Return the title of the encoder to go back to; empty if none was adapted."""
        live = self._session.live
        if live.model is not None or not live.encoder.startswith(ADAPTED_PREFIX):
            return ""
        try:
            return encoder_choice(read_header(_file(live.encoder)).base).title
        except EncoderError:
            return ""  # told when cells are to be looked at with it


def _file(name: str) -> Path:
    """Return the file that the name of an adapted encoder refers to."""
    return Path(name.removeprefix(ADAPTED_PREFIX))


class AdaptEncoderController(QObject):
    """The section *Adapt to my slides* beside the other trainings.

    ``run`` outlives the dock until its ``close`` is called, and holds no reference to the dock.
    """

    def __init__(
        self,
        box: AdaptEncoderPanel,
        session: Session,
        bridge: ViewerBridge,
        *,
        tasks: BackgroundTasks,
        trainings: Mapping[str, HasTrainingJob],
        voice: Notifier,
    ) -> None:
        super().__init__()
        self.run = AdaptEncoderRunner(
            session,
            box,
            partial(images_in_memory, session, bridge),
            partial(other_training_reason, trainings),
        )
        self.run.encoder_requested.connect(tasks.load_encoder)
        self.run.join_dock(voice, trainings)
