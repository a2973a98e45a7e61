"""Session ↔ adaptation of the encoder: when it may start, what came of it, and the way back."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer, Signal

from napari_hemacells.core.encode.adapted import read_header
from napari_hemacells.core.encode.choices import choice_of
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.params import AdaptParams
from napari_hemacells.core.train import ChildRun
from napari_hemacells.core.train.selfsupervised import kept
from napari_hemacells.core.train.selfsupervised.job import adapt
from napari_hemacells.core.train.selfsupervised.judge import clicks_that_judge
from napari_hemacells.core.train.selfsupervised.ready import (
    estimated_seconds,
    lessons_of,
    why_not,
)
from napari_hemacells.widgets.adapt_box import Ready
from napari_hemacells.widgets.adapt_steps import adapting_steps
from napari_hemacells.widgets.finetune_forecast import cores
from napari_hemacells.widgets.finetune_steps import Ground
from napari_hemacells.widgets.finetune_words import Remaining
from napari_hemacells.widgets.section_run import SectionRun
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.train_steps import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtCore import QObject

    from napari_hemacells.core.store import Project
    from napari_hemacells.core.train import TrainingReport
    from napari_hemacells.core.train.selfsupervised.job import AdaptJob
    from napari_hemacells.core.train.selfsupervised.outcome import AdaptOutcome
    from napari_hemacells.core.types import SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.adapt_box import AdaptBox

ADAPTED = "adapted:"
_PAUSE_MS = 300
_NOTHING = "Open an image and detect its cells first."
_OWN = (
    "A model classifies, and brings its own network: choose your clicks under Fine-tune…, In use, "
    "or open the project again without it."
)


class AdaptRun(SectionRun):
    """The behaviour of the section *Adapt to my slides*.

    Parameters
    ----------
    opened
        The images that are in memory, by key.
    others
        Says why not now, where another training runs; otherwise nothing.

    Signals
    -------
    encoder_wanted
        The name of the encoder to look at cells with from now on.
    """

    encoder_wanted = Signal(str)
    stopped_words = "Stopped. The encoder is as it was."

    def __init__(
        self,
        session: Session,
        panel: AdaptBox,
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
        self._remaining = Remaining()
        for signal, slot in (
            (panel.start_requested, self.start),
            (panel.use_requested, self.use),
            (panel.drop_requested, self.drop),
            (panel.back_requested, self.go_back),
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
        """End the adaptation, if one runs, and leave nothing of it; late answers are not heard."""
        self._subscriptions.drop()
        self._soon.stop()
        running = self.running
        super().close()
        if running and self._job is not None:
            kept.forget(self._job.out)

    # --- what is asked for -------------------------------------------------------------------

    def refresh(self, _what: object = None) -> None:
        """Say what there is to learn from, where anybody looks."""
        if not self._panel.isVisible():
            return
        self._panel.show_in_use(self._former())
        if not self.running and self._waiting is None:
            self._panel.show_ready(self._ready())

    def start(self) -> None:
        """Let the encoder in use learn from the cells of the open project, in a child process."""
        session, ready = self._session, self._ready()
        if session.project is None or session.history is None or ready.reason:
            self._panel.show_ready(ready)
            return
        ground = Ground(session.project, frozen(session.history.state), self._opened())
        self._job = job = kept.new_job(session.project, session.live.encoder, self.params)
        self._project = session.project
        self._remaining = Remaining(ready.seconds)
        run = ChildRun(adapt, job, threads=cores())
        self.begin(run, partial(adapting_steps, ground, job, run))

    def use(self) -> None:
        """Look at cells with the adapted encoder from now on, in this project."""
        if self._waiting is None:
            return
        if self._project is not self._session.project:
            self._idle("Another project is open now; the encoder waits in its own.")
        elif self._session.live.model is not None:
            self.warned.emit(_OWN)
        else:
            self.encoder_wanted.emit(f"{ADAPTED}{self._waiting.file}")

    def drop(self) -> None:
        """Remove the adapted encoder, or what is said of one that was not kept."""
        outcome, self._waiting = self._waiting, None
        if outcome is not None and outcome.file is not None:
            kept.forget(outcome.file)
            self._idle("Dropped. The encoder is as it was.")
        else:
            self._idle("")

    def go_back(self) -> None:
        """Look at cells with the encoder that the adapted one started from."""
        try:
            self.encoder_wanted.emit(read_header(_file(self._session.live.encoder)).base)
        except EncoderError as error:
            self.warned.emit(str(error))

    # --- what came back ----------------------------------------------------------------------

    def left(self, report: TrainingReport) -> TrainingReport:
        """The report with the time left: as it says, or of the time foretold."""
        return replace(report, eta_s=self._remaining.after(report))

    def ended(self, result: AdaptOutcome) -> None:
        """Show the figures, and ask what to do with the adapted encoder."""
        self._waiting = result
        self._panel.show_adapted(result)
        self.said.emit(
            "The encoder is adapted: see under Classify what came of it, then use or drop it."
            if result.kept
            else "The encoder was not adapted: it would tell your clicks apart worse."
        )

    def _project_changed(self) -> None:
        """Go on with what waits for an answer in the project that is open now."""
        project = self._session.project
        if self.running or project is None:
            return
        kept.sweep(project)
        self._project, self._waiting = project, kept.waiting(project)
        if self._waiting is None:
            self._idle("")
        else:
            self._panel.title.setChecked(True)
            self._panel.show_adapted(self._waiting)

    def _settings_changed(self) -> None:
        """The answer is given when the encoder is in use: until then it can fail."""
        waiting, name = self._waiting, self._session.live.encoder
        if waiting is not None and waiting.kept and _file(name).stem == waiting.sha256:
            kept.answered(waiting)
            self._waiting = None
            self._idle("The adapted encoder is in use.")
        self.refresh()

    # --- inside ------------------------------------------------------------------------------

    def _refresh_soon(self, _what: object = None) -> None:
        self._soon.start()

    def _idle(self, said: str) -> None:
        self._waiting = None
        self._panel.show_idle(said)
        self.refresh()

    def _ready(self) -> Ready:
        session = self._session
        if session.project is None or session.history is None:
            return Ready(reason=_NOTHING)
        state = session.history.state
        lessons = lessons_of(session.project, state)
        model = _OWN if session.live.model is not None else ""
        clicks = len(clicks_that_judge([one.class_id for one in state.labels.values()]))
        return Ready(
            lessons,
            clicks,
            estimated_seconds(lessons, clicks, self.params, cores()),
            cores(),
            self._others() or model or why_not(lessons),
        )

    def _former(self) -> str:
        """Return the title of the encoder to go back to; empty where none was adapted."""
        live = self._session.live
        if live.model is not None or not live.encoder.startswith(ADAPTED):
            return ""
        try:
            return choice_of(read_header(_file(live.encoder)).base).title
        except EncoderError:
            return ""  # told when cells are to be looked at with it


def _file(name: str) -> Path:
    """Return the file that the name of an adapted encoder speaks of."""
    return Path(name.removeprefix(ADAPTED))
