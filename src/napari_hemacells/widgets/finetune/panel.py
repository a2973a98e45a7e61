"""The page *Fine-tune the classifier*: training config, progress and results."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier import (
    CLASSIFIER_PRESETS,
    ClassifierConfig,
    preset_config,
)
from napari_hemacells.core.train.progress import format_duration
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.finetune.results import FineTuneResultsPanel
from napari_hemacells.widgets.finetune.steps import FineTuneSummary
from napari_hemacells.widgets.forms import ParamsForm
from napari_hemacells.widgets.plain_text import PlainLabel, heading, plain_tip
from napari_hemacells.widgets.training.section import result_label, row_layout
from napari_hemacells.widgets.training.section import text_label as sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.core.train.progress import TrainingReport
    from napari_hemacells.widgets.finetune.augmentation_preview import AugmentationPreview
    from napari_hemacells.widgets.training.learning_curves import LearningCurvesView

RECIPE_TITLES = {"quick": "Quick", "thorough": "Thorough", "from nothing": "From scratch"}
ARCHITECTURES = (
    "bundled",
    "resnet18",
    "resnet34",
    "resnet50",
    "densenet121",
    "vgg16",
    "alexnet",
    "vit_base_patch32_224",
    "vit_base_patch16_224",
    "small_vgg",
)
TRAINING_FIELDS = ("epochs", "frozen_epochs", "batch", "sampling")
AUGMENTATION_FIELDS = ("flips", "rotation", "zoom", "brightness", "stain", "mix")
FIELD_STEPS = {"zoom": 0.05, "brightness": 0.05, "stain": 0.05, "rotation": 15.0}


class FineTuneForm(QWidget):
    """A preset and its editable parameters; the value is a validated :class:`ClassifierConfig`."""

    changed = Signal()
    rate_requested = Signal()
    preview_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.recipe = QComboBox()
        self.recipe.setAccessibleName("Recipe")
        for name, title in RECIPE_TITLES.items():
            self.recipe.addItem(title, name)
        self.about = PlainLabel()
        self.about.setWordWrap(True)
        self.arch = _choice("arch", ARCHITECTURES)
        self.arch.setEditable(True)
        self.rate = QLineEdit()
        self.rate.setPlaceholderText("found by a short search")
        self.rate.setToolTip(_field("rate").description or "")
        self.search = QPushButton("Fi&nd")
        self.search.setToolTip("Find a good learning rate on your own cells and enter it here")
        self.training = ParamsForm(ClassifierConfig, TRAINING_FIELDS)
        self.augmentation = ParamsForm(ClassifierConfig, AUGMENTATION_FIELDS)
        for name, step in FIELD_STEPS.items():
            widget: Any = self.augmentation.container[name]
            widget.step = step
        self.preview = QPushButton("Show i&t on my cells")
        self.preview.setToolTip("Show augmented views of your own cells")
        self.more = QToolButton()
        self.more.setText("&More")
        self.more.setCheckable(True)
        self.more.setToolTip("Architecture, epochs, learning rate, augmentation")
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._lay_out()
        self._connect()
        self._take_recipe()
        self._open(False)

    # --- value -------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The preset's name."""
        return str(self.recipe.currentData())

    def value(self) -> ClassifierConfig:
        """The preset with the user's changes.

        Raises
        ------
        TrainingError
            A parameter is outside its bounds.
        """
        changes = {**self.training.values(), **self.augmentation.values()}
        changes |= {"arch": self.arch.currentText().strip(), "rate": self._rate()}
        return preset_config(self.name, changes)

    def set_rate(self, rate: float) -> None:
        """Enter a learning rate, as the rate finder proposes it."""
        self.rate.setText(f"{rate:g}")

    def _rate(self) -> float | None:
        text = self.rate.text().strip().replace(",", ".")
        if not text:
            return None
        try:
            return float(text)
        except ValueError as error:
            raise TrainingError(
                f"The learning rate “{text}” is not a number. Enter one such as 0.002, or "
                "leave the field empty to have it found."
            ) from error

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        theme.mute_text(self.about)

    # --- inside ------------------------------------------------------------------------------

    def _take_recipe(self, _index: int = 0) -> None:
        """Write the preset's own values into the fields."""
        about, recipe, _ = CLASSIFIER_PRESETS[self.name]
        self.about.setText(about)
        values = recipe.model_dump()
        self.blockSignals(True)
        self.training.set_values({name: values[name] for name in TRAINING_FIELDS})
        self.augmentation.set_values({name: values[name] for name in AUGMENTATION_FIELDS})
        self.arch.setCurrentText(recipe.arch)
        self.rate.setText("" if recipe.rate is None else f"{recipe.rate:g}")
        self.blockSignals(False)
        self.changed.emit()

    def _open(self, opened: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow
        self.more.setArrowType(arrow)
        self.body.setVisible(opened)

    def _tell(self, _value: object = None) -> None:
        self.changed.emit()

    def _lay_out(self) -> None:
        top = QFormLayout()
        label = PlainLabel("&Recipe")
        label.setBuddy(self.recipe)
        top.addRow(label, self.recipe)
        rate = QHBoxLayout()
        rate.addWidget(self.rate, 1)
        rate.addWidget(self.search)
        fields = QFormLayout()
        fields.addRow(_field("arch").title, self.arch)
        fields.addRow(_field("rate").title, rate)
        self.body = QWidget()
        inside = self.body_column = QVBoxLayout(self.body)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addLayout(fields)
        for widget in (self.training.native, heading("Augmentation"),
                       self.augmentation.native, self.preview):  # fmt: skip
            inside.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(top)
        for widget in (self.about, self.more, self.body):
            column.addWidget(widget)

    def _connect(self) -> None:
        self.recipe.currentIndexChanged.connect(self._take_recipe)
        self.arch.currentTextChanged.connect(self._tell)
        self.rate.textChanged.connect(self._tell)
        self.training.changed.connect(self._tell)
        self.augmentation.changed.connect(self._tell)
        self.search.clicked.connect(self.rate_requested)
        self.preview.clicked.connect(self.preview_requested)
        self.more.toggled.connect(self._open)


def _field(name: str) -> Any:
    return ClassifierConfig.model_fields[name]


def _choice(name: str, choices: tuple[str, ...]) -> QComboBox:
    combo = QComboBox()
    combo.addItems(choices)
    combo.setAccessibleName(_field(name).title or name)
    combo.setToolTip(_field(name).description or "")
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return combo


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
        self.lessons, self.split, self.status = (sentences() for _ in range(3))
        self.forecast, self.note = sentences(), sentences()
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
        self._teaching = FineTuneSummary()
        self._open = self._can_resume = False
        self._lay_out()
        self._connect()
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
        self.lessons.setText(teaching.words())
        self.split.setText(teaching.split)
        self.split.setVisible(bool(teaching.split))
        self.start.setEnabled(not teaching.reason)
        self.start.setToolTip(plain_tip(teaching.reason or _MEANWHILE))
        self.form.search.setEnabled(not teaching.reason)
        self.form.preview.setEnabled(bool(teaching.counts))

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
        self.start.setVisible(idle)
        self.forecast.setVisible(idle)
        self.resume.setVisible(idle and self._can_resume)
        self.split.setVisible(not ended and bool(self._teaching.split))
        self.lessons.setVisible(not ended)
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
        used = row_layout((PlainLabel("In use"), 0), (self.in_use, 1), (self.result_button, 0))
        running = row_layout((self.bar, 1), (self.cancel, 0))
        answers = row_layout((self.take_over, 1), (self.drop, 1))
        self._running = QVBoxLayout()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, _MARGIN, 0)
        head = row_layout((heading("Fine-tune the classifier"), 1), (self.back, 0))
        column.addLayout(head)
        column.addLayout(used)
        for widget in (self.lessons, self.split, self.form, self.start, self.resume):
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
