"""The classifier at work in the dock: live or not, models loaded and saved, unfamiliar slides."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_hemacells.session.shifting import ENOUGH_CLICKS
from napari_hemacells.widgets.looking import Looking

if TYPE_CHECKING:
    from pathlib import Path

    from napari_hemacells.core.params import ClassifyParams
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.bridge import ViewerBridge
    from napari_hemacells.widgets.main import HemaCellsWidget
    from napari_hemacells.widgets.tasks import Tasks
    from napari_hemacells.widgets.voice import Voice


class Classifying(QObject):
    """What the step *Classify* asks for, done."""

    def __init__(
        self,
        view: HemaCellsWidget,
        session: Session,
        bridge: ViewerBridge,
        tasks: Tasks,
        voice: Voice,
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
        tasks.device_known.connect(panel.show_device)
        self.looking = Looking(panel, session, bridge, tasks, voice)

    def load_bundle(self, path: Path) -> None:
        """Classify with a saved model; one that does not fit is refused with the reason."""
        from napari_hemacells.core.store.bundle import load_bundle

        def load() -> None:
            self._session.load_model(load_bundle(path))
            self._tasks.classify()
            self._voice.say(
                f"The model {path.name} classifies this image; your clicks correct it."
            )

        self._voice.attempt(load)

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
        """Say once that the slide looks unfamiliar, while few clicks have been given on it."""
        session = self._session
        found = session.measured
        fresh = len(session.annotated) < ENOUGH_CLICKS and not session.restandardised
        if found is not None and found.shift.is_large and fresh:
            self._voice.warn(
                "This slide looks unlike those that the classifier knows: see Classify."
            )

    def _restandardise(self, moved: bool) -> None:
        self._session.restandardise(moved=moved)
        self._voice.say(
            "This slide is re-standardised; press again to go back."
            if moved
            else "The slide is taken as it is again."
        )

    def _label_more(self) -> None:
        """Show the cells of this slide that teach most in the gallery."""
        if self._view.gallery is None:
            return
        self._bridge.raise_dock(self._view.gallery)
        self._view.gallery.propose_next(ENOUGH_CLICKS)
        self._voice.say("Give these five their classes by key; each click teaches the classifier.")
