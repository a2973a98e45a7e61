"""The section *Fine-tune the detector*: training set, progress and results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QPushButton

from napari_hemacells.core.train.progress import format_duration
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.plain_text import plain_tip
from napari_hemacells.widgets.training.section import TrainingSection, row_layout, text_label

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

_COMPLETE = "All of each image counts: unmarked cells are learned as background."
_EFFORTS = {"Usual": 1, "Thorough: four times as long": 4}


@dataclass(frozen=True)
class DetectorTrainingSummary:
    """The training set of the detector, and the time it takes.

    Attributes
    ----------
    reason
        Why it is not possible now; empty where it is.
    """

    images: int = 0
    corrected: int = 0
    seconds: float = 0.0
    cores: int = 1
    reason: str = ""


class TrainDetectorPanel(TrainingSection):
    """The section for fine-tuning the detector."""

    train_requested = Signal(int)  # how many times the usual number of steps
    bundled_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Fine-t&une the detector", parent, draws_curves=True)
        self.title.setToolTip("Train the detector on the images that you corrected")
        self.in_use = text_label()
        self.bundled = QPushButton("Use the bundled one")
        self.effort = QComboBox()
        self.effort.setAccessibleName("Length of the training")
        for label, times in _EFFORTS.items():
            self.effort.addItem(label, times)
        self.cancel.setToolTip("Stop the training; the detector does not change")
        self.use.setToolTip("Use the new detector in this project from now on")
        self.drop.setToolTip("Remove the new detector; nothing else changes")
        self._teaching = DetectorTrainingSummary()
        self.before.append(self.effort)
        self.column.addLayout(row_layout((self.in_use, 1), (self.bundled, 0)))
        for widget in (self.lessons, self.effort, self.start):
            self.column.addWidget(widget)
        self.lay_out()
        self.effort.currentIndexChanged.connect(self._effort_changed)
        self.start.clicked.connect(self._train)
        self.bundled.clicked.connect(self.bundled_requested)

    # --- what is shown -----------------------------------------------------------------------

    def show_training_summary(self, teaching: DetectorTrainingSummary) -> None:
        """Show the training set and the time it takes, or what is missing."""
        self._teaching = teaching
        images = f"{teaching.images} image{'s' * (teaching.images != 1)}"
        self.lessons.setText(
            f"Trains on {images} in which you corrected or classified {teaching.corrected:,} "
            f"cell{'s' * (teaching.corrected != 1)}. {_COMPLETE}"
            if teaching.images
            else teaching.reason
        )
        self.start.setEnabled(not teaching.reason)
        cores = f"{teaching.cores} core{'s' * (teaching.cores != 1)}"
        seconds = teaching.seconds * self.effort.currentData()
        takes = f"Takes about {format_duration(seconds)} on {cores}; you can go on working"
        self.start.setToolTip(plain_tip(teaching.reason or takes))
        if not teaching.reason and self.start.isVisibleTo(self):
            self.tell(f"{takes}.")

    def show_in_use(self, name: str | None) -> None:
        """Show the detector in use: a name, or ``None`` for the bundled one."""
        self.in_use.setText(f"In use: {name}" if name else "In use: the bundled detector")
        self.bundled.setVisible(name is not None)

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        super().restyle()
        theme.mute_text(self.in_use)

    def _train(self) -> None:
        self.train_requested.emit(self.effort.currentData())

    def _effort_changed(self, _index: int) -> None:
        self.show_training_summary(self._teaching)
