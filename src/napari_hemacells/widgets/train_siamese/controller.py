"""Learning which cells are alike, in the dock: training run, result, and the likeness in use."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QFileDialog

from napari_hemacells.core.encode.siamese_header import read_siamese_header
from napari_hemacells.core.encoder_names import DEFAULT
from napari_hemacells.core.errors import EncoderError, HemaCellsError
from napari_hemacells.core.files.fsio import discard
from napari_hemacells.core.train import SubprocessJob
from napari_hemacells.core.train.jobs import train_siamese
from napari_hemacells.core.train.siamese import likeness_store
from napari_hemacells.core.train.siamese.config import check_installed
from napari_hemacells.core.types import Progress
from napari_hemacells.widgets.canvas.viewer_bridge import images_in_memory
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.train_siamese.panel import LikenessSource
from napari_hemacells.widgets.training.runner import TrainingRunner, other_training_reason
from napari_hemacells.widgets.training.steps import (
    ProjectSnapshot,
    available_cores,
    freeze_state,
    throttle_reports,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from napari_hemacells.core.params import SiameseParams
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.train.siamese.config import SiameseJob, SiameseOutcome
    from napari_hemacells.core.types import SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.background.tasks import BackgroundTasks
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
    from napari_hemacells.widgets.message_bar import Notifier
    from napari_hemacells.widgets.train_siamese.panel import TrainSiamesePanel
    from napari_hemacells.widgets.training.runner import HasTrainingJob

SIAMESE_PREFIX = "siamese:"
_PAUSE_MS = 300
_NOTHING = "Open an image and detect its cells first."
_TOO_FEW = (
    "Annotate two cells or more of each of two kinds, or train on class folders. Four kinds are "
    "better: then the threshold is that of new kinds."
)
_OWN = (
    "A loaded model brings its own encoder. Choose your annotations under Fine-tune…, In use, or "
    "open the project again without the model."
)


def siamese_training_steps(
    ground: ProjectSnapshot,
    folder: Path | None,
    job: SiameseJob,
    run: SubprocessJob[SiameseJob, SiameseOutcome],
) -> Generator[Progress, None, SiameseOutcome]:
    """Yield preparations and reports; return the result. Nothing is kept after an error.

    Parameters
    ----------
    folder
        The class folders to train on; ``None`` for the annotated cells.
    """
    from napari_hemacells.core.train.siamese import dataset

    done = False
    try:
        yield Progress(0, 0, "Reading cells")
        if folder is None:
            cells = yield from dataset.load_project_cells_steps(
                ground.project, ground.state, opened=ground.opened
            )
        else:
            cells = yield from dataset.load_folder_cells_steps(folder)
        dataset.check_enough(cells)
        dataset.write_cells(job.folder, cells)
        outcome: SiameseOutcome = yield from throttle_reports(run.reports())
        dataset.remove_training(job.folder)
        done = True
        return outcome
    finally:
        if not done:
            discard(job.out)


class TrainSiameseRunner(TrainingRunner):
    """The behaviour of the section *Same kind or not*.

    Parameters
    ----------
    opened
        The images that are in memory, by key.
    others
        Returns why it must wait while another training runs; otherwise an empty string.

    Signals
    -------
    encoder_requested
        The name of the encoder to use from now on.
    likeness_changed
        Another likeness is in use.
    """

    encoder_requested = Signal(str)
    likeness_changed = Signal()

    def __init__(
        self,
        session: Session,
        panel: TrainSiamesePanel,
        opened: Callable[[], dict[str, SmearImage]],
        others: Callable[[], str],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(panel, parent)
        self._session, self._panel = session, panel
        self._opened, self._others = opened, others
        self._folder: Path | None = None
        self._job: SiameseJob | None = None
        self._waiting: tuple[Project, SiameseOutcome] | None = None
        self._project: Project | None = None
        panel.start_requested.connect(self.start)
        panel.use_requested.connect(self.use)
        panel.drop_requested.connect(self.drop)
        panel.back_requested.connect(self.use_annotations)
        panel.load_requested.connect(self.ask_for_trained)
        panel.folders_requested.connect(self.ask_for_class_folders)
        panel.refused.connect(self.warning_emitted)
        panel.opened.connect(self.refresh)
        panel.seen.connect(self.refresh)
        self._soon = QTimer(self)  # when the hand rests: a click is coloured first
        self._soon.setSingleShot(True)
        self._soon.setInterval(_PAUSE_MS)
        self._soon.timeout.connect(self.refresh)
        self._subscriptions = Subscriptions(self)
        events = session.events
        self._subscriptions.add(events.project, self._project_changed)
        for event in (events.image, events.cells, events.annotations, events.model,
                      events.settings, events.embeddings):  # fmt: skip
            self._subscriptions.add(event, self._refresh_soon)

    def close(self) -> None:
        """Stop a running training and discard it; late answers are ignored."""
        self._subscriptions.drop()
        self._soon.stop()
        running = self.running
        super().close()
        if running and self._job is not None:
            discard(self._job.out)

    # --- what is asked for -------------------------------------------------------------------

    def refresh(self, _what: object = None) -> None:
        """Show the likeness in use and what one would be trained on, if that is visible."""
        if not self._panel.isVisible() or not self._panel.title.isChecked():
            return
        self._show_in_use()
        if not self.running and self._waiting is None:
            self._panel.show_source(self._source())

    def start(self, params: SiameseParams) -> None:
        """Train on the annotated cells or the class folders, in a child process."""
        session, source = self._session, self._source()
        if session.project is None or session.history is None or source.reason:
            self._panel.show_source(source)
            return
        ground = ProjectSnapshot(
            session.project, freeze_state(session.history.state), self._opened()
        )
        try:
            check_installed(params)
            job = likeness_store.new_job(session.project, self._base(), params)
        except HemaCellsError as error:
            self.warning_emitted.emit(str(error))
            return
        self._job, self._project = job, session.project
        run = SubprocessJob(train_siamese, job, threads=available_cores())
        self.begin(run, partial(siamese_training_steps, ground, self._folder, job, run))

    def use(self) -> None:
        """Use what was trained in its project from now on."""
        if self._waiting is None:
            return
        project, outcome = self._waiting
        if project is not self._session.project:
            self._idle("Another project is open now. Open the project of the training to use it.")
            return
        if self._choose(outcome.likeness.parent):
            self._idle("")

    def drop(self) -> None:
        """Remove what was trained."""
        if self._waiting is not None:
            discard(self._waiting[1].likeness.parent)
        self._idle("Discarded. Nothing has changed.")

    def use_annotations(self) -> None:
        """Learn the distance from the annotations again, and use the encoder from before."""
        project = self._session.project
        if project is None:
            return
        try:
            project.choose_likeness(None)
        except HemaCellsError as error:
            self.warning_emitted.emit(str(error))
            return
        if self._session.live.encoder.startswith(SIAMESE_PREFIX):
            self.encoder_requested.emit(self._base())
        self.likeness_changed.emit()
        self.refresh()

    def ask_for_trained(self) -> None:
        """Ask for a folder that ``hemacells train siamese`` wrote, and use it."""
        chosen = QFileDialog.getExistingDirectory(
            self._panel, "A folder that hemacells train siamese wrote"
        )
        if chosen:
            self.use_trained(Path(chosen))

    def use_trained(self, folder: Path) -> None:
        """Use a likeness from a folder; it is copied into the project."""
        project = self._session.project
        if project is None:
            self.warning_emitted.emit(_NOTHING)
            return
        try:
            own = likeness_store.keep_likeness(project, folder)
        except HemaCellsError as error:
            self.warning_emitted.emit(str(error))
            return
        self._choose(own)

    def ask_for_class_folders(self) -> None:
        """Ask for class folders; where some are chosen already, the annotated cells train."""
        if self._folder is not None:
            self._folder = None
        else:
            chosen = QFileDialog.getExistingDirectory(
                self._panel, "A folder with one folder of crops for each class"
            )
            self._folder = Path(chosen) if chosen else None
        self.refresh()

    # --- what came back ----------------------------------------------------------------------

    def handle_result(self, result: SiameseOutcome) -> None:
        """Show the result and ask what to do with it."""
        if self._project is not None:
            self._waiting = (self._project, result)
            self._panel.show_trained(result)
            self.said.emit(
                "The training has finished. Check the result under Classify, then use or "
                "discard it."
            )

    def _project_changed(self) -> None:
        project = self._session.project
        self._folder = None
        if not self.running and project is not None:
            likeness_store.remove_unfinished(project)
            if self._waiting is not None and self._waiting[0] is not project:
                self._idle("")
        self._refresh_soon()

    # --- inside ------------------------------------------------------------------------------

    def _choose(self, folder: Path) -> bool:
        """Use a likeness of the project, with its network; return whether that was possible."""
        session, here = self._session, self._session.embeddings
        try:
            saved = likeness_store.read_likeness(folder)
            fits = here is not None and likeness_store.likeness_for(saved, here.encoder)
            if saved.weights is not None and not fits and session.live.model is not None:
                self.warning_emitted.emit(_OWN)
                return False
            if session.project is not None:
                session.project.choose_likeness(folder)
        except HemaCellsError as error:
            self.warning_emitted.emit(str(error))
            return False
        if saved.weights is not None and not fits:
            self.encoder_requested.emit(f"{SIAMESE_PREFIX}{saved.weights}")
        self.said.emit(f"In use in this project: learned from {saved.likeness.learned_from}")
        self.likeness_changed.emit()
        self.refresh()
        return True

    def _show_in_use(self) -> None:
        project, here = self._session.project, self._session.embeddings
        folder = None if project is None else project.likeness
        if folder is None:
            self._panel.show_in_use("")
            return
        try:
            saved = likeness_store.read_likeness(folder)
            other = here is not None and likeness_store.likeness_for(saved, here.encoder) is None
        except HemaCellsError:
            self._panel.show_in_use("", "The chosen one is missing or damaged: choose it again. ")
            return
        warning = (
            "Not used now, because it compares the vectors of another encoder than the one in "
            "use. "
        )
        self._panel.show_in_use(saved.likeness.learned_from, warning if other else "")

    def _source(self) -> LikenessSource:
        session = self._session
        if session.project is None or session.history is None:
            return LikenessSource(reason=_NOTHING)
        reason = self._others() or (_OWN if session.live.model is not None else "")
        if self._folder is not None:
            return LikenessSource(folder=self._folder.name, reason=reason)
        counts = self._counts()
        enough = sum(count > 1 for count in counts.values()) > 1
        return LikenessSource(counts, reason=reason or ("" if enough else _TOO_FEW))

    def _counts(self) -> Mapping[str, int]:
        """Return the annotated cells of each class of the project, by its name."""
        session = self._session
        if session.history is None:
            return {}
        counts = Counter(given.class_id for given in session.history.state.labels.values())
        names = {known.id: known.name for known in session.palette}
        return {name: counts[key] for key, name in names.items() if counts[key]}

    def _base(self) -> str:
        """Return the encoder to start from: that in use, or the one under a siamese network."""
        name = self._session.live.encoder
        if not name.startswith(SIAMESE_PREFIX):
            return name
        try:
            return read_siamese_header(Path(name.removeprefix(SIAMESE_PREFIX))).base or DEFAULT
        except EncoderError:
            return DEFAULT

    def _refresh_soon(self, _what: object = None) -> None:
        self._soon.start()

    def _idle(self, message: str) -> None:
        self._waiting = None
        self._panel.show_idle(message)
        self.refresh()


class TrainSiameseController(QObject):
    """The section *Same kind or not* beside the other trainings.

    ``run`` outlives the dock until its ``close`` is called, and holds no reference to the dock.
    """

    def __init__(
        self,
        box: TrainSiamesePanel,
        session: Session,
        bridge: ViewerBridge,
        *,
        tasks: BackgroundTasks,
        trainings: Mapping[str, HasTrainingJob],
        voice: Notifier,
    ) -> None:
        super().__init__()
        self.run = TrainSiameseRunner(
            session,
            box,
            partial(images_in_memory, session, bridge),
            partial(other_training_reason, trainings),
        )
        self.run.encoder_requested.connect(tasks.load_encoder)
        self.run.join_dock(voice, trainings)
