"""The section *Same kind or not*: the likeness in use, and training one of the user's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton

from napari_hemacells.core.params import SiameseParams
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.forms import ParamsForm, build_params
from napari_hemacells.widgets.plain_text import plain_tip
from napari_hemacells.widgets.training.section import (
    TrainingSection,
    link_to,
    row_layout,
    text_label,
)
from napari_hemacells.widgets.training.steps import format_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qtpy.QtGui import QShowEvent
    from qtpy.QtWidgets import QWidget

    from napari_hemacells.core.train.siamese.config import SiameseOutcome

HELP = (
    "Learn which cells are alike, also of kinds that nobody annotated. Compare (C), More like "
    "this (L), Odd ones (O) and the triage report then use it."
)
ANNOTATIONS_IN_USE = "In use: the distance learned from your annotations, anew with each."
MOST_LISTED = 8  # kinds named in a sentence
_FIELDS = ("network", "loss", "threshold")
_NETWORKS = {
    "distance": "Takes seconds.",
    "head": "Takes seconds to a minute.",
    "tuned": "Takes minutes. Used, it is the encoder: cells are embedded and classified anew.",
    "thesis": "Takes minutes. Used, it is the encoder: cells are embedded and classified anew.",
}


@dataclass(frozen=True)
class LikenessSource:
    """What a likeness would be trained on.

    Attributes
    ----------
    kinds
        Number of annotated cells of each kind; nothing while class folders are not counted.
    folder
        Name of the class folders; empty for the annotated cells of the project.
    reason
        Why it is not possible now; empty where it is.
    """

    kinds: Mapping[str, int] = field(default_factory=dict)
    folder: str = ""
    reason: str = ""

    def words(self) -> str:
        """The training set in a sentence."""
        if self.folder:
            return f"Trains on the class folders in {self.folder}."
        return f"Trains on {format_kinds(self.kinds)}."


def format_kinds(kinds: Mapping[str, int]) -> str:
    """Return the cells of each kind, as text."""
    listed = ", ".join(f"{name} {count:,}" for name, count in list(kinds.items())[:MOST_LISTED])
    more = " and others" if len(kinds) > MOST_LISTED else ""
    cells = format_count(sum(kinds.values()), "annotated cell")
    return f"{cells} of {format_count(len(kinds), 'kind')} ({listed}{more})"


class TrainSiamesePanel(TrainingSection):
    """The section for learning which cells are alike.

    Signals
    -------
    start_requested
        Train with these :class:`~napari_hemacells.core.params.SiameseParams`.
    folders_requested
        Choose class folders to train on, or the annotated cells again.
    load_requested
        Choose a folder that ``hemacells train siamese`` wrote.
    back_requested
        Use the annotations again.
    refused
        Why the settings cannot be.
    seen
        The section became visible.
    """

    start_requested = Signal(object)
    folders_requested = Signal()
    load_requested = Signal()
    back_requested = Signal()
    refused = Signal(str)
    seen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Same kind or not…", parent, draws_curves=True)
        self.title.setToolTip(HELP)
        self.bar.setAccessibleName("Progress of learning which cells are alike")
        self.cancel.setToolTip("Stop the training; nothing changes")
        self.use.setToolTip("Use it in this project from now on")
        self.use.setText("Use it")  # letters are scarce on this page
        self.drop.setText("Discard")
        self.drop.setToolTip("Remove it; nothing else changes")
        self.start.setText("Start")
        self.in_use = text_label()
        self.load = QPushButton("Use a trained one…")
        self.load.setToolTip("Choose a folder that hemacells train siamese wrote")
        self.back = QPushButton("Back to my annotations")
        self.back.setToolTip("Learn the distance from your annotations again; nothing is removed")
        self.folders = QPushButton("Class folders…")
        self.form = ParamsForm(SiameseParams, _FIELDS)
        self.before += [self.lessons, self.folders, self.form.native]
        self.column.addWidget(self.in_use)
        self.column.addLayout(row_layout((self.load, 1), (self.back, 1)))
        for widget in (self.lessons, self.folders, self.form.native, self.start):
            self.column.addWidget(widget)
        self.lay_out()
        self.start.clicked.connect(self._start)
        self.folders.clicked.connect(self.folders_requested)
        self.load.clicked.connect(self.load_requested)
        self.back.clicked.connect(self.back_requested)
        self.form.changed.connect(self._form_changed)
        self.show_in_use("")
        self.show_source(LikenessSource(reason=HELP))

    def show_in_use(self, basis: str, warning: str = "") -> None:
        """Show what the likeness in use was learned from; empty for the annotations."""
        about = f"In use: a trained one, learned from {basis}"
        self.in_use.setText(f"{warning}{about}" if basis else f"{warning}{ANNOTATIONS_IN_USE}")
        self.back.setVisible(bool(basis or warning))

    def show_source(self, source: LikenessSource) -> None:
        """Show what it would be trained on, or what is missing."""
        self._source = source
        self.lessons.setText(source.reason or source.words())
        self.start.setEnabled(not source.reason)
        self.folders.setText("My annotated cells" if source.folder else "Class folders…")
        self.folders.setToolTip(
            "Train on the annotated cells of this project"
            if source.folder
            else "Train on a folder with one folder of crops for each class"
        )
        self._form_changed()

    def show_trained(self, outcome: SiameseOutcome) -> None:
        """Show what came of a training, and ask what to do with it."""
        notes = "".join(f"<p>{escape(note)}</p>" for note in outcome.notes)
        report = link_to(str(outcome.report), "Open the report")
        seen = f"<p>Its network has seen: {escape(outcome.seen)}.</p>" if outcome.seen else ""
        self.show_outcome(f"<p>{escape(outcome.format_summary())}</p>{seen}{notes}<p>{report}</p>")

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        super().restyle()
        theme.mute_text(self.in_use)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Update what changed while the section was hidden."""
        super().showEvent(event)
        self.seen.emit()

    def _form_changed(self) -> None:
        network = str(self.form.values()["network"])
        self.form.container["loss"].enabled = network != "distance"
        self.start.setToolTip(plain_tip(self._source.reason or _NETWORKS[network]))

    def _start(self) -> None:
        params, error = build_params(SiameseParams, self.form)
        if params is None:
            self.refused.emit(error)
        else:
            self.start_requested.emit(params)
