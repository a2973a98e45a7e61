"""Before a training: how long it would take, a good rate, and what augmentation does."""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.train import ChildRun, TrainingReport
from napari_hemacells.core.train.classifier import kept
from napari_hemacells.core.train.classifier.pace import (
    MeasuredPace,
    PaceJob,
    estimated_seconds,
    pace_steps,
)
from napari_hemacells.core.train.classifier.suggest import augmented_views
from napari_hemacells.core.train.classifier.suggest import rate_steps as find_rate
from napari_hemacells.core.train.reports import in_words
from napari_hemacells.core.types import CropSpec, Progress
from napari_hemacells.widgets.finetune_steps import Ground, rate_steps, seldom
from napari_hemacells.widgets.graphics import triton_kept_out
from napari_hemacells.widgets.workers import Jobs

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from numpy.typing import NDArray

    from napari_hemacells.core.train.classifier import Recipe
    from napari_hemacells.core.train.classifier.run import TrainJob
    from napari_hemacells.core.types import Cells, SmearImage

PAUSE_MS = 400  # changes in the form that come faster than that are timed once
LARGER = 224  # pixels of the crops for networks of others; a training takes what it needs of them
SAMPLES, VIEWS, SIDE = 4, 5, 96  # crops shown, views of each, pixels


def cores() -> int:
    """Return how many cores a training may use: one is left to napari."""
    return max(1, (os.cpu_count() or 2) - 1)


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
            f"Takes about {in_words(seconds)} on {where} ({pace.learned:,.0f} images/s, timed "
            "just now); you can go on annotating meanwhile."
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
    folder = kept.new_folder(ground.project)
    size = recipe.size or (CropSpec().size if recipe.arch == "bundled" else LARGER)
    spec = CropSpec(size, recipe.context or CropSpec().context)
    kept.begin(folder, recipe, name, spec)
    return kept.job_of(folder, ground.state.palette)
