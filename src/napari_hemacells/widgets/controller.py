"""What the dock does: panels, session, threads and canvas wired to one another."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt

from napari_hemacells.core.errors import BundleMismatchError, HemaCellsError
from napari_hemacells.session.shifting import ENOUGH_CLICKS
from napari_hemacells.widgets import projects
from napari_hemacells.widgets.canvas import Canvas
from napari_hemacells.widgets.correcting import Corrector
from napari_hemacells.widgets.exporting import export_steps, snapshot
from napari_hemacells.widgets.finding import Finding
from napari_hemacells.widgets.stepper import STEPS, Step
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.tasks import Tasks
from napari_hemacells.widgets.train_run import TrainRun
from napari_hemacells.widgets.workers import Jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_hemacells.core.params import ClassifyParams
    from napari_hemacells.core.types import SmearImage
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.bridge import ViewerBridge
    from napari_hemacells.widgets.detect_panel import DetectRequest
    from napari_hemacells.widgets.export_panel import ExportRequest
    from napari_hemacells.widgets.main import HemaCellsWidget

_NO_CELLS = "There are no cells yet: detect them first (Alt+D)."
_NO_MODEL = "There is no model yet: give at least one cell a class."


class Controller(QObject):
    """The behaviour of one dock."""

    def __init__(self, view: HemaCellsWidget, session: Session, bridge: ViewerBridge) -> None:
        super().__init__()
        self.view, self.session, self.bridge = view, session, bridge
        self.tasks = Tasks(session)
        self.map_jobs = Jobs()
        self.training = TrainRun(session, view.train)
        self.canvas = Canvas(session, bridge, self.tasks.classify)
        self.finding = Finding(session, bridge)
        self.corrector = Corrector(session, bridge, self.canvas)
        self._subscriptions = Subscriptions(self)
        # In this order: stop the threads, leave the viewer alone, close the project.
        self.closers: tuple[Callable[[], None], ...] = (
            self._subscriptions.drop,
            self.tasks.close,
            self.map_jobs.close,
            self.training.close,
            self.corrector.close,
            self.canvas.close,
            bridge.close,
            session.close,
        )
        self._connect_session()
        self._connect_panels()
        self._connect_work()
        self.show_step("detect")
        self._layers_changed()

    def close(self) -> None:
        """End the work; all of it is on disk."""
        for close in self.closers:
            close()

    # --- wiring ------------------------------------------------------------------------------

    def _connect_session(self) -> None:
        events, viewer = self.session.events, self.bridge.events
        for signal, slot in (
            (events.project, self._project_changed),
            (events.image, self._update),
            (events.cells, self._cells_changed),
            (events.corrected, self._cells_corrected),
            (events.annotations, self._update),
            (events.prediction, self._update),
            (events.shift, self._warn_of_shift),
            (viewer.layers, self._layers_changed),
            (viewer.removed, self._layer_removed),
        ):
            self._subscriptions.add(signal, slot)

    def _connect_panels(self) -> None:
        view, canvas = self.view, self.canvas
        view.header.step_requested.connect(self.show_step)
        view.onward.clicked.connect(self._go_on)
        view.detect.image_chosen.connect(self.choose_image)
        view.detect.detect_requested.connect(self.detect)
        view.annotate.next_requested.connect(canvas.next)
        view.annotate.previous_requested.connect(canvas.previous)
        view.annotate.undo_requested.connect(canvas.undo)
        view.annotate.redo_requested.connect(canvas.redo)
        view.annotate.refused.connect(self.warn)
        view.classify.live_toggled.connect(self._set_live)
        view.classify.params_changed.connect(self._set_params)
        view.classify.display_requested.connect(canvas.show_mode)
        view.classify.load_requested.connect(self._load_bundle)
        view.classify.save_requested.connect(self._save_bundle)
        view.classify.nearest_toggled.connect(self._show_nearest)
        view.classify.restandardise_toggled.connect(self._restandardise)
        view.classify.label_requested.connect(self._label_more)
        view.export.export_requested.connect(self.export)
        view.place.open_requested.connect(self.open_project)
        view.place.save_as_requested.connect(self._save_as)
        view.messages.cancel_requested.connect(self._cancel)

        for bar in view.correct_bars:
            bar.tool_requested.connect(self.corrector.take)
            bar.action_requested.connect(self.corrector.act)
            bar.with_class_toggled.connect(self.corrector.label_added)
        self.corrector.changed.connect(self._show_tools)
        self.corrector.said.connect(self.say)
        self.corrector.refused.connect(self.warn)

    def _connect_work(self) -> None:
        view, tasks, canvas = self.view, self.tasks, self.canvas
        tasks.progressed.connect(view.messages.progress)
        tasks.idle.connect(view.messages.finish)
        tasks.idle.connect(self._update)
        tasks.refused.connect(self.warn)
        tasks.failed.connect(self._fail)
        tasks.device_known.connect(view.classify.show_device)
        tasks.opened.connect(self._opened)
        tasks.found.connect(self.finding.add)
        tasks.jobs.stopped.connect(self._stopped)
        tasks.detected.connect(self._detected)
        tasks.exported.connect(self._exported)
        tasks.unanswered.connect(canvas.recolour)
        self.training.said.connect(self.say)
        self.training.warned.connect(self.warn)
        canvas.refused.connect(self.warn)
        canvas.mode_changed.connect(view.classify.show_mode)
        canvas.pointed_at.connect(view.pointed_at.setText)

    # --- steps -------------------------------------------------------------------------------

    def show_step(self, step: Step) -> None:
        """Open a step; clicks label cells where the palette is in sight."""
        if step != self.view.step and self.view.messages.level == "info":
            self.say("")  # what was said about the step before
        self.view.show_step(step)
        self.canvas.labelling = step in {"annotate", "classify"}
        self.corrector.take("")
        if step in {"annotate", "classify"}:
            self._ensure_embeddings()
        self._update()

    def _go_on(self) -> None:
        self.show_step(STEPS[min(STEPS.index(self.view.step) + 1, len(STEPS) - 1)])

    def _ensure_embeddings(self) -> None:
        session = self.session
        wanted = session.cells is not None and session.embeddings is None
        if wanted and not self.tasks.jobs.running("embed"):
            self.tasks.embed()

    # --- image and project -------------------------------------------------------------------

    def choose_image(self, key: str) -> None:
        """Work on the image of this layer, in its project or a new one.

        A large image is opened in a thread; what was chosen last is used.
        """
        self.tasks.jobs.cancel("open")
        if self.bridge.is_quick(key):
            self._attempt(lambda: self._use(self.bridge.read_image(key), key))
        elif not self._shows(key):
            self._attempt(lambda: self._open(key))
        self._update()

    def _shows(self, key: str) -> bool:
        """Whether the layer of this choice is the one being worked on."""
        image = self.session.image
        layer = None if image is None else self.bridge.find("image", image.key)
        return layer is not None and str(layer.unique_id) == key

    def _open(self, key: str) -> None:
        make = self.bridge.image_maker(key)
        if make is not None:
            self.view.detect.choose_image(key)
            self.tasks.open(make, key)

    def _opened(self, image: SmearImage, key: str) -> None:
        if self.bridge.layer(key) is not None:
            self._attempt(lambda: self._use(image, key))

    def _use(self, image: SmearImage | None, key: str) -> None:
        if image is None or (self.session.image and image.key == self.session.image.key):
            return
        projects.choose(self.session, self.bridge, image, key)
        self.view.detect.choose_image(key)
        self._welcome()

    def _attempt(self, choose: Callable[[], object]) -> None:
        if not self._try(choose):
            self.view.detect.block("Choose another image: this one cannot be used.")

    def open_project(self, folder: Path) -> None:
        """Open a project folder with its images."""

        def open_it() -> None:
            missing = projects.open_project(
                self.session, self.bridge, folder, self.view.ask_for_image
            )
            self._welcome()
            for reason in missing:
                self.warn(reason)

        self._try(open_it)
        self._layers_changed()

    def _welcome(self) -> None:
        annotated = len(self.session.annotated)
        if annotated:
            cells = "cell" if annotated == 1 else "cells"
            self.show_step("annotate")
            self.say(f"Welcome back: {annotated:,} annotated {cells}.")
        elif self.session.cells is None:
            self.say("Press Detect, or take the cells from a layer.")
        self._update()

    def _save_as(self, folder: Path) -> None:
        if self._try(partial(self.session.save_as, folder)):
            self.say(f"You are now working in {folder}.")

    def _project_changed(self) -> None:
        project = self.session.project
        self.view.place.show_place(None if project is None else project.folder)
        if project is not None:
            self.view.export.suggest_folder(project.folder / "export")
        self._update()

    def _layers_changed(self) -> None:
        self.view.detect.set_choices(self.bridge.images(), self.bridge.cell_sources())
        if self.session.image is None:
            key = self.bridge.active_image()
            if key is not None and not self.tasks.jobs.running("open"):
                self.choose_image(key)
        else:
            layer = self.bridge.find("image", self.session.image.key)
            self.view.detect.choose_image(None if layer is None else str(layer.unique_id))

    def _layer_removed(self, role: str) -> None:
        if role == "cells":
            self.warn(
                "The layer of cells was removed; your annotations are kept. V shows it again."
            )
        elif role == "image":
            self.warn("The image was removed; your annotations are kept. Open it again to go on.")

    # --- detect, classify, export ------------------------------------------------------------

    def detect(self, request: DetectRequest) -> None:
        """Find cells, or take those of a layer."""
        image = self.session.image
        if image is None:
            return
        if request.source is None:
            self._try(lambda: self._find(image, request))
        else:
            self._take(request)
        self._update()

    def _find(self, image: SmearImage, request: DetectRequest) -> None:
        regions = None
        if request.within is not None:
            regions = self.bridge.read_regions(request.within, image)
        self.tasks.detect(image, self.training.with_weights(request.params), regions)

    def _take(self, request: DetectRequest) -> None:
        image, source = self.session.image, request.source
        if image is None or source is None:
            return

        def take() -> None:
            make = self.bridge.read_cells(source, image, request.params.cell_diameter)
            if make is None:
                self.warn("That layer is not there any more: choose another one.")
            else:
                self.tasks.take(image, make)

        self._try(take)

    def _stopped(self, kind: str) -> None:
        if kind == "detect":
            self.finding.forget()

    def _detected(self) -> None:
        cells = self.session.cells
        if cells is not None and not len(cells):
            self.warn("No cells found: raise the sensitivity, or give the cell diameter.")
        else:
            self.say("Check the cells on the image, then go on to Annotate.")

    def _set_live(self, live: bool) -> None:
        self.tasks.live = live
        if live:
            self.tasks.classify()

    def _set_params(self, params: ClassifyParams) -> None:
        self.session.set_params(params)
        self.tasks.classify()

    def _show_nearest(self, nearest: bool) -> None:
        self.session.show_nearest(nearest=nearest)

    def _warn_of_shift(self) -> None:
        session = self.session
        found = session.measured
        fresh = len(session.annotated) < ENOUGH_CLICKS and not session.restandardised
        if found is not None and found.shift.is_large and fresh:
            self.warn("This slide looks unlike those that the classifier knows: see Classify.")

    def _restandardise(self, moved: bool) -> None:
        self.session.restandardise(moved=moved)
        self.say(
            "This slide is re-standardised; press again to go back."
            if moved
            else "The slide is taken as it is again."
        )

    def _label_more(self) -> None:
        """Show the cells of this slide that teach most in the gallery."""
        if self.view.gallery is None:
            return
        self.bridge.raise_dock(self.view.gallery)
        self.view.gallery.propose(self.session.queue("active")[:ENOUGH_CLICKS])
        self.say("Give these five their classes by key; each click teaches the classifier.")

    def _load_bundle(self) -> None:
        path = self.view.ask_for_bundle()
        if path is not None:
            self.load_bundle(path)

    def load_bundle(self, path: Path) -> None:
        """Classify with a saved model; one that does not fit is refused with the reason."""
        from napari_hemacells.core.store.bundle import load_bundle

        def load() -> None:
            self.session.load_model(load_bundle(path))
            self.tasks.classify()
            self.say(f"The model {path.name} classifies this image; your clicks correct it.")

        self._try(load)

    def _save_bundle(self) -> None:
        from napari_hemacells.core.store.bundle import save_bundle

        name = "" if self.session.image is None else f"{self.session.image.name}.model"
        path = self.view.ask_where_to_save(name)
        if path is None:
            return
        if self._try(lambda: save_bundle(path, self.session.make_bundle(path.stem))):
            self.say(f"Model saved in {path}.")

    def export(self, request: ExportRequest) -> None:
        """Write what is ticked."""
        now = snapshot(self.session)
        if now is not None:
            self.tasks.export(partial(export_steps, request, now))
            self._update()

    def _exported(self, result: tuple[Path, Sequence[Path]]) -> None:
        folder, written = result
        self.view.export.show_result(folder, written)
        self.say(f"Written into {folder}.")

    def _cancel(self) -> None:
        found = self.finding.count
        self.tasks.cancel()
        if found:
            self.say(f"Stopped after {found:,} cells. Detect goes on from there.")
        else:
            self.say("Stopped. What was done before is kept.")

    # --- what is possible now ----------------------------------------------------------------

    def _cells_changed(self) -> None:
        self.view.detect.show_result(self.session.cells)
        if self.view.gallery is None and self.session.cells is not None:
            self._add_gallery()
        self._update()

    def _cells_corrected(self, _change: object) -> None:
        self.view.detect.show_result(self.session.cells)
        self._update()

    def _show_tools(self) -> None:
        for bar in self.view.correct_bars:
            bar.show_state(self.corrector.state)

    def _add_gallery(self) -> None:
        gallery = self.view.make_gallery()
        gallery.cell_activated.connect(self.canvas.go_to)
        # Queued: the gallery scrolls while the classifier works, not before it is asked.
        queued = Qt.ConnectionType.QueuedConnection
        self.canvas.chosen.connect(gallery.select_cell, queued)  # type: ignore[call-arg]  # stub
        gallery.refused.connect(self.warn)
        self.bridge.add_dock(gallery, "HemaCells gallery")
        cell_map = self.view.make_map(self.map_jobs)
        cell_map.cell_activated.connect(self.canvas.go_to)
        cell_map.refused.connect(self.warn)
        self.bridge.add_dock(cell_map, "HemaCells map", behind=gallery)

    def _update(self, _what: object = None) -> None:
        session, header = self.session, self.view.header
        cells = session.cells is not None
        missing = "" if cells else _NO_CELLS
        header.set_state("detect", done=bool(session.cells))
        header.set_state("annotate", done=bool(session.annotated), missing=missing)
        header.set_state("classify", done=session.prediction is not None, missing=missing)
        header.set_state("export", done=False, missing=missing)
        step = self.view.step
        self.view.onward.setEnabled(cells)
        self.view.onward.setToolTip(missing or "Alt+G")
        busy = self.tasks.jobs.running
        waiting = busy("detect") or busy("open")
        self.view.detect.block("Wait for it, or press Cancel." if waiting else "")
        no_model = "" if session.prediction is not None else _NO_MODEL
        blocked = missing or ("An export is being written." if busy("export") else "")
        self.view.export.block(blocked, no_model)
        if not cells and step != "detect":
            self.show_step("detect")

    def say(self, message: str) -> None:
        """Tell what happened."""
        self.view.messages.say(message)

    def warn(self, message: str) -> None:
        """Tell what did not happen, and what to do."""
        self.view.messages.say(message, "warning")

    def _fail(self, message: str) -> None:
        self.view.messages.say(message, "error")

    def _try(self, change: Callable[[], object]) -> bool:
        """Whether it could be done; if not, the reason is shown."""
        try:
            change()
        except BundleMismatchError as error:
            self.view.messages.say(f"This model was not loaded: {error}", "error")
            return False
        except HemaCellsError as error:
            self.view.messages.say(str(error), "error")
            return False
        return True
