"""Before a training: how long it would take, a good rate, and what augmentation does.

Before fine-tuning: what there is to learn from, how long it takes, a rate, augmentation.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hemacells.core.errors import HemaCellsError, TrainingError
from napari_hemacells.core.train import ChildRun, TrainingReport
from napari_hemacells.core.train.classifier import model_store
from napari_hemacells.core.train.classifier.estimate import (
    MeasuredPace,
    PaceJob,
    augmented_views,
    estimated_seconds,
    pace_steps,
)
from napari_hemacells.core.train.classifier.estimate import (
    rate_steps as find_rate,
)
from napari_hemacells.core.train.classifier.project_dataset import (
    lessons_of,
    plan_split,
    unavailable_reason,
)
from napari_hemacells.core.train.progress import format_duration
from napari_hemacells.core.types import CropSpec, Progress
from napari_hemacells.widgets.background.workers import Jobs
from napari_hemacells.widgets.finetune.augmentation_preview import AugmentView
from napari_hemacells.widgets.finetune.steps import Teaching, rate_steps
from napari_hemacells.widgets.native_libraries import triton_kept_out
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.training.steps import Ground, cores, frozen, seldom

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import numpy as np
    from numpy.typing import NDArray

    from napari_hemacells.core.train.classifier import Recipe
    from napari_hemacells.core.train.classifier.training import TrainJob
    from napari_hemacells.core.types import Cells, SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.finetune.panel import FineTunePanel

PAUSE_MS = 400  # changes in the form that come faster than that are timed once
LARGER = 224  # pixels of the crops for networks of others; a training takes what it needs of them
SAMPLES, VIEWS, SIDE = 4, 5, 96  # crops shown, views of each, pixels


class Forecast(QObject):
    """Short jobs that prepare a training.

    Signals
    -------
    known
        How long the training would take, in words.
    rate_found
        A good learning rate.
    augmented
        Views of some crops, ``(n, m, size, size, 3)``.
    progressed, warned
        What the rate finder does; why something could not be had.
    """

    known = Signal(str)
    rate_found = Signal(float)
    augmented = Signal(object)
    progressed = Signal(int, int, str)
    warned = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.jobs = Jobs(self)
        self._paces: dict[tuple[Any, ...], MeasuredPace] = {}
        self._asked: tuple[Recipe, int, int] | None = None
        self._runs: dict[str, ChildRun[Any, Any]] = {}
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
        """End what runs; late answers are not heard, and nothing is begun any more."""
        self._closed = True
        for run in self._runs.values():
            run.cancel()
        self.jobs.close()

    def stop(self) -> None:
        """End what runs: a training needs the cores."""
        if self._closed:
            return
        self._soon.stop()
        for one in tuple(self._runs):
            self._end(one)
        for kind in ("pace", "rate"):
            self.jobs.cancel(kind)

    # --- how long ----------------------------------------------------------------------------

    def ask(self, recipe: Recipe, cells: int, classes: int) -> None:
        """Say how long this takes, soon: from what was timed, or after timing a few steps."""
        if self._closed:
            return
        self._asked = (recipe, cells, classes)
        if self._tell():
            self._soon.stop()
        else:
            self.known.emit("Timing a few steps to say how long it takes …")
            self._soon.start()

    def seconds(self) -> float | None:
        """Return how long what was asked about takes; ``None`` before that is known."""
        if self._asked is None:
            return None
        recipe, cells, _ = self._asked
        pace = self._paces.get(_key(recipe))
        return None if pace is None else estimated_seconds(recipe, cells, pace)

    def _tell(self) -> bool:
        seconds = self.seconds()
        if seconds is None or self._asked is None:
            return False
        pace = self._paces[_key(self._asked[0])]
        n = cores()
        where = f"{n} core{'s' * (n != 1)}" if pace.device == "cpu" else pace.device
        self.known.emit(
            f"Takes about {format_duration(seconds)} on {where} ({pace.learned:,.0f} images/s, "
            "timed just now); you can go on annotating meanwhile."
        )
        return True

    def _measure(self) -> None:
        if self._asked is None or self._closed:  # the timer may still come
            return
        recipe, _, classes = self._asked
        run = self._run("pace", ChildRun(pace_steps, PaceJob(recipe, classes), threads=cores()))
        self.jobs.start("pace", partial(_timed, recipe, run))

    # --- rate --------------------------------------------------------------------------------

    def find_rate(self, ground: Ground, job: TrainJob, *, grouped: bool) -> None:
        """Look for a good rate on the annotated cells, in a child process."""
        if self._closed:
            return
        run = self._run("rate", ChildRun(find_rate, job, threads=cores()))
        self.jobs.start("rate", partial(rate_steps, ground, job, run, grouped=grouped))

    # --- augmentation ------------------------------------------------------------------------

    def augment(self, image: SmearImage, cells: Cells, ids: list[int], recipe: Recipe) -> None:
        """Make views of some cells of the open image."""
        if self._closed:
            return
        self.jobs.start("preview", partial(_views, image, cells, ids[:SAMPLES], recipe))

    def _end(self, kind: str) -> None:
        """End a child; nobody waits until it is gone."""
        run = self._runs.pop(kind, None)
        if run is not None:
            threading.Thread(target=run.cancel).start()

    # --- what came back ----------------------------------------------------------------------

    def _run(self, kind: str, run: ChildRun[Any, Any]) -> ChildRun[Any, Any]:
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
            self._paces[_key(recipe)] = pace
            self._tell()

    def _refused(self, kind: str, error: Exception) -> None:
        if kind == "pace":
            words = str(error) if isinstance(error, HemaCellsError) else "It could not be timed."
            self.known.emit(words)
        else:
            self.warned.emit(str(error))


def _key(recipe: Recipe) -> tuple[Any, ...]:
    """Return what the pace depends on."""
    return (recipe.arch, recipe.head, recipe.size, recipe.frozen_blocks, recipe.batch,
            recipe.device, recipe.precision, recipe.mix)  # fmt: skip


def _timed(
    recipe: Recipe, run: ChildRun[PaceJob, MeasuredPace]
) -> Generator[TrainingReport, None, tuple[Recipe, MeasuredPace]]:
    pace = yield from seldom(run.reports())
    return recipe, pace


def _views(
    image: SmearImage, cells: Cells, ids: list[int], recipe: Recipe
) -> Generator[Progress, None, NDArray[np.uint8]]:
    from napari_hemacells.core.crop import extract

    yield Progress(0, 0, "Augmenting")
    spec = CropSpec(SIDE, recipe.context or CropSpec().context)
    with triton_kept_out():
        return augmented_views(extract(image, cells, spec, ids), recipe, VIEWS)


def job_for(ground: Ground, recipe: Recipe, name: str) -> TrainJob:
    """Return what a recipe would do on a project's annotated cells, in a new folder of it."""
    folder = model_store.new_folder(ground.project)
    size = recipe.size or (CropSpec().size if recipe.arch == "bundled" else LARGER)
    spec = CropSpec(size, recipe.context or CropSpec().context)
    model_store.begin(folder, recipe, name, spec)
    return model_store.job_of(folder, ground.state.palette)


_NOTHING = "Open an image, detect its cells and give some of them classes first."
_NONE_HERE = "Give a cell of this image a class first, or open an annotated image."


class Readiness(QObject):
    """What the page says before a training is started.

    Parameters
    ----------
    opened
        The images that are in memory, by key.
    """

    said = Signal(str)
    warned = Signal(str)

    def __init__(
        self,
        session: Session,
        panel: FineTunePanel,
        opened: Callable[[], dict[str, SmearImage]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._panel, self._opened = session, panel, opened
        self.forecast = Forecast(self)
        self.idle = True
        panel.form.changed.connect(self.refresh)
        panel.form.preview_requested.connect(self.preview)
        panel.form.rate_requested.connect(self.find_rate)
        panel.opened.connect(self.refresh)
        self.forecast.known.connect(panel.show_forecast)
        self.forecast.rate_found.connect(self._rate_found)
        self.forecast.augmented.connect(self._augmented)
        self.forecast.progressed.connect(panel.show_searching)
        self.forecast.warned.connect(self._warned)
        self._subscriptions = Subscriptions(self)
        events = session.events
        for signal in (events.project, events.image, events.cells, events.annotations,
                       events.palette):  # fmt: skip
            self._subscriptions.add(signal, self.refresh)

    def close(self) -> None:
        """End what runs; late answers are not heard."""
        self._subscriptions.drop()
        self.forecast.close()

    def refresh(self, _what: object = None) -> None:
        """Say what there is to learn from, where anybody looks."""
        panel, project, history = self._panel, self._session.project, self._session.history
        if not self.idle or not panel.is_open:
            return
        if project is None or history is None:
            panel.show_teaching(Teaching(reason=_NOTHING))
            return
        panel.show_resumable(resumable=model_store.interrupted(project) is not None)
        lessons, invalid = lessons_of(project, history.state), ""
        try:
            recipe = panel.form.value()
        except TrainingError as error:
            recipe, invalid = None, str(error)
        reason = unavailable_reason(lessons) or invalid
        split = "" if reason or recipe is None else plan_split(lessons, recipe).words
        counts = tuple(lessons.counts.items())
        panel.show_teaching(Teaching(len(lessons.cells), counts, split, reason))
        if reason:
            panel.show_forecast(reason)
        elif recipe is not None:
            self.forecast.ask(recipe, lessons.total, len(counts))

    def recipe(self) -> Recipe | None:
        """Return what the form says; ``None``, with the reason told, where it is not valid."""
        try:
            return self._panel.form.value()
        except TrainingError as error:
            self.warned.emit(str(error))
            return None

    def ground(self) -> Ground | None:
        """Return the session as it is now; clicks may go on."""
        session = self._session
        if session.project is None or session.history is None:
            return None
        return Ground(session.project, frozen(session.history.state), self._opened())

    def preview(self) -> None:
        """Show what the network would be shown of the user's own cells."""
        session, recipe = self._session, self.recipe()
        if session.image is None or session.cells is None or recipe is None:
            return
        ids = [cell for cell in session.annotated if cell in session.cells.position]
        if ids:
            self.forecast.augment(session.image, session.cells, ids, recipe)
        else:
            self.warned.emit(_NONE_HERE)

    def find_rate(self) -> None:
        """Look for a good rate on the annotated cells; it is written into the form."""
        ground, recipe = self.ground(), self.recipe()
        if ground is None or recipe is None:
            return
        plan = plan_split(lessons_of(ground.project, ground.state), recipe)
        try:
            job = job_for(ground, recipe.model_copy(update={"rate": None}), self._panel.form.name)
        except HemaCellsError as error:
            self.warned.emit(str(error))
            return
        self._panel.form.search.setEnabled(False)
        self.forecast.find_rate(ground, job, grouped=plan.grouped)

    def _rate_found(self, rate: float) -> None:
        self._panel.form.search.setEnabled(True)
        self._panel.form.set_rate(rate)
        self.said.emit(f"The learning rate {rate:g} was taken over into the form.")

    def _augmented(self, views: NDArray[np.uint8]) -> None:
        self._panel.show_augmented(AugmentView(views, self._panel.form.body.width()))

    def _warned(self, words: str) -> None:
        self._panel.form.search.setEnabled(True)
        self.warned.emit(words)
        self.refresh()
