"""The section *Adapt to my slides*: training set, progress and result."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton

from napari_hemacells.core.train.progress import format_duration
from napari_hemacells.core.train.selfsupervised.estimate import AvailableCells
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.plain_text import plain_tip
from napari_hemacells.widgets.training.section import TrainingSection, row_layout, text_label
from napari_hemacells.widgets.training.steps import format_count

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent
    from qtpy.QtWidgets import QWidget

    from napari_hemacells.core.train.selfsupervised.config import AdaptOutcome

HELP = (
    "The encoder trains on your cells without their classes. It learns to recognise each "
    "cell in other light, blur and framing. This takes some minutes; you can go on working. "
    "The result is kept only if it separates your classes at least as well as before, and "
    "used only if you choose it."
)
FEW_CLICKS = 50  # clicks; with fewer, what a single one makes of the figure is told


@dataclass(frozen=True)
class AdaptationSummary:
    """The training set of an adaptation, and the time it takes.

    Attributes
    ----------
    clicks
        Annotated cells that evaluate the result; 0 where there are too few.
    reason
        Why it is not possible now; empty where it is.
    """

    lessons: AvailableCells = field(default_factory=AvailableCells)
    clicks: int = 0
    seconds: float = 0.0
    cores: int = 1
    reason: str = ""

    def words(self) -> str:
        """The training set and the annotations for the evaluation, in a sentence."""
        cells, taught = self.lessons.cells, self.lessons.taught
        some = (
            f"{taught:,} of {format_count(cells, 'cell')}"
            if taught < cells
            else format_count(cells, "cell")
        )
        judged = (
            f"{self.clicks:,} of your annotations evaluate the result"
            if self.clicks
            else "You have too few annotations to evaluate it (two classes with two or more each)"
        )
        return f"Trains on {some} of {format_count(self.lessons.images, 'image')}. {judged}."

    def format_duration(self) -> str:
        """The time it takes, in a sentence."""
        cores = format_count(self.cores, "core")
        return f"Takes about {format_duration(self.seconds)} on {cores}; you can go on working"


class AdaptEncoderPanel(TrainingSection):
    """The section for adapting the encoder.

    Signals
    -------
    start_requested
        Start was pressed.
    back_requested
        The previous encoder is to be used again.
    seen
        The section became visible.
    """

    start_requested = Signal()
    back_requested = Signal()
    seen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Adapt to &my slides…", parent)
        self.bar.setAccessibleName("Progress of the adaptation")
        self.cancel.setToolTip("Stop the adaptation; the encoder does not change")
        self.use.setToolTip("Use the adapted encoder in this project from now on")
        self.start.setText("S&tart")  # no other letter of this page
        self.in_use = text_label()
        self.back = QPushButton("&Back to the previous one")
        self.before.append(self.lessons)
        self.column.addWidget(self.lessons)
        self.column.addWidget(self.start)
        self.lay_out()
        self.whole.insertLayout(1, row_layout((self.in_use, 1), (self.back, 0)))
        self.start.clicked.connect(self.start_requested)
        self.back.clicked.connect(self.back_requested)
        self.show_in_use("")
        self.show_ready(AdaptationSummary(reason=HELP))

    def show_ready(self, ready: AdaptationSummary) -> None:
        """Show the training set and the time it takes, or what is missing."""
        possible = not ready.reason
        self.title.setEnabled(possible or self.title.isChecked())
        self.title.setToolTip(plain_tip(f"{HELP}\n\n{ready.reason or ready.words()}"))
        self.lessons.setText(
            f"{ready.words()} {ready.format_duration()}." if possible else ready.reason
        )
        self.start.setEnabled(possible)
        self.start.setToolTip(plain_tip(ready.reason or ready.format_duration()))

    def show_in_use(self, base: str) -> None:
        """Offer to go back to the encoder of this title; empty if none was adapted."""
        for widget in (self.in_use, self.back):
            widget.setVisible(bool(base))
        self.in_use.setText("An adapted encoder is in use." if base else "")
        self.back.setToolTip(
            plain_tip(f"{base}. Your annotations and the adapted encoder are kept")
        )

    def show_adapted(self, outcome: AdaptOutcome) -> None:
        """Show the result; if the encoder was kept, ask what to do with it."""
        self.title.setEnabled(True)
        self.show_outcome(format_adaptation_result(outcome))
        self.use.setVisible(outcome.kept)
        self.drop.setText("D&iscard" if outcome.kept else "Close")
        self.drop.setToolTip(
            "Remove the adapted encoder; nothing else changes" if outcome.kept else ""
        )

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        super().restyle()
        theme.mute_text(self.in_use)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Update what changed while the section was hidden."""
        super().showEvent(event)
        self.seen.emit()


def format_adaptation_result(outcome: AdaptOutcome) -> str:
    """Return the leave-one-out accuracy before and after, and the verdict."""
    notes = "".join(f"<p>{escape(note)}</p>" for note in outcome.notes)
    return f"{_figures(outcome)}<p>{_verdict(outcome)}</p>{notes}"


def _figures(outcome: AdaptOutcome) -> str:
    if outcome.before is None or outcome.after is None:
        return ""
    rough = (
        f" One annotation is {100 / outcome.clicks:.0f} points."
        if outcome.clicks < FEW_CLICKS
        else ""
    )
    return (
        f"<p>Correct by leave-one-out on your {outcome.clicks:,} annotations (mean over the "
        "classes):</p><table cellspacing='6'><tr><td>before</td><td "
        f"align='right'>{outcome.before:.1%}</td></tr><tr><td>after</td><td "
        f"align='right'><b>{outcome.after:.1%}</b></td></tr></table>{rough}"
    )


def _verdict(outcome: AdaptOutcome) -> str:
    if outcome.before is None or outcome.after is None:
        return (
            "Better or worse: <b>too few annotations to say</b> (two classes with two or "
            "more each). Compare before you rely on it."
        )
    evidence = f"by leave-one-out on {outcome.clicks:,} annotations"
    if not outcome.kept:
        return f"<b>Not kept</b>: {evidence}, it is worse. The encoder has not changed."
    better = "better" if outcome.after > outcome.before else "no worse"
    return f"<b>Kept</b>: {evidence}, it is {better}."
