"""A warning that this slide does not look like those that the classifier knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_hemacells.session.shifting import ENOUGH_CLICKS
from napari_hemacells.widgets import theme

if TYPE_CHECKING:
    from napari_hemacells.session import Session
    from napari_hemacells.session.shifting import Measured

_HELP = (
    "How much farther the cells of this slide are from the cells that the classifier knows than "
    "these are from one another, in their standard deviation. About 0: another image of the same "
    "slide. Above the level: another stain, lamp, scanner or laboratory, or cells never seen."
)
_MOVE_HELP = (
    "Move and stretch the embeddings of this slide onto those that the classifier knows. Takes "
    "the common effect of stain and scanner away; not for a slide with other kinds of cells. "
    "Press again to go back; tables and report say it."
)


class ShiftWarning(QFrame):
    """Hidden while the slide looks alike; otherwise a sentence and two ways out.

    Signals
    -------
    restandardise_toggled
        Whether the embeddings of the slide are to be moved onto those known.
    label_requested
        Some cells of this slide are to be labelled.
    """

    restandardise_toggled = Signal(bool)
    label_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setToolTip(_HELP)
        self.text.setAccessibleName("How far this slide is from those known")
        self.move_it = QPushButton("&Re-standardise this slide")
        self.move_it.setCheckable(True)
        self.move_it.setToolTip(_MOVE_HELP)
        self.label_more = QPushButton("Label &five more")
        self.label_more.setToolTip("Show the five cells of this slide that teach most, to label")
        row = QHBoxLayout()
        row.addWidget(self.move_it)
        row.addWidget(self.label_more)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.addWidget(self.text)
        column.addLayout(row)
        self.move_it.clicked.connect(self.restandardise_toggled)
        self.label_more.clicked.connect(self.label_requested)
        self.hide()

    def show_state(self, session: Session) -> None:
        """Show what is known of this slide, or nothing where it looks alike."""
        found, moved = session.measured, session.restandardised
        self.setVisible(found is not None and (found.shift.is_large or moved))
        if found is None:
            return
        clicks = len(session.annotated)
        self.move_it.setChecked(moved)
        self.label_more.setVisible(clicks < ENOUGH_CLICKS)
        self.text.setText(in_words(found, moved=moved, clicks=clicks))
        self._style(alarmed=not moved and clicks < ENOUGH_CLICKS)

    def _style(self, *, alarmed: bool) -> None:
        edge = theme.css("warning") if alarmed else theme.css("primary")
        self.setStyleSheet(
            f"ShiftWarning {{ border: none; border-left: 4px solid {edge};"
            f" background: {theme.css('foreground')}; }}"
        )


def in_words(found: Measured, *, moved: bool, clicks: int) -> str:
    """What the score means and what can be done, in one or two sentences."""
    score, level, after = found.shift.score, found.shift.level, found.after.score
    if moved:
        return (
            f"This slide is re-standardised: its shift of {score:.1f} (level {level:.1f}) is "
            f"{after:.1f} now. Tables and report say so."
        )
    if clicks >= ENOUGH_CLICKS:
        return (
            f"This slide looks unlike those that the classifier knew (shift {score:.1f}, level "
            f"{level:.1f}); your {clicks:,} clicks here teach it."
        )
    return (
        f"▲ This slide looks unlike those that the classifier knows: shift {score:.1f}, level "
        f"{level:.1f}. Its classes and confidence may be wrong. Re-standardised it would be "
        f"{after:.1f}."
    )
