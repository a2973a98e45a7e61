"""The list *In use*: which model classifies in this project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.train.classifier import model_store
from napari_hemacells.core.types.progress import run_to_end
from napari_hemacells.widgets.finetune.panel import CLICKS_CLASSIFIER
from napari_hemacells.widgets.finetune.steps import FinishedTraining, read_training_steps
from napari_hemacells.widgets.subscriptions import Subscriptions

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.session import Session
    from napari_hemacells.widgets.finetune.panel import FineTunePanel


class ClassifierChoice(QObject):
    """The list *In use*: a chosen model classifies at once, and is saved in the project.

    Signals
    -------
    changed
        The cells need embeddings of another network.
    """

    said = Signal(str)
    warning_emitted = Signal(str)
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
        """Disconnect from the session."""
        self._subscriptions.drop()

    def refresh(self) -> None:
        """Show the models of the project and the one in use."""
        project, live = self._session.project, self._session.live
        models = () if project is None else model_store.list_models(project)
        chosen = None if project is None or live.model is None else project.classifier
        name = CLICKS_CLASSIFIER if chosen is None else chosen.name
        self._panel.show_models([(model.folder.name, model.words()) for model in models], name)

    def choose(self, name: str) -> None:
        """Classify with an earlier fine-tuned model, or with the annotations alone."""
        project = self._session.project
        if project is None:
            return
        if name != CLICKS_CLASSIFIER:
            self.load(project.folder / model_store.MODELS / name)
            return
        try:
            project.choose_classifier(None)
        except HemaCellsError as error:
            self.warning_emitted.emit(str(error))
        self._session.drop_model()
        self.changed.emit()
        self.said.emit("The few-shot classifier of your annotations is in use again.")

    def load(self, folder: Path) -> None:
        """Classify with the model of a finished training."""
        try:
            self.adopt(run_to_end(read_training_steps(folder)), folder)
        except HemaCellsError as error:
            self.warning_emitted.emit(str(error))
            self.refresh()

    def adopt(self, opened: FinishedTraining, folder: Path) -> None:
        """Use a model from now on, and save that choice in the project.

        Raises
        ------
        HemaCellsError
            It does not fit or cannot be saved; the previous classifier stays in use then.
        """
        session = self._session
        ids = {cell_class.name: cell_class.id for cell_class in opened.bundle.palette}
        learned = {
            ref: ids[cell_class.name]
            for ref, cell_class in opened.taught.items()
            if cell_class.name in ids
        }
        if session.project is not None:
            session.adopt_model(opened.bundle, learned)
            session.project.choose_classifier(folder)
        self.changed.emit()
        self.said.emit("The fine-tuned model classifies; your annotations correct it.")

    def _use_chosen(self) -> None:
        """Restore the classifier that the project used last."""
        project, live = self._session.project, self._session.live
        if project is not None and project.classifier is not None and live.model is None:
            self.load(project.classifier)
