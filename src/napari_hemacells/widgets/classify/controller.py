"""The classifier in the dock: live classification, models, encoder choice and domain shift."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from qtpy.QtCore import QObject

from napari_hemacells.core import encode
from napari_hemacells.core.encode.catalog import encoder_choice
from napari_hemacells.core.errors import EncoderNotAllowedError
from napari_hemacells.session.domain_shift import MIN_CLICKS
from napari_hemacells.widgets.canvas.viewer_bridge import images_in_memory
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.training.steps import (
    ProjectSnapshot,
    embed_annotated_steps,
    freeze_state,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.core.errors import HemaCellsError
    from napari_hemacells.core.params import ClassifyParams
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.background.tasks import BackgroundTasks
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
    from napari_hemacells.widgets.classify.panel import ClassifyPanel
    from napari_hemacells.widgets.gallery.widget import GalleryWidget
    from napari_hemacells.widgets.message_bar import Notifier


class EncoderController(QObject):
    """The choice of the encoder: it is used once loaded, so that a failure changes nothing."""

    def __init__(
        self,
        panel: ClassifyPanel,
        session: Session,
        bridge: ViewerBridge,
        tasks: BackgroundTasks,
        voice: Notifier,
    ) -> None:
        super().__init__()
        self._panel, self._session, self._bridge = panel, session, bridge
        self._tasks, self._voice = tasks, voice
        self._forgot_others = False
        panel.encoder.encoder_chosen.connect(tasks.load_encoder)
        tasks.encoder_ready.connect(self._use)
        tasks.others_embedded.connect(self._recalled)
        tasks.jobs.stopped.connect(self._stopped)
        self._subscriptions = Subscriptions(self)
        self._subscriptions.add(session.events.settings, self._settings_changed)
        self._subscriptions.add(session.events.embeddings, self._recall_others)
        self._subscriptions.add(session.events.project, self._project_changed)

    def _use(self, name: str) -> None:
        """Use an encoder that is loaded."""
        if not self._voice.attempt(partial(self._session.set_encoder, name)):
            return
        title = encoder_choice(name).title.partition(":")[0]
        self._voice.say(f"Encoder in use: {title}.")
        if self._session.embeddings is None:
            self._tasks.embed()

    def _stopped(self, kind: str) -> None:
        """Show the encoder in use again, whatever was requested."""
        if kind == "encoder":
            self._panel.show_settings()

    # --- cells of other images ---------------------------------------------------------------

    def _project_changed(self) -> None:
        self._forgot_others = False

    def _settings_changed(self) -> None:
        if self._session.embeddings is None:
            self._forgot_others = True

    def _recall_others(self) -> None:
        """Embed the annotated cells of other images too, to keep them in the support set."""
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
        ground = ProjectSnapshot(
            session.project, freeze_state(state), images_in_memory(session, self._bridge)
        )
        whole = session.live.params.measured  # numbers that are relative to the image's cells
        embed = self._tasks.embedding
        self._tasks.recall(
            partial(embed_annotated_steps, ground, here.image_key, embed, whole=whole)
        )

    def _recalled(self) -> None:
        self._session.recall(again=True)
        self._tasks.classify()
        self._tasks.measure()


class ClassifyView(Protocol):
    """The controller's interface to the dock: panel, gallery and two file dialogs."""

    classify: ClassifyPanel
    gallery: GalleryWidget | None

    def ask_for_bundle(self) -> Path | None:
        """Ask for the folder of a model to load."""

    def ask_where_to_save(self, name: str) -> Path | None:
        """Ask for the folder to save a model in."""


class ClassifyController(QObject):
    """The behaviour of the step *Classify*."""

    def __init__(
        self,
        view: ClassifyView,
        session: Session,
        bridge: ViewerBridge,
        tasks: BackgroundTasks,
        voice: Notifier,
    ) -> None:
        super().__init__()
        self._view, self._session, self._bridge = view, session, bridge
        self._tasks, self._voice = tasks, voice
        panel = view.classify
        panel.live_toggled.connect(self._set_live)
        panel.params_changed.connect(self._set_params)
        panel.load_requested.connect(self._ask_for_bundle)
        panel.save_requested.connect(self._save_bundle)
        panel.nearest_toggled.connect(self._show_nearest)
        panel.restandardise_toggled.connect(self._restandardise)
        panel.label_requested.connect(self._label_more)
        panel.doubts.confirm_requested.connect(self._confirm)
        panel.doubts.review_requested.connect(self._review_rare)
        self._told: set[str] = set()
        tasks.device_known.connect(panel.show_device)
        tasks.jobs.refused.connect(self._offer_encoder)
        self.encoder_controller = EncoderController(panel, session, bridge, tasks, voice)

    def load_bundle(self, path: Path) -> None:
        """Classify with a saved model; one that does not fit is refused with the reason."""
        from napari_hemacells.core.store.bundle import load_bundle

        def load() -> None:
            bundle = load_bundle(path)
            self._session.load_model(bundle)
            # A model with another encoder needs other numbers of the cells first.
            if self._session.embeddings is None:
                self._tasks.embed()
            else:
                self._tasks.classify()
            self._voice.say(
                f"The model “{bundle.name or path.name}” classifies this image; your annotations "
                "correct it."
            )

        self._voice.attempt(load)

    def _offer_encoder(self, _kind: str, error: HemaCellsError) -> None:
        """Ask before an encoder is fetched or read that a received model or project names."""
        if not isinstance(error, EncoderNotAllowedError) or not error.encoder:
            return

        def use() -> None:
            encode.allow(error.encoder)
            self._voice.say(f"Loading the encoder {error.encoder}.")
            self._tasks.embed()

        self._voice.offer(
            f"This model or project was made with the encoder {error.encoder}: {error.source}. "
            "Do this only if you trust where it comes from. Or choose another encoder under "
            "Classify.",
            "&Use this encoder",
            use,
            "warning",
        )

    def _ask_for_bundle(self) -> None:
        path = self._view.ask_for_bundle()
        if path is not None:
            self.load_bundle(path)

    def _save_bundle(self) -> None:
        from napari_hemacells.core.store.bundle import save_bundle

        session = self._session
        name = "" if session.image is None else f"{session.image.name}.model"
        path = self._view.ask_where_to_save(name)
        if path is None:
            return
        if self._voice.attempt(lambda: save_bundle(path, session.make_bundle(path.stem))):
            self._voice.say(f"Model saved in {path}.")

    def _set_live(self, live: bool) -> None:
        self._tasks.live = live
        if live:
            self._tasks.classify()

    def _set_params(self, params: ClassifyParams) -> None:
        if not self._voice.attempt(partial(self._session.set_params, params)):
            self._view.classify.show_settings()
        elif self._session.embeddings is None:
            self._tasks.embed()
        else:
            self._tasks.classify()

    def _show_nearest(self, nearest: bool) -> None:
        self._session.show_nearest(nearest=nearest)

    def warn_of_shift(self) -> None:
        """Warn once that the slide looks unfamiliar, while it has few annotations."""
        session = self._session
        measurement = session.measured
        fresh = len(session.annotated) < MIN_CLICKS and not session.restandardised
        if measurement is not None and measurement.shift.is_large and fresh:
            self._voice.warn(
                "This slide looks unlike the slides that the classifier knows. See Classify "
                "for what to do."
            )

    def warn_of_doubts(self) -> None:
        """Say once what is doubtful: an annotation unlike the others, or a contradiction."""
        doubts = self._session.doubts
        known = {f"unlike {cell}" for cell in doubts.unlike}
        known |= {f"{one.kind} now {one.class_id}" for one in doubts.contradictions}
        if known - self._told:
            words = f"{doubts.unlike_sentence} {doubts.contradiction_sentence}".strip()
            self._voice.warn(f"{words} See Classify.")
        self._told = known

    def _confirm(self, cells: tuple[int, ...]) -> None:
        self._session.confirm(cells)
        self._voice.say("Confirmed: the annotation counts like the others.")

    def _review_rare(self) -> None:
        """Show the cells of rare kinds in the gallery, the most useful ones first."""
        if self._view.gallery is None:
            return
        self._bridge.raise_dock(self._view.gallery)
        self._view.gallery.show_order("rare")
        self._voice.say(
            "Give these cells their classes by key; each annotation improves the rest."
        )

    def _restandardise(self, moved: bool) -> None:
        self._session.restandardise(moved=moved)
        self._voice.say(
            "This slide is re-standardised. Press the button again to undo that."
            if moved
            else "This slide is no longer re-standardised."
        )

    def _label_more(self) -> None:
        """Propose the most informative cells of this slide in the gallery."""
        if self._view.gallery is None:
            return
        self._bridge.raise_dock(self._view.gallery)
        self._view.gallery.propose_next(MIN_CLICKS)
        self._voice.say(
            "Give these five cells their classes by key; each annotation improves the classifier."
        )
