"""*Adapt to my slides*: what the network would learn from, how it goes, what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton

from napari_hemacells.core.train.progress import format_duration
from napari_hemacells.core.train.selfsupervised.estimate import AvailableCells
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.training.section import TrainingSection, row_layout, text_label
from napari_hemacells.widgets.training.steps import format_count

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent
    from qtpy.QtWidgets import QWidget

    from napari_hemacells.core.train.selfsupervised.config import AdaptOutcome

HELP = (
    "The network looks at your cells, without their classes, and learns to recognise each of them "
    "in other light, blur and frame. That takes minutes, beside your work. The result is kept "
    "only if it tells your clicks apart no worse than before, and used only if you say so."
)
FEW_CLICKS = 50  # clicks; with fewer, what a single one makes of the figure is told


@dataclass(frozen=True)
class AdaptationSummary:
    """What there is to learn from, and how long that takes.

    Attributes
    ----------
    clicks
        Annotated cells that would judge the result; 0 where there are too few.
    reason
        Why it is not possible now; empty where it is.
    """

    lessons: AvailableCells = field(default_factory=AvailableCells)
    clicks: int = 0
    seconds: float = 0.0
    cores: int = 1
    reason: str = ""

    def words(self) -> str:
        """What it would learn from and be judged by."""
        cells, taught = self.lessons.cells, self.lessons.taught
        some = (
            f"{taught:,} of {format_count(cells, 'cell')}"
            if taught < cells
            else format_count(cells, "cell")
        )
        judged = (
            f"{self.clicks:,} of your clicks judge the result"
            if self.clicks
            else "You have too few clicks to judge it by (two classes with two or more each)"
        )
        return f"Learns from {some} of {format_count(self.lessons.images, 'image')}. {judged}."

    def format_duration(self) -> str:
        """How long it takes, in words."""
        cores = format_count(self.cores, "core")
        return f"Takes about {format_duration(self.seconds)} on {cores}; you can go on working"


class AdaptEncoderPanel(TrainingSection):
    """The section of the encoder.

    Signals
    -------
    start_requested
        The encoder is to be adapted.
    back_requested
        The encoder that the adapted one started from is wanted again.
    seen
        The section came into sight.
    """

    start_requested = Signal()
    back_requested = Signal()
    seen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Adapt to &my slides…", parent)
        self.bar.setAccessibleName("Progress of the adaptation")
        self.cancel.setToolTip("Stop it; the encoder stays as it is")
        self.use.setToolTip("Look at cells with the adapted encoder in this project from now on")
        self.start.setText("S&tart")  # no other letter of this page
        self.in_use = text_label()
        self.back = QPushButton("&Back to the former")
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
        """Say what it would learn from and how long it would take, or what is missing."""
        possible = not ready.reason
        self.title.setEnabled(possible or self.title.isChecked())
        self.title.setToolTip(f"{HELP}\n\n{ready.reason or ready.words()}")
        self.lessons.setText(
            f"{ready.words()} {ready.format_duration()}." if possible else ready.reason
        )
        self.start.setEnabled(possible)
        self.start.setToolTip(ready.reason or ready.format_duration())

    def show_in_use(self, base: str) -> None:
        """Offer the way back to the encoder of this title; empty where none was adapted."""
        for widget in (self.in_use, self.back):
            widget.setVisible(bool(base))
        self.in_use.setText("Cells are looked at with an adapted encoder." if base else "")
        self.back.setToolTip(f"{base}. Your annotations stay, and the adapted one too")

    def show_adapted(self, outcome: AdaptOutcome) -> None:
        """Say what came of it; where there is a new encoder, ask what to do with it."""
        self.title.setEnabled(True)
        self.show_outcome(format_adaptation_result(outcome))
        self.use.setVisible(outcome.kept)
        self.drop.setText("Dro&p it" if outcome.kept else "Close")
        self.drop.setToolTip("Remove the adapted encoder; nothing changes" if outcome.kept else "")

    def restyle(self) -> None:
        """Take the colours of the present theme."""
        super().restyle()
        theme.mute_text(self.in_use)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Catch up with what happened while something else was shown."""
        super().showEvent(event)
        self.seen.emit()


def format_adaptation_result(outcome: AdaptOutcome) -> str:
    """Return how well the clicks are told apart before and after, and the verdict."""
    notes = "".join(f"<p>{escape(note)}</p>" for note in outcome.notes)
    return f"{_figures(outcome)}<p>{_verdict(outcome)}</p>{notes}"


def _figures(outcome: AdaptOutcome) -> str:
    if outcome.before is None or outcome.after is None:
        return ""
    rough = (
        f" One click is {100 / outcome.clicks:.0f} points." if outcome.clicks < FEW_CLICKS else ""
    )
    return (
        f"<p>Recognised of your {outcome.clicks:,} clicks, each asked without itself (mean over "
        "the classes):</p><table cellspacing='6'>"
        f"<tr><td>before</td><td align='right'>{outcome.before:.1%}</td></tr>"
        f"<tr><td>after</td><td align='right'><b>{outcome.after:.1%}</b></td></tr></table>{rough}"
    )


def _verdict(outcome: AdaptOutcome) -> str:
    if outcome.before is None or outcome.after is None:
        return (
            "Better or worse: <b>too few clicks to say</b> (two classes with two or more each). "
            "Compare before you rely on it."
        )
    evidence = f"as far as {outcome.clicks:,} clicks tell"
    if not outcome.kept:
        return f"<b>Not kept</b>: {evidence}, it is worse. The encoder you have stays."
    better = "better" if outcome.after > outcome.before else "no worse"
    return f"<b>Kept</b>: {evidence}, it is {better}."
