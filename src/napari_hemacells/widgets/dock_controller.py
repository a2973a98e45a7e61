"""What the dock does: panels, session, threads and canvas wired to one another."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt

from napari_hemacells.widgets.adapt_encoder.controller import Adapting
from napari_hemacells.widgets.background.tasks import Tasks
from napari_hemacells.widgets.background.workers import Jobs
from napari_hemacells.widgets.canvas.cell_layer_controller import Canvas
from napari_hemacells.widgets.classify.controller import Classifying
from napari_hemacells.widgets.detect.controller import Detecting
from napari_hemacells.widgets.detect.edit_tools import Corrector
from napari_hemacells.widgets.export.steps import export_steps, snapshot
from napari_hemacells.widgets.finetune.controller import FineTuning
from napari_hemacells.widgets.gallery.review_queue import Upcoming
from napari_hemacells.widgets.message_bar import Voice
from napari_hemacells.widgets.project_controller import Opening
from napari_hemacells.widgets.step_header import STEPS, Step
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.thermography.controller import ThermogramWork
from napari_hemacells.widgets.train_detector.controller import TrainRun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_hemacells.session import Session
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
    from napari_hemacells.widgets.dock import HemaCellsWidget
    from napari_hemacells.widgets.export.panel import ExportRequest

_NO_CELLS = "There are no cells yet: detect them first (Alt+D)."
_NO_MODEL = "There is no model yet: give at least one cell a class."


class Controller(QObject):
    """The behaviour of one dock."""

    def __init__(self, view: HemaCellsWidget, session: Session, bridge: ViewerBridge) -> None:
        super().__init__()
        self.view, self.session, self.bridge = view, session, bridge
        self.voice = Voice(view.messages)
        self.tasks = Tasks(session)
        self.map_jobs = Jobs()
        self.training = TrainRun(session, view.train)
        self.upcoming = Upcoming(session)
        self.canvas = Canvas(session, bridge, self.upcoming, self.tasks.classify)
        self.corrector = Corrector(session, bridge, self.canvas)
        self.opening = Opening(view, session, bridge, self.tasks, self.voice)
        self.detecting = Detecting(session, bridge, self.tasks, self.training, self.voice)
        self.classifying = Classifying(view, session, bridge, self.tasks, self.voice)
        self.finetuning = FineTuning(
            view, session, bridge, canvas=self.canvas, tasks=self.tasks, voice=self.voice
        )
        self.adapting = Adapting(
            view.classify.adapt, session, bridge,
            tasks=self.tasks, trainings=(self.training, self.finetuning.run), voice=self.voice,
        )  # fmt: skip
        self.thermograms = ThermogramWork(
            view.thermogram, view.detect, bridge.thermograms, self.voice
        )
        self._subscriptions = Subscriptions(self)
        # In this order: stop the threads, leave the viewer alone, close the project.
        self.closers: tuple[Callable[[], None], ...] = (
            self._subscriptions.drop,
            self.tasks.close,
            self.upcoming.close,
            self.thermograms.jobs.close,
            self.map_jobs.close,
            self.training.close,
            self.finetuning.run.close,
            self.adapting.run.close,
            self.finetuning.going.close,
            self.corrector.close,
            self.canvas.close,
            bridge.close,
            session.close,
        )
        self._connect_session()
        self._connect_panels()
        self._connect_work()
        self.show_step("detect")
        self.opening.layers_changed()

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
            (events.shift, self.classifying.warn_of_shift),
            (viewer.layers, self.opening.layers_changed),
            (viewer.layers, self.thermograms.update),
            (viewer.removed, self.opening.layer_removed),
        ):
            self._subscriptions.add(signal, slot)

    def _connect_panels(self) -> None:
        view, canvas = self.view, self.canvas
        view.header.step_requested.connect(self.show_step)
        view.onward.clicked.connect(self._go_on)
        view.detect.detect_requested.connect(self.detecting.detect)
        view.annotate.next_requested.connect(canvas.next)
        view.annotate.previous_requested.connect(canvas.previous)
        view.annotate.undo_requested.connect(canvas.undo)
        view.annotate.redo_requested.connect(canvas.redo)
        view.annotate.refused.connect(self.voice.warn)
        view.classify.display_requested.connect(canvas.show_mode)
        view.export.export_requested.connect(self._export)
        view.messages.cancel_requested.connect(self.detecting.cancel)
        for bar in view.correct_bars:
            bar.tool_requested.connect(self.corrector.take)
            bar.action_requested.connect(self.corrector.act)
            bar.with_class_toggled.connect(self.corrector.label_added)

    def _connect_work(self) -> None:
        view, tasks, canvas, voice = self.view, self.tasks, self.canvas, self.voice
        tasks.progressed.connect(view.messages.progress)
        tasks.idle.connect(view.messages.finish)
        tasks.idle.connect(self._update)
        tasks.refused.connect(voice.warn)
        tasks.failed.connect(voice.fail)
        tasks.exported.connect(self._exported)
        tasks.unanswered.connect(canvas.recolour)
        self.opening.annotated.connect(self._show_annotations)
        self.opening.changed.connect(self._update)
        self.detecting.changed.connect(self._update)
        canvas.refused.connect(voice.warn)
        canvas.mode_changed.connect(view.classify.show_mode)
        canvas.pointed_at.connect(view.pointed_at.setText)
        self.corrector.changed.connect(self._show_tools)
        self.corrector.said.connect(voice.say)
        self.corrector.refused.connect(voice.warn)
        self.training.said.connect(voice.say)
        self.training.warned.connect(voice.warn)
        self.finetuning.going.arrived.connect(self._show_classes)

    # --- steps -------------------------------------------------------------------------------

    def show_step(self, step: Step) -> None:
        """Open a step; clicks label cells where the palette is in sight."""
        if step != self.view.step and self.view.messages.level == "info":
            self.voice.say("")  # what was said about the step before
        self.view.show_step(step)
        self.canvas.labelling = step in {"annotate", "classify"}
        self.corrector.take("")
        if step in {"annotate", "classify"}:
            self._ensure_embeddings()
        self._update()

    def _show_annotations(self) -> None:
        self.show_step("annotate")

    def _show_classes(self) -> None:
        self.show_step("classify")

    def _go_on(self) -> None:
        self.show_step(STEPS[min(STEPS.index(self.view.step) + 1, len(STEPS) - 1)])

    def _ensure_embeddings(self) -> None:
        session = self.session
        wanted = session.cells is not None and session.embeddings is None
        if wanted and not self.tasks.jobs.running("embed"):
            self.tasks.embed()

    # --- export ------------------------------------------------------------------------------

    def _export(self, request: ExportRequest) -> None:
        now = snapshot(self.session)
        if now is not None:
            self.tasks.export(partial(export_steps, request, now))
            self._update()

    def _exported(self, result: tuple[Path, Sequence[Path]]) -> None:
        folder, written = result
        self.view.export.show_result(folder, written)
        self.voice.say(f"Written into {folder}.")

    # --- what is possible now ----------------------------------------------------------------

    def _project_changed(self) -> None:
        project = self.session.project
        self.view.place.show_place(None if project is None else project.folder)
        if project is not None:
            self.view.export.suggest_folder(project.folder / "export")
        self._update()

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
        gallery = self.view.make_gallery(self.upcoming)
        gallery.cell_activated.connect(self.canvas.go_to)
        # Queued: the gallery scrolls while the classifier works, not before it is asked.
        queued = Qt.ConnectionType.QueuedConnection
        self.canvas.chosen.connect(gallery.select_cell, queued)  # type: ignore[call-arg]  # stub
        gallery.refused.connect(self.voice.warn)
        self.bridge.add_dock(gallery, "HemaCells gallery")
        cell_map = self.view.make_map(self.map_jobs)
        cell_map.cell_activated.connect(self.canvas.go_to)
        cell_map.refused.connect(self.voice.warn)
        self.bridge.add_dock(cell_map, "HemaCells map", behind=gallery)

    def _update(self, _what: object = None) -> None:
        session, header = self.session, self.view.header
        self.thermograms.update()
        cells = session.cells is not None
        missing = "" if cells else _NO_CELLS
        header.set_state("detect", done=bool(session.cells))
        header.set_state("annotate", done=bool(session.annotated), missing=missing)
        header.set_state("classify", done=session.prediction is not None, missing=missing)
        header.set_state("export", done=False, missing=missing)
        self.view.onward.setEnabled(cells)
        self.view.onward.setToolTip(missing or "Alt+G")
        busy = self.tasks.jobs.running
        waiting = busy("detect") or busy("open")
        self.view.detect.block("Wait for it, or press Cancel." if waiting else "")
        no_model = "" if session.prediction is not None else _NO_MODEL
        blocked = missing or ("An export is being written." if busy("export") else "")
        self.view.export.block(blocked, no_model)
        if not cells and self.view.step != "detect":
            self.show_step("detect")
