"""The box that names what the user should look at: odd annotations, and contradictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_hemacells.widgets import theme
from napari_hemacells.widgets.plain_text import PlainLabel

if TYPE_CHECKING:
    from napari_hemacells.session import Session


class DoubtsBox(QFrame):
    """Annotations that look unlike the others, and cells that the detector took for another kind.

    Hidden while there is nothing to say.

    Signals
    -------
    show_requested
        Show this cell.
    confirm_requested
        These cells' annotations are right.
    review_requested
        Review the rare kinds.
    """

    show_requested = Signal(int)
    confirm_requested = Signal(tuple)
    review_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self._cells: tuple[int, ...] = ()
        self.unlike, self.contradiction = PlainLabel(), PlainLabel()
        self.unlike.setAccessibleName("Annotations unlike the others")
        self.contradiction.setAccessibleName("Disagreement with the detector")
        self.show_button = QPushButton("Show it")
        self.show_button.setToolTip("Go to the annotated cell; give it another class if it is not")
        self.confirm_button = QPushButton("It is right")
        self.confirm_button.setToolTip("The annotation counts like the others again")
        self.review_button = QPushButton("Review rare kinds")
        self.review_button.setToolTip(
            "Show the cells of rare kinds in the gallery, the most useful ones first"
        )
        buttons = QHBoxLayout()
        for button in (self.show_button, self.confirm_button, self.review_button):
            buttons.addWidget(button)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        for label in (self.unlike, self.contradiction):
            label.setWordWrap(True)
            column.addWidget(label)
        column.addLayout(buttons)
        self.show_button.clicked.connect(self._show)
        self.confirm_button.clicked.connect(self._confirm)
        self.review_button.clicked.connect(self.review_requested)
        self.hide()

    def show_state(self, session: Session) -> None:
        """Show what is doubtful, or nothing."""
        doubts = session.doubts
        self._cells = doubts.unlike
        one = len(doubts.unlike) == 1
        self.show_button.setText("Show it" if one else "Show the first")
        self.confirm_button.setText("It is right" if one else "They are right")
        for part, text in (
            (self.unlike, doubts.unlike_sentence),
            (self.contradiction, doubts.contradiction_sentence),
        ):
            part.setText(f"▲ {text}" if text else "")
            part.setVisible(bool(text))
        self.show_button.setVisible(bool(doubts.unlike))
        self.confirm_button.setVisible(bool(doubts.unlike))
        self.review_button.setVisible(bool(doubts.contradictions))
        self.setVisible(bool(doubts.unlike or doubts.contradictions))
        self.setStyleSheet(
            f"DoubtsBox {{ border: none; border-left: 4px solid {theme.css('warning')};"
            f" background: {theme.css('foreground')}; }}"
        )

    def _show(self) -> None:
        if self._cells:
            self.show_requested.emit(self._cells[0])

    def _confirm(self) -> None:
        if self._cells:
            self.confirm_requested.emit(self._cells)
