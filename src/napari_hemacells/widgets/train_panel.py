"""*Fine-tune the detector*: what it will learn from, how it goes, what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QUrl, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.train.reports import in_words
from napari_hemacells.widgets import theme

if TYPE_CHECKING:
    from napari_hemacells.core.train.reports import TrainingReport
    from napari_hemacells.widgets.train_curves import CurvesView

_COMPLETE = "All of each image counts: where no cell is marked, it learns that there is none."
_EFFORTS = {"Usual": 1, "Thorough: four times as long": 4}


@dataclass(frozen=True)
class Teaching:
    """What there is to learn from, and how long that takes.

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


class TrainPanel(QWidget):
    """A section that opens; it asks, and shows what it is told."""

    train_requested = Signal(int)  # how many times the usual number of steps
    cancel_requested = Signal()
    use_requested = Signal()
    drop_requested = Signal()
    bundled_requested = Signal()
    opened = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QToolButton()
        self.title.setText("F&ine-tune the detector")
        self.title.setToolTip("Teach the detector what you corrected")
        self.title.setCheckable(True)
        self.title.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.lessons, self.in_use = _words(), _words()
        self.bundled = QPushButton("Use the bundled one")
        self.effort = QComboBox()
        self.effort.setAccessibleName("How long to train")
        for words, times in _EFFORTS.items():
            self.effort.addItem(words, times)
        self.start = QPushButton("&Start")
        self.cancel = QPushButton("Cance&l")
        self.cancel.setToolTip("Stop the training; the detector stays as it is")
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the training")
        self.status = _words()
        self._teaching = Teaching()
        self.curves: CurvesView | None = None  # made when a training starts: matplotlib is heavy
        self.outcome = _words()
        self.outcome.setOpenExternalLinks(True)
        self.use, self.drop = QPushButton("&Use it"), QPushButton("D&rop it")
        self.use.setToolTip("Detect uses the new detector in this project from now on")
        self.drop.setToolTip("Remove the new detector; nothing changes")
        self._lay_out()
        self._connect()
        self.show_idle()
        self._open(False)

    # --- what is shown -----------------------------------------------------------------------

    def show_teaching(self, teaching: Teaching) -> None:
        """Say what it would learn from, and how long it would take."""
        self._teaching = teaching
        images = f"{teaching.images} image{'s' * (teaching.images != 1)}"
        self.lessons.setText(
            f"Learns from {images} in which you corrected or classified "
            f"{teaching.corrected:,} cell{'s' * (teaching.corrected != 1)}. {_COMPLETE}"
            if teaching.images
            else teaching.reason
        )
        self.start.setEnabled(not teaching.reason)
        cores = f"{teaching.cores} core{'s' * (teaching.cores != 1)}"
        seconds = teaching.seconds * self.effort.currentData()
        takes = f"Takes about {in_words(seconds)} on {cores}; you can go on working"
        self.start.setToolTip(teaching.reason or takes)
        if not teaching.reason and self.start.isVisibleTo(self):
            self.status.setText(f"{takes}.")

    def show_in_use(self, name: str | None) -> None:
        """Say which detector is in use: a name, or ``None`` for the bundled one."""
        self.in_use.setText(f"In use: {name}" if name else "In use: the bundled detector")
        self.bundled.setVisible(name is not None)

    def show_started(self) -> None:
        """Show progress and curves of a training that begins."""
        if self.curves is None:
            from napari_hemacells.widgets.train_curves import CurvesView

            self.curves = CurvesView()
            self._body_column.addWidget(self.curves)
        self.curves.clear()
        self._show(running=True, ended=False)
        self.curves.show()
        self.bar.setRange(0, 0)
        self.status.setText("Preparing")

    def show_progress(self, done: int, total: int, message: str) -> None:
        """Say what is prepared before the learning begins, or compared after it."""
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.status.setText(message)

    def show_report(self, report: TrainingReport) -> None:
        """Show how far the training is and how well it does."""
        self.bar.setRange(0, report.steps)
        self.bar.setValue(report.step)
        words = [report.message]
        if report.images_per_second:
            words.append(f"{report.images_per_second:.1f} images/s")
        if report.eta_s is not None and report.phase != "end":
            words.append(f"{in_words(report.eta_s)} to go")
        self.status.setText(" · ".join(words))
        if self.curves is not None:
            self.curves.add(report)

    def show_outcome(self, html: str) -> None:
        """Say what came of it, and ask what to do with it."""
        self.outcome.setText(html)
        self._show(running=False, ended=True)
        self.status.clear()

    def show_idle(self, said: str = "") -> None:
        """Nothing runs, and nothing waits for an answer."""
        self._show(running=False, ended=False)
        if self.curves is not None:
            self.curves.hide()
        self.status.setText(said)

    def restyle(self) -> None:
        """Take the colours of the present theme."""
        for label in (self.lessons, self.in_use, self.status):
            theme.quiet(label)
        if self.curves is not None:
            self.curves.redraw()

    # --- inside ------------------------------------------------------------------------------

    def _show(self, *, running: bool, ended: bool) -> None:
        shown: dict[QWidget, bool] = dict.fromkeys((self.bar, self.cancel), running)
        shown |= dict.fromkeys((self.outcome, self.use, self.drop), ended)
        for widget, visible in shown.items():
            widget.setVisible(visible)
        idle = not running and not ended
        self.start.setVisible(idle)
        self.effort.setVisible(idle)

    def _train(self) -> None:
        self.train_requested.emit(self.effort.currentData())

    def _effort_changed(self, _index: int) -> None:
        self.show_teaching(self._teaching)

    def _open(self, opened: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow
        self.title.setArrowType(arrow)
        self.body.setVisible(opened)
        if opened:
            self.opened.emit()

    def _lay_out(self) -> None:
        self.body = QWidget()
        self._body_column = QVBoxLayout(self.body)
        self._body_column.setContentsMargins(0, 0, 0, 0)
        used = QHBoxLayout()
        used.addWidget(self.in_use, 1)
        used.addWidget(self.bundled)
        answers = QHBoxLayout()
        answers.addWidget(self.use)
        answers.addWidget(self.drop)
        running = QHBoxLayout()
        running.addWidget(self.bar, 1)
        running.addWidget(self.cancel)
        self._body_column.addLayout(used)
        self._body_column.addWidget(self.lessons)
        self._body_column.addWidget(self.effort)
        self._body_column.addWidget(self.start)
        self._body_column.addLayout(running)
        self._body_column.addWidget(self.status)
        self._body_column.addWidget(self.outcome)
        self._body_column.addLayout(answers)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.title)
        column.addWidget(self.body)

    def _connect(self) -> None:
        self.title.toggled.connect(self._open)
        self.effort.currentIndexChanged.connect(self._effort_changed)
        self.start.clicked.connect(self._train)
        self.cancel.clicked.connect(self.cancel_requested)
        self.use.clicked.connect(self.use_requested)
        self.drop.clicked.connect(self.drop_requested)
        self.bundled.clicked.connect(self.bundled_requested)


def link_to(path: str, words: str) -> str:
    """Return a link that opens a file, in the colour of the theme's text."""
    address = QUrl.fromLocalFile(path).toString()
    return f'<a style="color: {theme.css("text")}" href="{address}">{words}</a>'


def _words() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
    return label
