"""The page *Fine-tune the classifier*: training config, progress and results."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.train.progress import format_duration
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.finetune.form import FineTuneForm
from napari_hemacells.widgets.finetune.results import FineTuneResultsPanel
from napari_hemacells.widgets.finetune.steps import FineTuneSummary
from napari_hemacells.widgets.plain_text import PlainLabel, elided, heading, literal, plain_tip
from napari_hemacells.widgets.training.section import result_label, row_layout
from napari_hemacells.widgets.training.section import text_label as sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.core.train.progress import TrainingReport
    from napari_hemacells.widgets.finetune.augmentation_preview import AugmentationPreview
    from napari_hemacells.widgets.training.learning_curves import LearningCurvesView

CLICKS_CLASSIFIER = ""
OUT_OF_MEMORY = "Out of memory"  # how the training's report begins then
_MARGIN = 5  # pixels beside the scroll bar
_CURVES = 320  # pixels at most, so that bar and curves are seen together
_MEANWHILE = "You can go on annotating; only the annotations made so far are used."


class FineTunePanel(QWidget):
    """The fine-tuning page; it emits requests and shows their results."""

    back_requested = Signal()
    start_requested = Signal()
    resume_requested = Signal()
    cancel_requested = Signal()
    take_over_requested = Signal()
    drop_requested = Signal()
    changes_requested = Signal()
    classifier_chosen = Signal(str)  # folder of a model, or CLICKS
    result_requested = Signal()
    open_requested = Signal()
    folders_requested = Signal()
    opened = Signal()
    scroll_requested = Signal(object)  # a part of the page, to be brought to the top

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.back = QPushButton("◂ &Back to Classify")
        self.in_use = QComboBox()
        self.in_use.setAccessibleName("Classifier in use")
        self.in_use.setToolTip(
            "Classify with your annotations alone (few-shot), or with a fine-tuned model"
        )
        self.in_use.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.result_button = QPushButton("Res&ult")
        self.open_results = QPushButton("Open results…")
        self.open_results.setToolTip(
            "Look at the results of any training: a folder of hemacells train --out"
        )
        self.lessons, self.split, self.status = (sentences() for _ in range(3))
        self.forecast, self.note = sentences(), sentences()
        self.folders = QPushButton()
        self.leave_out = QCheckBox()
        self.leave_out.hide()
        self.form = FineTuneForm()
        self.start = QPushButton("&Start fine-tuning")
        self.resume = QPushButton("Continue the interrupted trainin&g")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop the training; annotations and classifier do not change")
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the fine-tuning")
        self.curves: LearningCurvesView | None = (
            None  # made when they are needed: matplotlib is heavy
        )
        self.augmented: AugmentationPreview | None = None
        self.outcome = result_label()
        self.changes = QPushButton("Show the changed c&ells")
        self.take_over, self.drop = QPushButton("&Use it"), QPushButton("D&iscard")
        self.take_over.setToolTip(
            "Classify with the new model from now on; you can choose the previous one again above"
        )
        self.drop.setToolTip("Remove the new model; nothing else changes")
        self.result = FineTuneResultsPanel()
        self._teaching, self._refusal = FineTuneSummary(), ""
        self._open = self._can_resume = self._offers_leaving_out = False
        self._lay_out()
        self._connect()
        self.show_source("")
        self.show_idle()

    @property
    def is_open(self) -> bool:
        """Whether the page is open."""
        return self._open

    def open(self, *, opened: bool) -> None:
        """Set whether the page is visible."""
        self._open = opened
        if opened:
            self.opened.emit()

    # --- what is shown -----------------------------------------------------------------------

    def show_models(self, models: Sequence[tuple[str, str]], chosen: str) -> None:
        """Offer these models (folder and title) beside the few-shot classifier."""
        self.in_use.blockSignals(True)
        self.in_use.clear()
        self.in_use.addItem("Your annotations (few-shot)", CLICKS_CLASSIFIER)
        for folder, words in models:
            self.in_use.addItem(words, folder)
        self.in_use.setCurrentIndex(max(0, self.in_use.findData(chosen)))
        self.in_use.blockSignals(False)
        self.result_button.setEnabled(bool(self.in_use.currentData()))
        self.result_button.setToolTip(
            "Accuracy, confusion matrix and suspected label errors of the model in use"
            if self.in_use.currentData()
            else "Only a fine-tuned model has results: fine-tune one first"
        )

    def show_training_summary(self, teaching: FineTuneSummary) -> None:
        """Show the training set and its split."""
        self._teaching = teaching
        self._show_startable()
        self.lessons.setText(teaching.words())
        self.split.setText(teaching.split)
        self.split.setVisible(bool(teaching.split))
        self.form.search.setEnabled(not teaching.reason)
        self.form.preview.setEnabled(bool(teaching.counts))

    def show_beginning(self, words: str, *, refused: bool) -> None:
        """Show what the network starts from, or why it cannot start so."""
        self.form.beginning.setText(words)
        self._refusal = words if refused else ""
        self._show_startable()

    def _show_startable(self) -> None:
        reason = self._teaching.reason or self._refusal
        self.start.setEnabled(not reason)
        self.start.setToolTip(plain_tip(reason or _MEANWHILE))

    @property
    def leaves_out(self) -> bool:
        """Whether the classes that are offered are left out of the training."""
        return self._offers_leaving_out and self.leave_out.isChecked()

    def offer_leaving_out(self, names: Sequence[str]) -> None:
        """Offer to train without these classes, which have one annotated cell each."""
        self._offers_leaving_out = bool(names)
        self.leave_out.setVisible(bool(names))
        shown = ", ".join(f"“{elided(name)}”" for name in names[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        self.leave_out.setText(literal(f"Train without {shown}{more}"))
        self.leave_out.setToolTip(
            plain_tip(
                "One annotated cell is too few: one is needed to learn from and one to check "
                "with. The new model will not know a class that is left out; your annotations "
                "stay. Left out: " + ", ".join(names)
            )
        )

    def show_source(self, folder: str) -> None:
        """Show whether class folders teach, by the folder's name, or the annotated cells."""
        self.folders.setText("Use annotated cells" if folder else "Train on class folders…")
        self.folders.setToolTip(
            "Learn from your annotated cells again"
            if folder
            else "Learn from a folder with one folder of pictures for each class, or with the "
            "folders train, valid and test of such"
        )

    def show_forecast(self, words: str) -> None:
        """Show the time estimate."""
        self.forecast.setText(words)

    def show_searching(self, done: int, total: int, message: str) -> None:
        """Show the progress of the rate finder."""
        self.forecast.setText(f"{message} {done}/{total}" if total > 1 else message)

    def show_resumable(self, *, resumable: bool) -> None:
        """Offer to resume an interrupted training."""
        self._can_resume = resumable
        self._show("idle" if self.start.isVisibleTo(self) else "")

    def show_started(self) -> None:
        """Show progress and learning curves of a new training."""
        if self.curves is None:
            from napari_hemacells.widgets.training.learning_curves import LearningCurvesView

            self.curves = LearningCurvesView(("Loss", "Accuracy on held-out cells"))
            self.curves.setMaximumHeight(_CURVES)
            self._running.addWidget(self.curves)
        self.curves.clear()
        self.note.clear()
        self._show("running")
        self.scroll_requested.emit(self)
        self.show_progress(0, 0, "Preparing")

    def show_progress(self, done: int, total: int, message: str) -> None:
        """Show the step before the training, or the comparison after it."""
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.status.setText(message)

    def show_report(self, report: TrainingReport, eta_s: float | None) -> None:
        """Show the progress and the latest metrics."""
        words = [report.message[:1].upper() + report.message[1:]]
        if report.images_per_second:
            words.append(f"{report.images_per_second:,.0f} images/s")
        if eta_s is not None:
            words.append(f"about {format_duration(eta_s)} to go")
        self.show_progress(report.step, report.steps, " · ".join(words))
        if report.message.startswith(OUT_OF_MEMORY):
            self.note.setText(report.message)
            self.note.show()
        if self.curves is not None and (report.losses or report.metrics):
            self.curves.add(_as_curves(report))

    def show_comparing(self) -> None:
        """Show that the training is over and the new model is applied to the open image."""
        self.cancel.setEnabled(False)

    def show_outcome(self, html: str, *, changed: int) -> None:
        """Show the result, and ask what to do with the new model."""
        self.outcome.setText(html)
        self.changes.setEnabled(changed > 0)
        self.changes.setToolTip("" if changed else "No cell of this image would change its class")
        self.status.clear()
        self._show("ended")
        self.scroll_requested.emit(self.outcome)

    def show_idle(self, said: str = "") -> None:
        """Show that nothing runs and no result is pending; scroll a message into view."""
        self.status.setText(said)
        self._show("idle")
        if said:
            self.scroll_requested.emit(self)

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        for label in (self.split, self.status, self.forecast):
            theme.mute_text(label)
        self.form.restyle()
        self.result.restyle()
        if self.curves is not None:
            self.curves.redraw()

    def show_augmented(self, view: AugmentationPreview) -> None:
        """Show the augmented views below the augmentation parameters."""
        if self.augmented is not None:
            self.augmented.deleteLater()
        self.augmented = view
        self.form.body_column.addWidget(view)

    # --- inside ------------------------------------------------------------------------------

    def _show(self, state: str) -> None:
        """Show the widgets of a state: ``idle``, ``running`` or ``ended``."""
        if not state:
            return
        idle, running, ended = (state == name for name in ("idle", "running", "ended"))
        asked: tuple[QWidget, ...] = (self.outcome, self.changes, self.take_over, self.drop)
        self.cancel.setEnabled(True)
        self.form.setVisible(idle)
        self.folders.setVisible(idle)
        self.start.setVisible(idle)
        self.forecast.setVisible(idle)
        self.resume.setVisible(idle and self._can_resume)
        self.split.setVisible(not ended and bool(self._teaching.split))
        self.lessons.setVisible(not ended)
        self.leave_out.setVisible(idle and self._offers_leaving_out)
        self.bar.setVisible(running)
        self.cancel.setVisible(running)
        self.note.setVisible(running and bool(self.note.text()))
        if self.curves is not None:
            self.curves.setVisible(running)
        for widget in asked:
            widget.setVisible(ended)

    def _choose(self, _index: int) -> None:
        self.classifier_chosen.emit(str(self.in_use.currentData()))

    def _lay_out(self) -> None:
        used = row_layout(
            (PlainLabel("In use"), 0),
            (self.in_use, 1),
            (self.result_button, 0),
        )
        running = row_layout((self.bar, 1), (self.cancel, 0))
        answers = row_layout((self.take_over, 1), (self.drop, 1))
        self._running = QVBoxLayout()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, _MARGIN, 0)
        head = row_layout((heading("Fine-tune the classifier"), 1), (self.back, 0))
        column.addLayout(head)
        column.addLayout(used)
        column.addLayout(row_layout((self.folders, 1), (self.open_results, 1)))
        for widget in (
            self.lessons, self.leave_out, self.split,
            self.form, self.start, self.resume,
        ):  # fmt: skip
            column.addWidget(widget)
        column.addWidget(self.forecast)
        column.addLayout(running)
        column.addWidget(self.status)
        column.addWidget(self.note)
        column.addLayout(self._running)
        column.addWidget(self.outcome)
        column.addWidget(self.changes)
        column.addLayout(answers)
        column.addWidget(self.result)
        column.addStretch(1)
        self.result.hide()

    def _connect(self) -> None:
        for button, signal in (
            (self.back, self.back_requested),
            (self.start, self.start_requested),
            (self.resume, self.resume_requested),
            (self.cancel, self.cancel_requested),
            (self.take_over, self.take_over_requested),
            (self.drop, self.drop_requested),
            (self.changes, self.changes_requested),
            (self.result_button, self.result_requested),
            (self.open_results, self.open_requested),
            (self.folders, self.folders_requested),
        ):
            button.clicked.connect(signal)
        self.in_use.currentIndexChanged.connect(self._choose)


def _as_curves(report: TrainingReport) -> TrainingReport:
    """Return the report with both losses in one plot, so that they share a scale."""
    metrics = dict(report.metrics)
    losses = dict.fromkeys(("training",) if report.losses else (), *report.losses.values())
    if "validation loss" in metrics:
        losses["held out"] = metrics.pop("validation loss")
    return replace(report, losses=losses, metrics=metrics)
