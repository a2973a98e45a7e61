"""With which encoder the cells are looked at: chosen, loaded, kept in the project."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_hemacells.core.encode.choices import choice_of
from napari_hemacells.widgets.finetune_steps import Ground, recalling_steps
from napari_hemacells.widgets.finetuning import images
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.train_steps import frozen

if TYPE_CHECKING:
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.bridge import ViewerBridge
    from napari_hemacells.widgets.classify_panel import ClassifyPanel
    from napari_hemacells.widgets.tasks import Tasks
    from napari_hemacells.widgets.voice import Voice


class Looking(QObject):
    """The choice of the encoder: taken when it is loaded, so that a failure changes nothing."""

    def __init__(
        self,
        panel: ClassifyPanel,
        session: Session,
        bridge: ViewerBridge,
        tasks: Tasks,
        voice: Voice,
    ) -> None:
        super().__init__()
        self._panel, self._session, self._bridge = panel, session, bridge
        self._tasks, self._voice = tasks, voice
        self._forgot_others = False
        panel.encoder.encoder_chosen.connect(tasks.load_encoder)
        tasks.encoder_ready.connect(self._use)
        tasks.recalled.connect(self._recalled)
        tasks.jobs.stopped.connect(self._stopped)
        self._subscriptions = Subscriptions(self)
        self._subscriptions.add(session.events.settings, self._settings_changed)
        self._subscriptions.add(session.events.embeddings, self._recall_others)
        self._subscriptions.add(session.events.project, self._project_changed)

    def _use(self, name: str) -> None:
        """Look at the cells with an encoder that is loaded."""
        if not self._voice.attempt(partial(self._session.set_encoder, name)):
            return
        title = choice_of(name).title.partition(":")[0]
        self._voice.say(f"Cells are looked at with: {title}.")
        if self._session.embeddings is None:
            self._tasks.embed()

    def _stopped(self, kind: str) -> None:
        """Show the encoder in use again, whatever became of the one that was asked for."""
        if kind == "encoder":
            self._panel.show_settings()

    # --- cells of other images ---------------------------------------------------------------

    def _project_changed(self) -> None:
        self._forgot_others = False

    def _settings_changed(self) -> None:
        if self._session.embeddings is None:
            self._forgot_others = True

    def _recall_others(self) -> None:
        """Embed the annotated cells of other images too, so that they go on teaching."""
        session = self._session
        here = session.embeddings
        if here is None or not self._forgot_others:
            return
        self._forgot_others = False
        if session.project is None or session.history is None:
            return
        state = session.history.state
        if {ref.image_key for ref in state.labels} <= {here.image_key}:
            return
        ground = Ground(session.project, frozen(state), images(session, self._bridge))
        whole = session.live.params.measured  # numbers that are relative to the image's cells
        embed = self._tasks.embedding
        self._tasks.recall(partial(recalling_steps, ground, here.image_key, embed, whole=whole))

    def _recalled(self) -> None:
        self._session.recall(again=True)
        self._tasks.classify()
        self._tasks.measure()
