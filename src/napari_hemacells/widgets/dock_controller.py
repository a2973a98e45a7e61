"""The behaviour of the dock: connects panels, session, background tasks and canvas."""

from __future__ import annotations

import atexit
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt

from napari_hemacells.widgets.adapt_encoder.controller import AdaptEncoderController
from napari_hemacells.widgets.annotators.controller import AnnotatorsController
from napari_hemacells.widgets.background.embedding_pace import EmbeddingPace
from napari_hemacells.widgets.background.tasks import BackgroundTasks
from napari_hemacells.widgets.background.workers import JobRunner
from napari_hemacells.widgets.canvas.cell_layer_controller import CellLayerController
from napari_hemacells.widgets.classify.controller import ClassifyController
from napari_hemacells.widgets.classify.heat_map import HeatMapController
from napari_hemacells.widgets.compare.controller import LikenessController
from napari_hemacells.widgets.detect.controller import DetectController
from napari_hemacells.widgets.detect.edit_tools import CellEditor
from napari_hemacells.widgets.export.steps import export_steps, has_model, take_snapshot
from napari_hemacells.widgets.finetune.controller import FineTuneController
from napari_hemacells.widgets.gallery.review_queue import ReviewQueue
from napari_hemacells.widgets.message_bar import Notifier
from napari_hemacells.widgets.pictures.controller import PicturesController
from napari_hemacells.widgets.project.controller import ProjectPanelController
from napari_hemacells.widgets.project_controller import ProjectController
from napari_hemacells.widgets.step_header import STEPS, Step
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.thermography.controller import ThermogramController
from napari_hemacells.widgets.train_detector.controller import TrainDetectorController
from napari_hemacells.widgets.train_siamese.controller import TrainSiameseController
from napari_hemacells.widgets.wording import about_regions, speak_of_regions

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_hemacells.session import Session
    from napari_hemacells.session.likeness import LikeThis
    from napari_hemacells.widgets.canvas.viewer_bridge import ViewerBridge
    from napari_hemacells.widgets.detect.panel import DetectRequest
    from napari_hemacells.widgets.dock_view import DockView
    from napari_hemacells.widgets.export.panel import ExportRequest
    from napari_hemacells.widgets.export.steps import ExportResult
    from napari_hemacells.widgets.gallery.widget import GalleryWidget
    from napari_hemacells.widgets.project.panel import ProjectPanel

_NO_CELLS = "There are no cells yet: detect them first (Alt+D)."
_NO_REGIONS = (
    "There are no regions yet: find them, or take the whole thermogram, under Detect (Alt+D)."
)
_NO_MODEL = "There is no model yet: give at least one cell a class under Annotate."


class CloseOnce:
    """Ends the work of a dock: when it is asked to, when Qt destroys the dock, or Python ends.

    Whichever comes first; timers and threads are stopped before Qt deletes them.

    Parameters
    ----------
    steps
        What is done, in this order, once. Nothing in them holds the dock, or it would never go.
    """

    def __init__(self, *steps: Callable[[], None]) -> None:
        self._steps = list(steps)
        atexit.register(self)

    def __call__(self, _destroyed: object = None) -> None:
        """Do what was not done yet; a timer that Qt has deleted already needs no stop."""
        atexit.unregister(self)
        while self._steps:
            try:
                self._steps.pop(0)()
            except RuntimeError as error:
                # Of PyQt and PySide; raised in a slot, it would end the process with an abort.
                if "deleted" not in str(error):
                    raise


class DockController(QObject):
    """The behaviour of one dock."""

    def __init__(self, view: DockView, session: Session, bridge: ViewerBridge) -> None:
        super().__init__()
        self.view, self.session, self.bridge = view, session, bridge
        self.voice = Notifier(view.messages)
        self._worded = False  # whether the panels speak of regions
        self.tasks = BackgroundTasks(session)
        self.map_jobs = JobRunner()
        self.training = TrainDetectorController(session, view.train)
        self.review_queue = ReviewQueue(session)
        self.canvas = CellLayerController(session, bridge, self.review_queue, self.tasks.classify)
        self.pace = EmbeddingPace(session, bridge, self.tasks)
        self.cell_editor = CellEditor(session, bridge, self.canvas)
        self.likeness = LikenessController(session)
        self.project_controller = ProjectController(view, session, bridge, self.tasks, self.voice)
        self.project_panel = ProjectPanelController(
            view.place, session, bridge, self.project_controller, self.voice
        )
        self.detect_controller = DetectController(
            session, bridge, self.tasks, self.training, self.voice
        )
        self.classify_controller = ClassifyController(
            view, session, bridge, self.tasks, self.voice
        )
        self.heat = HeatMapController(session, bridge, partial(getattr, self.canvas, "current"))
        self.finetune_controller = FineTuneController(
            view, session, bridge, canvas=self.canvas, tasks=self.tasks, voice=self.voice
        )
        classifying = self.finetune_controller.run
        self.adapt_controller = AdaptEncoderController(
            view.classify.adapt, session, bridge,
            tasks=self.tasks, voice=self.voice,
            trainings={"detector": self.training, "classifier": classifying},
        )  # fmt: skip
        self.alike_controller = TrainSiameseController(
            view.classify.alike, session, bridge,
            tasks=self.tasks, voice=self.voice,
            trainings={"detector": self.training, "classifier": classifying,
                       "encoder": self.adapt_controller.run},
        )  # fmt: skip
        self.alike_controller.run.likeness_changed.connect(self.likeness.forget)
        self.thermograms = ThermogramController(
            view.thermogram, view.detect, bridge.thermograms, self.voice
        )
        self.pictures = PicturesController(view.pictures, view.detect, session, bridge, self.voice)
        self.annotators = AnnotatorsController(
            view.annotators, session, bridge, self.voice, self.canvas
        )
        self._subscriptions = Subscriptions(self)
        self.close = CloseOnce(*self._close_steps())
        self._connect_session()
        self._connect_panels()
        self._connect_work()
        self.show_step("detect")
        self.project_controller.layers_changed()

    def _close_steps(self) -> tuple[Callable[[], None], ...]:
        """Return what closing does: stop the threads, leave the viewer alone, close the project.

        In this order; all of it is on disk.
        """
        return (
            self._subscriptions.drop,
            self.project_controller.settled.stop,
            self.pace.close,
            self.tasks.close,
            self.review_queue.close,
            self.likeness.close,
            self.thermograms.jobs.close,
            *self.project_panel.close_callbacks,
            *self.pictures.close_callbacks,
            *self.annotators.close_callbacks,
            self.map_jobs.close,
            self.training.close,
            self.heat.close,
            self.finetune_controller.run.close,
            self.adapt_controller.run.close,
            self.alike_controller.run.close,
            self.finetune_controller.navigator.close,
            self.cell_editor.close,
            self.canvas.close,
            self.bridge.close,
            self.session.close,
        )

    def leave(self) -> None:
        """Close, and take the gallery, the map and the marks on the canvas out of the viewer."""
        self.close()
        self.bridge.remove_overlays()
        self.annotators.layers.clear()
        view = self.view
        for widget in (view.gallery, view.map, view.light_table, view.compare):
            if widget is not None:
                self.bridge.remove_dock(widget)

    # --- wiring ------------------------------------------------------------------------------

    def _connect_session(self) -> None:
        events, viewer = self.session.events, self.bridge.events
        for signal, slot in (
            (events.project, self._project_changed),
            (events.image, self._image_changed),
            (events.noticed, self.project_controller.notice),
            (events.cells, self._cells_changed),
            (events.corrected, self._cells_corrected),
            (events.annotations, self._update),
            (events.prediction, self._update),
            (events.palette, self._step_taken),
            (events.annotations, self._step_taken),
            (events.corrected, self._step_taken),
            (events.shift, self.classify_controller.warn_of_shift),
            (events.prediction, self.classify_controller.warn_of_doubts),
            (viewer.layers, self.project_controller.layers_changed),
            (viewer.layers, self.thermograms.update),
            (viewer.removed, self.project_controller.layer_removed),
            (viewer.active, self.project_controller.active_changed),
            (viewer.sight, self.project_controller.sight_changed),
            (viewer.sight, self.thermograms.update),
        ):
            self._subscriptions.add(signal, slot)

    def _connect_panels(self) -> None:
        view, canvas = self.view, self.canvas
        view.header.step_requested.connect(self.show_step)
        view.next_step_button.clicked.connect(self._go_on)
        view.classify.finetune_requested.connect(self.finetune_controller.open)
        view.folder_training.clicked.connect(self._train_on_folders)
        view.finetune.back_requested.connect(self._leave_finetuning)
        view.classify.heat_requested.connect(self.heat.toggle)
        view.classify.doubts.show_requested.connect(canvas.go_to)
        canvas.heat_requested.connect(self.heat.toggle)
        self.heat.said.connect(self.voice.say)
        self.heat.warning_emitted.connect(self.voice.warn)
        view.detect.detect_requested.connect(self._detect)
        view.detect.params_changed.connect(self._redetect)
        for part in (view.detect, view.place):
            part.folder_chosen.connect(self.pictures.open_folder)
        view.pictures.light_table_requested.connect(self.show_light_table)
        view.annotate.next_requested.connect(canvas.next)
        view.annotate.previous_requested.connect(canvas.previous)
        view.annotate.undo_requested.connect(canvas.undo)
        view.annotate.redo_requested.connect(canvas.redo)
        view.annotate.refused.connect(self.voice.refuse)
        view.classify.display_requested.connect(canvas.show_mode)
        view.export.export_requested.connect(self._export)
        view.messages.cancel_requested.connect(self.detect_controller.cancel)
        for bar in view.edit_bars:
            bar.tool_requested.connect(self.cell_editor.take)
            bar.action_requested.connect(self.cell_editor.act)
            bar.with_class_toggled.connect(self.cell_editor.set_label_new_cells)

    def _connect_work(self) -> None:
        view, tasks, canvas, voice = self.view, self.tasks, self.canvas, self.voice
        tasks.progressed.connect(view.messages.progress)
        tasks.idle.connect(view.messages.finish)
        tasks.idle.connect(self._update)
        tasks.refused.connect(voice.warn)
        tasks.failed.connect(voice.fail)
        tasks.exported.connect(self._exported)
        tasks.classification_dropped.connect(canvas.recolour)
        self.project_controller.annotated.connect(self._show_annotations)
        self.project_controller.step_kept.connect(self.show_step)
        self.project_controller.changed.connect(self._update)
        self.project_panel.panel_made.connect(self._dock_project_panel)
        self.detect_controller.changed.connect(self._update)
        self.pictures.changed.connect(self._update)
        self.pictures.drawn.connect(self._paint_pictures)
        canvas.refused.connect(voice.refuse)
        canvas.mode_changed.connect(view.classify.show_mode)
        canvas.help_requested.connect(view.show_keys)
        canvas.pointed_at.connect(self._show_pointed_at)
        self.cell_editor.changed.connect(self._show_tools)
        self.cell_editor.said.connect(voice.say)
        self.cell_editor.refused.connect(voice.refuse)
        self.training.said.connect(voice.say)
        self.training.warning_emitted.connect(voice.warn)
        self.finetune_controller.navigator.image_opened.connect(self._show_classes)

    # --- steps -------------------------------------------------------------------------------

    def show_step(self, step: Step) -> None:
        """Open a step; clicks annotate cells in the steps that show the class palette."""
        if step != self.view.step and self.view.messages.level == "info":
            self.voice.say("")  # what was said about the step before
        self.view.show_step(step)
        self.canvas.labelling = step in {"annotate", "classify"}
        self.cell_editor.take("")
        if step in {"annotate", "classify"}:
            self._ensure_embeddings()
        self._update()

    def _show_annotations(self) -> None:
        self.show_step("annotate")

    def _show_classes(self) -> None:
        self.show_step("classify")

    def _train_on_folders(self) -> None:
        """Ask for class folders on the page of fine-tuning, which needs no image for them."""
        self.finetune_controller.open()
        self.show_step("classify")
        self.finetune_controller.run.preparation.folders.ask_if_none()

    def _leave_finetuning(self) -> None:
        """Without cells, there is nothing to see in *Classify*."""
        if self.session.cells is None:
            self.show_step("detect")

    def _go_on(self) -> None:
        self.show_step(STEPS[min(STEPS.index(self.view.step) + 1, len(STEPS) - 1)])

    def _ensure_embeddings(self) -> None:
        session = self.session
        wanted = session.cells is not None and session.embeddings is None
        if wanted and not self.tasks.jobs.running("embed"):
            self.tasks.embed()

    def _detect(self, request: DetectRequest) -> None:
        """Detect cells in what is in sight, once that is open."""
        if self.project_controller.keep_to_sight():
            self.detect_controller.detect(request)

    def _redetect(self, request: DetectRequest) -> None:
        """Detect again at another sensitivity, where the cells are those in sight."""
        if self.session.cells is not None and self.project_controller.keep_to_sight():
            self.detect_controller.redetect(request)

    # --- export ------------------------------------------------------------------------------

    def _export(self, request: ExportRequest) -> None:
        now = take_snapshot(self.session)
        self.view.export.clear_result()
        if now is not None:
            self.tasks.export(partial(export_steps, request, now))
            self._update()

    def _exported(self, result: ExportResult) -> None:
        folder, written, note = result
        self.view.export.show_result(folder, written)
        self.voice.say(f"Written into {folder}.{note}")

    # --- what is possible now ----------------------------------------------------------------

    def _project_changed(self) -> None:
        project = self.session.project
        if project is not None:
            self.view.export.suggest_folder(project.folder / "export")
        self._update()

    def _image_changed(self) -> None:
        """An image that was never detected in has no result: that of the one before goes."""
        self.view.detect.show_result(self.session.cells, self.session.image)
        self._update()

    def _cells_changed(self) -> None:
        self.view.detect.show_result(self.session.cells, self.session.image)
        if self.view.gallery is None and self.session.cells is not None:
            self._add_gallery()
        self._update()

    def _cells_corrected(self, _change: object) -> None:
        self.view.detect.show_result(self.session.cells, self.session.image)
        self._update()

    def _show_tools(self) -> None:
        for bar in self.view.edit_bars:
            bar.show_state(self.cell_editor.state)

    def _add_gallery(self) -> None:
        gallery = self.view.make_gallery(self.review_queue)
        gallery.cell_activated.connect(self.canvas.go_to)
        # Queued: the gallery scrolls while the classifier works, not before it is asked.
        queued = Qt.ConnectionType.QueuedConnection
        self.canvas.chosen.connect(gallery.select_cell, queued)  # type: ignore[call-arg]  # stub
        gallery.refused.connect(self.voice.refuse)
        self.bridge.add_dock(gallery, "HemaCells gallery")
        cell_map = self.view.make_map(self.map_jobs)
        cell_map.cell_activated.connect(self.canvas.go_to)
        cell_map.refused.connect(self.voice.refuse)
        self.bridge.add_dock(cell_map, "HemaCells map", behind=gallery)
        table = self.view.make_light_table()
        table.cell_activated.connect(self.canvas.go_to)
        table.refused.connect(self.voice.warn)
        table.similar_requested.connect(self.likeness.order)
        self.bridge.add_dock(table, "HemaCells light table", behind=gallery)
        self._add_compare(gallery)

    def _add_compare(self, gallery: GalleryWidget) -> None:
        """Dock the panel of two cells, and connect what asks for likeness and answers it."""
        likeness, canvas = self.likeness, self.canvas
        likeness.panel = panel = self.view.make_compare()
        panel.restyle()
        self.bridge.add_dock(panel, "HemaCells compare", behind=gallery)
        panel.pick_requested.connect(self._compare_chosen)
        panel.clear_requested.connect(likeness.clear)
        gallery.compare_requested.connect(likeness.compare)
        gallery.similar_requested.connect(
            lambda cells, everywhere: likeness.order(cells, whole_project=everywhere)
        )
        gallery.odd_requested.connect(likeness.next_odd)
        gallery.elsewhere_activated.connect(self.finetune_controller.navigator.go_to)
        canvas.likeness_asked.connect(self._likeness_key)
        canvas.mode_changed.connect(self._display_changed)
        likeness.said.connect(self.voice.say)
        likeness.refused.connect(self.voice.refuse)
        likeness.compared.connect(lambda: self.bridge.raise_dock(panel))
        likeness.ordered.connect(self._show_similar)
        likeness.project_ordered.connect(self._show_project_order)
        likeness.odd_found.connect(self._show_odd)
        likeness.go_to.connect(canvas.go_to)

    def _likeness_key(self, action: str) -> None:
        """Answer a key on the image that compares cells."""
        if action.startswith("odd"):
            self.likeness.next_odd(-1 if action.endswith("before") else 1)
            return
        cells = self.cell_editor.targets()
        if action == "compare":
            self.likeness.compare(cells)
        else:
            self.likeness.order(cells, whole_project=action.endswith("everywhere"))

    def _compare_chosen(self) -> None:
        gallery = self.view.gallery
        chosen = [] if gallery is None else gallery.chosen_cells()
        self.likeness.compare(self.cell_editor.chosen or chosen or self.cell_editor.targets())

    def _display_changed(self, mode: str) -> None:
        self.likeness.show_colours(shown=mode == "odd")

    def _paint_pictures(self) -> None:
        """Paint pictures of a folder that were read meanwhile."""
        for widget in (self.view.gallery, self.view.light_table):
            if widget is not None:
                widget.repaint_pictures()

    def show_light_table(self) -> None:
        """Bring the light table to the front, with room for it."""
        if self.view.light_table is not None:
            self.bridge.raise_dock(self.view.light_table, tall=True)

    def _show_similar(self, cells: list[int], picked: int) -> None:
        if self.view.gallery is not None:
            self.bridge.raise_dock(self.view.gallery)
            self.view.gallery.show_similar(cells, picked)

    def _show_project_order(self, found: LikeThis) -> None:
        if self.view.gallery is not None:
            self.bridge.raise_dock(self.view.gallery)
            self.view.gallery.show_project(found)

    def _show_odd(self, cells: list[int], called: bool) -> None:
        """Show the odd cells in the gallery, and in their colour on the image."""
        if not cells:
            return
        if self.view.gallery is not None:
            self.view.gallery.propose(cells, "Odd ones" if called else "Farthest")
        self.canvas.show_mode("odd")

    def _dock_project_panel(self, panel: ProjectPanel) -> None:
        self.view.project = panel
        self.bridge.add_dock(panel, "HemaCells project", behind=self.view.gallery)

    def _step_taken(self, _what: object = None) -> None:
        self.voice.forget_refusal()

    def _update(self, _what: object = None) -> None:
        session, header = self.session, self.view.header
        self.thermograms.update()
        image = session.image
        self.view.show_image_name(*(("",) if image is None else (image.name, image.notes)))
        self.view.messages.regions = self._shows_thermogram
        cells = session.cells is not None
        missing = "" if cells else _NO_REGIONS if self._shows_thermogram else _NO_CELLS
        # A detector of cells has no use for a thermogram, nor for pictures of one cell each.
        detects = not self._shows_thermogram and (image is None or image.sheet is None)
        view = self.view
        view.train.setVisible(detects or self.training.running)
        header.set_state("detect", done=bool(session.cells))
        header.set_state("annotate", done=bool(session.annotated), missing=missing)
        header.set_state("classify", done=session.prediction is not None, missing=missing)
        header.set_state("export", done=False, missing=missing)
        self.view.next_step_button.setEnabled(cells)
        self.view.next_step_button.setToolTip(missing or "Alt+G")
        busy = self.tasks.jobs.running
        waiting = busy("detect") or busy("open") or busy("keep")
        self.view.detect.block("Wait until it has finished, or press Cancel." if waiting else "")
        no_model = "" if has_model(session) else _NO_MODEL
        blocked = missing or (
            "An export is being written. Wait until it has finished." if busy("export") else ""
        )
        self.view.export.block(blocked, no_model)
        on_folders = self.view.step == "classify" and self.view.finetune.is_open  # needs no cells
        if not cells and not on_folders and self.view.step != "detect":
            self.show_step("detect")
        self._word_panels()

    @property
    def _shows_thermogram(self) -> bool:
        image = self.session.image
        return image is not None and image.modality == "temperature"

    def _word_panels(self) -> None:
        """Let the panels speak of regions where the image is a thermogram."""
        regions, view = self._shows_thermogram, self.view
        if regions or self._worded:
            panels = (
                view.header, view.pages, view.gallery, view.map, view.light_table, view.compare,
                view.next_step_button,
            )  # fmt: skip
            speak_of_regions([panel for panel in panels if panel is not None], regions=regions)
        self._worded = regions

    def _show_pointed_at(self, text: str) -> None:
        self.view.pointed_at.setText(about_regions(text) if self._shows_thermogram else text)
