"""The view of the dock: steps, message bar and project bar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QFrame,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.widgets import theme
from napari_hemacells.widgets.annotate_panel import AnnotatePanel
from napari_hemacells.widgets.annotators.panel import AnnotatorsPanel
from napari_hemacells.widgets.classify.panel import ClassifyPanel
from napari_hemacells.widgets.compare.panel import ComparePanel
from napari_hemacells.widgets.detect.panel import DetectPanel
from napari_hemacells.widgets.export.panel import ExportPanel
from napari_hemacells.widgets.finetune.panel import FineTunePanel
from napari_hemacells.widgets.gallery.embedding_map import EmbeddingMapWidget
from napari_hemacells.widgets.gallery.widget import GalleryWidget
from napari_hemacells.widgets.key_help import KeyHelpDialog
from napari_hemacells.widgets.light_table.widget import LightTableWidget
from napari_hemacells.widgets.message_bar import MessageBar
from napari_hemacells.widgets.pictures.panel import PicturesPanel
from napari_hemacells.widgets.plain_text import PlainLabel, plain_tip
from napari_hemacells.widgets.project_bar import ProjectBar
from napari_hemacells.widgets.step_header import STEPS, Step, StepHeader
from napari_hemacells.widgets.thermography.panel import ThermogramPanel
from napari_hemacells.widgets.train_detector.panel import TrainDetectorPanel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.session import Session
    from napari_hemacells.widgets.background.workers import JobRunner
    from napari_hemacells.widgets.gallery.review_queue import ReviewQueue
    from napari_hemacells.widgets.project.panel import ProjectPanel

MIN_WIDTH = 350


class DockView(QWidget):
    """The four steps, the message bar and the project bar, without behaviour.

    Parameters
    ----------
    session
        The session that the panels show.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.header = StepHeader()
        self.detect = DetectPanel()
        self.train = TrainDetectorPanel()
        self.detect.add_section(self.train)
        self.annotators = AnnotatorsPanel()
        self.detect.add_section(self.annotators)
        self.folder_training = QPushButton("Train on class folders…")
        self.folder_training.setToolTip(
            "Train a classifier on pictures in one folder for each class; needs no image"
        )
        self.detect.add_section(self.folder_training)
        self.thermogram = ThermogramPanel()
        self.detect.add_section(self.thermogram, on_top=True)
        self.pictures = PicturesPanel()
        self.detect.add_section(self.pictures, on_top=True)
        self.annotate = AnnotatePanel(self.session)
        self.classify = ClassifyPanel(self.session)
        self.finetune = FineTunePanel()
        self.classify_pages = QStackedWidget()
        self.export = ExportPanel()
        self.edit_bars = (self.detect.edit_bar, self.annotate.edit_bar)
        self.gallery: GalleryWidget | None = None
        self.map: EmbeddingMapWidget | None = None
        self.light_table: LightTableWidget | None = None
        self.compare: ComparePanel | None = None
        self.keys: KeyHelpDialog | None = None
        self.project: ProjectPanel | None = None
        self.pages = QStackedWidget()
        self.image_name = PlainLabel()
        self.next_step_button = QPushButton()
        self.pointed_at = PlainLabel()
        self.messages = MessageBar()
        self.place = ProjectBar()
        self._lay_out()

    def panel(self, step: Step) -> QWidget:
        """The panel of a step."""
        return {
            "detect": self.detect,
            "annotate": self.annotate,
            "classify": self.classify,
            "export": self.export,
        }[step]

    @property
    def step(self) -> Step:
        """The step shown."""
        return STEPS[self.pages.currentIndex()]

    def show_image_name(self, name: str, notes: Sequence[str] = ()) -> None:
        """Name the image that every step is about; empty for none.

        Parameters
        ----------
        notes
            What was decided about its source: bit depth, axes, channels. In the tooltip, and
            marked in the text.
        """
        about = " ⓘ" if notes else ""
        self.image_name.setText(f"Image: {name}{about}" if name else "")
        self.image_name.setToolTip(plain_tip("\n".join((name, *notes))))
        self.image_name.setVisible(bool(name))

    def show_step(self, step: Step) -> None:
        """Show the panel of a step."""
        self.header.show_step(step)
        self.pages.setCurrentIndex(STEPS.index(step))
        following = STEPS[STEPS.index(step) + 1 :]
        self.next_step_button.setVisible(bool(following))
        if following:
            self.next_step_button.setText(f"&Go on: {following[0].capitalize()}  ▸")

    def show_finetuning(self, *, opened: bool) -> None:
        """Open or leave the fine-tuning page in the step *Classify*."""
        self.classify_pages.setCurrentIndex(int(opened))
        self.finetune.open(opened=opened)

    def scroll_finetuning_to(self, part: QWidget) -> None:
        """Scroll a part of the fine-tuning page to the top."""
        area = self.classify_pages.widget(1)
        bar = area.verticalScrollBar() if isinstance(area, QScrollArea) else None
        if bar is not None:
            bar.setValue(0 if part is self.finetune else part.y())

    def make_gallery(self, upcoming: ReviewQueue) -> GalleryWidget:
        """The gallery of this session, in a dock of its own."""
        self.gallery = GalleryWidget(self.session, upcoming)
        return self.gallery

    def make_light_table(self) -> LightTableWidget:
        """The light table of this session, in a dock of its own."""
        self.light_table = LightTableWidget(self.session)
        return self.light_table

    def make_compare(self) -> ComparePanel:
        """The panel of two cells side by side, in a dock of its own."""
        self.compare = ComparePanel()
        return self.compare

    def make_map(self, jobs: JobRunner) -> EmbeddingMapWidget:
        """The embedding map of this session, in a dock of its own."""
        self.map = EmbeddingMapWidget(self.session, jobs)
        return self.map

    def ask_for_image(self, reason: str) -> Path | None:
        """Ask for the file of an image that was moved."""
        chosen, _ = QFileDialog.getOpenFileName(self, reason)
        return Path(chosen) if chosen else None

    def ask_for_bundle(self) -> Path | None:
        """Ask for the folder of a model to load."""
        chosen = QFileDialog.getExistingDirectory(self, "Load a model bundle (a folder)")
        return Path(chosen) if chosen else None

    def ask_where_to_save(self, name: str) -> Path | None:
        """Ask for the folder to save a model bundle in."""
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the model as a folder", name)
        return Path(chosen) if chosen else None

    def show_keys(self) -> None:
        """Show all keys and gestures in a window of their own, which need not be answered."""
        if self.keys is None:
            self.keys = KeyHelpDialog(self)
        self.keys.show()
        self.keys.raise_()

    def restyle(self, _event: object = None) -> None:
        """Apply the colours of the present theme."""
        for part in (
            self.header, self.messages, self.classify, self.export, self.place, self.train,
            self.finetune, self.pictures, self.annotators, *self.edit_bars,
        ):  # fmt: skip
            part.restyle()
        for docked in (self.map, self.project, self.light_table, self.compare):
            if docked is not None:
                docked.restyle()
        theme.mute_text(self.pointed_at)

    def _lay_out(self) -> None:
        for panel in (self.classify, self.finetune):
            self.classify_pages.addWidget(_scroll_area(panel))
        for step in STEPS:
            page = self.classify_pages if step == "classify" else _scroll_area(self.panel(step))
            self.pages.addWidget(page)
        self.pointed_at.setAccessibleName("Cell under the pointer")
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(6)
        self.image_name.setAccessibleName("Image that is worked on")
        self.image_name.setTextFormat(Qt.TextFormat.PlainText)
        # A long name is cut off rather than widening the dock.
        self.image_name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        column.addWidget(self.header)
        column.addWidget(self.image_name)
        column.addWidget(self.pages, 1)
        for widget in (self.pointed_at, self.next_step_button, self.messages, self.place):
            column.addWidget(widget)
        # Told to grow, else napari puts a stretch below that takes half of the height.
        for grows in (self.pages, self):
            grows.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumWidth(MIN_WIDTH)


def _scroll_area(panel: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setWidget(panel)
    return area
