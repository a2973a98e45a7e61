"""Before fine-tuning: what there is to learn from, how long it takes, a rate, augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_hemacells.core.errors import HemaCellsError, TrainingError
from napari_hemacells.core.train.classifier import kept
from napari_hemacells.core.train.classifier.gather import lessons_of, why_not
from napari_hemacells.core.train.classifier.planned import plan_split
from napari_hemacells.widgets.augment_view import AugmentView
from napari_hemacells.widgets.finetune_forecast import Forecast, job_for
from napari_hemacells.widgets.finetune_steps import Ground
from napari_hemacells.widgets.finetune_words import Teaching
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.train_steps import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_hemacells.core.train.classifier import Recipe
    from napari_hemacells.core.types import SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.finetune_panel import FineTunePanel

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
        panel.show_resumable(resumable=kept.interrupted(project) is not None)
        lessons, invalid = lessons_of(project, history.state), ""
        try:
            recipe = panel.form.value()
        except TrainingError as error:
            recipe, invalid = None, str(error)
        reason = why_not(lessons) or invalid
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
