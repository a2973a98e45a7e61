"""Which classifier a project uses: the user's clicks, or a model that was fine-tuned on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.steps import run_to_end
from napari_hemacells.core.train.classifier import kept
from napari_hemacells.widgets.finetune_panel import CLICKS
from napari_hemacells.widgets.finetune_steps import Opened, opening_steps
from napari_hemacells.widgets.subscriptions import Subscriptions

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.session import Session
    from napari_hemacells.widgets.finetune_panel import FineTunePanel


class ClassifierChoice(QObject):
    """The list *In use*: what is chosen there classifies at once, and is kept in the project.

    Signals
    -------
    changed
        The cells wait for vectors of another network.
    """

    said = Signal(str)
    warned = Signal(str)
    changed = Signal()

    def __init__(
        self, session: Session, panel: FineTunePanel, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._panel = session, panel
        panel.classifier_chosen.connect(self.choose)
        panel.opened.connect(self.refresh)
        self._subscriptions = Subscriptions(self)
        self._subscriptions.add(session.events.project, self.refresh)
        self._subscriptions.add(session.events.model, self.refresh)
        self._subscriptions.add(session.events.image, self._use_chosen)

    def close(self) -> None:
        """Hear nothing more."""
        self._subscriptions.drop()

    def refresh(self) -> None:
        """Show the models of the project, and which is in use."""
        project, live = self._session.project, self._session.live
        models = () if project is None else kept.kept_models(project)
        chosen = None if project is None or live.model is None else project.classifier
        name = CLICKS if chosen is None else chosen.name
        self._panel.show_models([(one.folder.name, one.words()) for one in models], name)

    def choose(self, name: str) -> None:
        """Classify with a model that was fine-tuned before, or with the clicks alone."""
        project = self._session.project
        if project is None:
            return
        if name != CLICKS:
            self.load(project.folder / kept.MODELS / name)
            return
        try:
            project.choose_classifier(None)
        except HemaCellsError as error:
            self.warned.emit(str(error))
        self._session.drop_model()
        self.changed.emit()
        self.said.emit("Your clicks alone classify again.")

    def load(self, folder: Path) -> None:
        """Classify with the model of a finished training."""
        try:
            self.adopt(run_to_end(opening_steps(folder)), folder)
        except HemaCellsError as error:
            self.warned.emit(str(error))
            self.refresh()

    def adopt(self, opened: Opened, folder: Path) -> None:
        """Classify with a model from now on, and keep that in the project.

        Raises
        ------
        HemaCellsError
            It does not fit, or cannot be kept; the former classifier stays then.
        """
        session = self._session
        ids = {one.name: one.id for one in opened.bundle.palette}
        learned = {ref: ids[one.name] for ref, one in opened.taught.items() if one.name in ids}
        if session.project is not None:
            session.adopt_model(opened.bundle, learned)
            session.project.choose_classifier(folder)
        self.changed.emit()
        self.said.emit("The fine-tuned model classifies; your clicks correct it.")

    def _use_chosen(self) -> None:
        """Classify as the project was left."""
        project, live = self._session.project, self._session.live
        if project is not None and project.classifier is not None and live.model is None:
            self.load(project.classifier)
