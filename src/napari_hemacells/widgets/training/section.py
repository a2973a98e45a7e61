"""A collapsible section for a training: start, progress and result."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import Qt, QUrl, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.train.progress import format_duration
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.plain_text import PlainLabel, rich_label

if TYPE_CHECKING:
    from napari_hemacells.core.train.progress import TrainingReport
    from napari_hemacells.widgets.training.learning_curves import LearningCurvesView


_Label = TypeVar("_Label", bound=QLabel)


class TrainingSection(QWidget):
    """A section that emits requests and shows their results; panels add their own widgets.

    Parameters
    ----------
    title
        The title of the section.
    draws_curves
        Whether loss and held-out metrics are drawn while it runs.

    Signals
    -------
    opened
        The section has been opened.
    """

    cancel_requested = Signal()
    use_requested = Signal()
    drop_requested = Signal()
    opened = Signal()

    def __init__(
        self, title: str, parent: QWidget | None = None, *, draws_curves: bool = False
    ) -> None:
        super().__init__(parent)
        self._draws_curves = draws_curves
        self.curves: LearningCurvesView | None = None  # made when it starts: matplotlib is heavy
        self.title = QToolButton()
        self.title.setText(title)
        self.title.setCheckable(True)
        self.title.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.lessons = text_label()
        self.start = QPushButton("&Start")
        self.cancel = QPushButton("Cancel")
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the training")
        self.status, self.outcome = text_label(), result_label()
        self.outcome.setOpenExternalLinks(True)
        self.use, self.drop = QPushButton("&Use it"), QPushButton("Disca&rd")
        self.whole = QVBoxLayout(self)
        self.body = QWidget()
        self.column = QVBoxLayout(self.body)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.before: list[QWidget] = [self.start]  # seen while nothing runs or waits
        self.title.toggled.connect(self._open)
        self.cancel.clicked.connect(self.cancel_requested)
        self.use.clicked.connect(self.use_requested)
        self.drop.clicked.connect(self.drop_requested)

    # --- what is shown -----------------------------------------------------------------------

    def show_started(self) -> None:
        """Show the progress of a new training, with its curves."""
        if self._draws_curves:
            if self.curves is None:
                from napari_hemacells.widgets.training.learning_curves import LearningCurvesView

                self.curves = LearningCurvesView()
                self.column.addWidget(self.curves)
            self.curves.clear()
            self.curves.show()
        self.show_parts(running=True, ended=False)
        self.show_progress(0, 0, "Preparing")

    def show_progress(self, done: int, total: int, message: str) -> None:
        """Show the step before the training, or the comparison after it."""
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.tell(message)

    def show_report(self, report: TrainingReport) -> None:
        """Show the progress of the training."""
        parts = [report.message]
        if report.images_per_second:
            parts.append(f"{report.images_per_second:.1f} images/s")
        if report.eta_s is not None and report.phase != "end":
            parts.append(f"{format_duration(report.eta_s)} to go")
        self.show_progress(report.step, report.steps, " · ".join(parts))
        if self.curves is not None:
            self.curves.add(report)

    def show_outcome(self, html: str) -> None:
        """Show the result, and ask what to do with it; the curves stay below it."""
        self.outcome.setText(html)
        self.show_parts(running=False, ended=True)
        self.tell("")

    def show_idle(self, message: str = "") -> None:
        """Show that nothing runs and no result is pending."""
        self.show_parts(running=False, ended=False)
        self.tell(message)
        if self.curves is not None:
            self.curves.hide()

    def tell(self, message: str) -> None:
        """Show the status; an empty one takes no room."""
        self.status.setText(message)
        self.status.setVisible(bool(message))

    def show_parts(self, *, running: bool, ended: bool) -> None:
        """Show the widgets of this state."""
        shown: dict[QWidget, bool] = dict.fromkeys((self.bar, self.cancel), running)
        shown |= dict.fromkeys((self.outcome, self.use, self.drop), ended)
        shown |= dict.fromkeys(self.before, not running and not ended)
        for widget, visible in shown.items():
            widget.setVisible(visible)

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        for label in (self.lessons, self.status):
            theme.mute_text(label)
        if self.curves is not None:
            self.curves.redraw()

    # --- inside ------------------------------------------------------------------------------

    def lay_out(self) -> None:
        """Add bar, status and answers to the column, and the column below the title."""
        self.column.addLayout(row_layout((self.bar, 1), (self.cancel, 0)))
        self.column.addWidget(self.status)
        self.column.addWidget(self.outcome)
        self.column.addLayout(row_layout((self.use, 1), (self.drop, 1)))
        self.whole.setContentsMargins(0, 0, 0, 0)
        self.whole.addWidget(self.title)
        self.whole.addWidget(self.body)
        self.show_idle()
        self._open(False)

    def _open(self, opened: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow
        self.title.setArrowType(arrow)
        self.body.setVisible(opened)
        if opened:
            self.opened.emit()


def row_layout(*widgets: tuple[QWidget, int]) -> QHBoxLayout:
    """Return widgets in a row, each with its share of the width."""
    row = QHBoxLayout()
    for widget, stretch in widgets:
        row.addWidget(widget, stretch)
    return row


def link_to(path: str, words: str) -> str:
    """Return a link that opens a file, in the colour of the theme's text."""
    address = QUrl.fromLocalFile(path).toString()
    return f'<a style="color: {theme.css("text")}" href="{address}">{words}</a>'


def text_label() -> PlainLabel:
    """Return a label for sentences that can be selected and copied."""
    return _selectable(PlainLabel())


def result_label() -> QLabel:
    """Return the same for HTML of our own making, in which every name is escaped."""
    return _selectable(rich_label())


def _selectable(label: _Label) -> _Label:
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
    return label
