"""The step *Annotate*: class palette, undo and redo, next cell, and progress by class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPainterPath, QPen
from qtpy.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QFlowLayout

from napari_hemacells.core.annotate.palette import UNKNOWN_COLOUR
from napari_hemacells.core.types import UNKNOWN
from napari_hemacells.widgets.detect.edit_bar import EditBar
from napari_hemacells.widgets.palette.view import PaletteView
from napari_hemacells.widgets.plain_text import PlainLabel, heading
from napari_hemacells.widgets.subscriptions import SeenUpdates, Subscriptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QPaintEvent

    from napari_hemacells.session import Session


class KeyCap(PlainLabel):
    """A label that shows the name of a key in a rounded frame."""

    def __init__(self, key: str, parent: QWidget | None = None) -> None:
        super().__init__(key, parent)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the size of the text and its frame."""
        metrics = self.fontMetrics()
        width = metrics.horizontalAdvance(self.text()) + 10
        return QSize(max(width, metrics.height() + 4), metrics.height() + 4)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the same size: a key is never cut off."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Paint the frame, then the text."""
        rim = QColor(self.palette().windowText().color())
        rim.setAlphaF(0.45)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(rim, 1))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
        painter.end()
        super().paintEvent(event)


class KeyHelp(QWidget):
    """A list of keys and their actions, in as many columns as fit."""

    def __init__(self, entries: Sequence[tuple[str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        flow = QFlowLayout(self)
        flow.setContentsMargins(0, 0, 0, 0)
        flow.setHorizontalSpacing(12)
        flow.setVerticalSpacing(4)
        for key, meaning in entries:
            flow.addWidget(_entry(key, meaning))


def _entry(key: str, meaning: str) -> QWidget:
    """Return a key cap and a label of its action."""
    widget = QWidget()
    layout = QHBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    layout.addWidget(KeyCap(key))
    layout.addWidget(PlainLabel(meaning))
    return widget


ClassShare = tuple[int, str, float]
"""A class's part of the bar: number of cells, colour ``#rrggbb``, opacity 0 to 1."""


class ClassShareBar(QWidget):
    """A thin stacked bar of the cells by class; unclassified cells stay empty."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.parts: tuple[ClassShare, ...] = ()
        self.total = 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_parts(self, parts: Sequence[ClassShare], total: int) -> None:
        """Show these parts of a total number of cells."""
        self.parts, self.total = tuple(parts), total
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a thin strip."""
        return QSize(200, 8)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: ARG002, N802
        """Paint the parts inside a rounded frame."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        outline = QPainterPath()
        outline.addRoundedRect(frame, 3, 3)
        empty = QColor(self.palette().windowText().color())
        empty.setAlphaF(0.18)
        painter.fillPath(outline, empty)
        painter.setClipPath(outline)
        left = frame.left()
        for count, name, opacity in self.parts:
            width = frame.width() * count / max(self.total, 1)
            colour = QColor(name)
            colour.setAlphaF(opacity)
            painter.fillRect(QRectF(left, frame.top(), width, frame.height()), colour)
            left += width
        painter.end()


_KEYS = (
    ("Click", "assign the active class"),
    ("1–9", "assign that class"),
    ("0", "or right-click: remove the class"),
    ("X", "not a cell: dirt, stain, smudge"),
    ("N", "next cell"),
    ("V", "image / class / confidence / odd"),
    ("C", "compare"),
    ("L", "more like this"),
    ("O", "odd cells"),
    ("Ctrl+Z", "undo"),
    ("[ ]", "other class"),
    ("F1", "all keys"),
)
_SURE, _GUESSED = 1.0, 0.45  # opacity of the user's own and of predicted cells in the bar


class AnnotatePanel(QWidget):
    """The controls for annotating cells on the canvas.

    Signals
    -------
    next_requested, previous_requested
        Go to the next cell to annotate, or to the previous one.
    undo_requested, redo_requested
        Undo the last step, or redo it.
    refused
        Why a change was not made, as a sentence.
    """

    next_requested = Signal()
    previous_requested = Signal()
    undo_requested = Signal()
    redo_requested = Signal()
    refused = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.palette_view = PaletteView(session, self)
        self.edit_bar = EditBar()
        self.hint = PlainLabel()
        self.undo_button = QPushButton("&Undo")
        self.redo_button = QPushButton("&Redo")
        self.previous_button = QPushButton("◂")
        self.next_button = QPushButton()
        self.edit_title = heading("Correct the cells")
        self.progress = PlainLabel()
        self.share_bar = ClassShareBar()
        self._lay_out()
        self._connect()
        self._seen = SeenUpdates(self, self._update)
        self._subscriptions = Subscriptions(self)
        events = session.events
        for signal in (
            events.project, events.image, events.cells, events.corrected, events.palette,
            events.annotations, events.prediction, events.active_class,
        ):  # fmt: skip
            self._subscriptions.add(signal, self._seen.ask)
        self._update()

    def _lay_out(self) -> None:
        self.hint.setWordWrap(True)
        self.progress.setWordWrap(True)
        self.undo_button.setToolTip("Undo the last step (Ctrl+Z)")
        self.redo_button.setToolTip("Redo the last undone step (Ctrl+Shift+Z)")
        self.previous_button.setToolTip("Go back to the previous cell (Shift+N)")
        self.previous_button.setAccessibleName("Previous cell")
        self.previous_button.setMaximumWidth(32)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.palette_view)
        layout.addLayout(_row(self.undo_button, self.redo_button))
        layout.addWidget(self.hint)
        layout.addWidget(self.share_bar)
        layout.addWidget(self.progress)
        layout.addLayout(_row(self.previous_button, self.next_button))
        layout.addWidget(KeyHelp(_KEYS))
        layout.addWidget(self.edit_title)
        layout.addWidget(self.edit_bar)
        layout.addStretch(1)

    def _connect(self) -> None:
        self.palette_view.refused.connect(self.refused)
        self.undo_button.clicked.connect(self.undo_requested)
        self.redo_button.clicked.connect(self.redo_requested)
        self.next_button.clicked.connect(self.next_requested)
        self.previous_button.clicked.connect(self.previous_requested)

    # --- updaters ----------------------------------------------------------------------------

    def _update(self) -> None:
        self._update_buttons()
        self._update_progress()
        for part in (self.edit_title, self.edit_bar):
            part.setVisible(self._session.can_edit_cells)
        text = next_step_hint(self._session)
        self.hint.setText(text)
        self.hint.setVisible(bool(text))

    def _update_buttons(self) -> None:
        session = self._session
        self.undo_button.setEnabled(session.can_undo)
        self.redo_button.setEnabled(session.can_redo)
        total = 0 if session.cells is None else len(session.cells)
        waiting = max(total - len(session.annotated), 0)
        self.next_button.setText(f"&Next cell to annotate ({waiting:,})")
        self.next_button.setEnabled(waiting > 0)
        self.next_button.setToolTip(
            "Go to the cell whose class helps the classifier most (N)"
            if waiting
            else "Every cell is annotated"
            if total
            else "There are no cells yet: detect them first"
        )
        self.previous_button.setEnabled(total > 0)

    def _update_progress(self) -> None:
        session = self._session
        counts = {} if session.history is None else session.counts()
        total = 0 if session.cells is None else len(session.cells)
        annotated = sum(mine for mine, _ in counts.values())
        unknown = counts.get(UNKNOWN, (0, 0))[1]
        predicted = sum(theirs for _, theirs in counts.values()) - unknown
        left = max(total - annotated - predicted - unknown, 0)
        beside = f"{unknown:,} unknown, " if unknown else ""
        self.progress.setText(
            f"This image: {annotated:,} annotated, {predicted:,} predicted, "
            f"{beside}{left:,} unclassified"
        )
        self.share_bar.show_parts(_class_shares(session, counts), total)
        self.progress.setVisible(total > 0)
        self.share_bar.setVisible(total > 0)


def next_step_hint(session: Session) -> str:
    """Return the next thing to do for a new user; an empty string later on."""
    if session.history is None or session.image is None:
        return "Open an image and detect its cells first."
    if not session.cells:
        return "There are no cells yet: detect them first."
    if not len(session.palette):
        return "Add a class for each kind of cell that you want to tell apart."
    counts = session.history.state.counts()
    used = [class_id for class_id, count in counts.items() if count]
    if session.active_class is not None and not used:
        return (
            "Click a cell to give it the class "
            f"{session.palette.by_id(session.active_class).name}."
        )
    others = [cell_class.name for cell_class in session.palette if cell_class.id not in used]
    told_apart = 0 if session.prediction is None else len(session.prediction.class_ids)
    if len(used) == 1 and told_apart < 2:  # a loaded model may know more classes
        return "Annotate at least one cell of each of two classes" + (
            f": now {_join_alternatives(others)}." if others else "."
        )
    return ""


def _join_alternatives(names: list[str]) -> str:
    """Return ``"A"``, ``"A or B"`` or ``"A, B or C"``; three names at most."""
    *first, last = names[:3]
    return f"{', '.join(first)} or {last}" if first else last


def _class_shares(session: Session, counts: dict[str, tuple[int, int]]) -> list[ClassShare]:
    """Return the annotated, then the predicted cells of each class, in the palette's order.

    Unknown cells come last.
    """
    parts: list[ClassShare] = []
    for class_id, (mine, theirs) in counts.items():
        colour = UNKNOWN_COLOUR
        if class_id != UNKNOWN:
            colour = session.palette.by_id(class_id).colour
        parts += [(mine, colour, _SURE), (theirs, colour, _GUESSED)]
    return parts


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget, 1)
    return row
