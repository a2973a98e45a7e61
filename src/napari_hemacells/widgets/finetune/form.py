"""The form of a fine-tuning: a preset, what it starts from, and its editable parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
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
from napari_hemacells.core.train.classifier.own_model import bundle_folder
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.forms import ParamsForm
from napari_hemacells.widgets.plain_text import PlainLabel, heading, plain_tip
from napari_hemacells.widgets.training.section import text_label

RECIPE_TITLES = {
    "quick": "Quick",
    "thorough": "Thorough",
    "from nothing": "From scratch",
    "anomalies": "Red-cell anomalies",
    "resnet": "ResNet",
    "vit": "Vision Transformer",
    "vit-mixup": "Vision Transformer with MixUp",
    "five-shot": "Five pictures a class",
    "thermograms": "Thermograms",
    "alive-dead": "Living and dead cells",
}
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
    "vit_large_patch16_224",
    "small_vgg",
    "small_vgg_bn",
)
TRAINING_FIELDS = (
    "size", "epochs", "frozen_epochs", "batch", "schedule", "smoothing", "sampling", "tta",
)  # fmt: skip
EMPTY_FIELDS = {"size": "of the network"}
USUAL, IN_USE, OWN, IMAGENET, SCRATCH = "auto", "in use", "own", "imagenet", "none"
STARTS = {
    USUAL: ("The network's own weights", "The bundled ones, or those of the model hub"),
    IN_USE: ("The model in use", "Go on from the fine-tuned model that classifies now"),
    IMAGENET: ("ImageNet (bundled network)", "The bundled network before it saw blood"),
    OWN: ("A file or model of your own…", "A weights file, or a model of hemacells train"),
}
AUGMENTATION_FIELDS = ("flips", "rotation", "zoom", "brightness", "stain", "mix")
FIELD_STEPS = {"zoom": 0.05, "brightness": 0.05, "stain": 0.05, "rotation": 15.0}


_TOOLTIP = Qt.ItemDataRole.ToolTipRole


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
            self.recipe.setItemData(
                self.recipe.count() - 1, plain_tip(describe_preset(name)), _TOOLTIP
            )
        self.about = PlainLabel()
        self.about.setWordWrap(True)
        self.arch = _choice("arch", ARCHITECTURES)
        self.arch.setEditable(True)
        self.rate = QLineEdit()
        self.rate.setAccessibleName("Learning rate of the head")
        self.rate.setPlaceholderText("found by a short search")
        self.rate.setToolTip(_field("rate").description or "")
        self.search = QPushButton("Fi&nd")
        self.search.setToolTip("Find a good learning rate on your own cells and enter it here")
        self.beginning = text_label()
        self.start_from = QComboBox()
        self.start_from.setAccessibleName("What the network starts from")
        for name, (title, tip) in STARTS.items():
            self.start_from.addItem(title, name)
            self.start_from.setItemData(self.start_from.count() - 1, plain_tip(tip), _TOOLTIP)
        self.scratch = QCheckBox("From scratch (random weights)")
        self.scratch.setToolTip(
            "Begin with random weights. It takes many more pictures and rounds to get as good"
        )
        self.own_weights = ""  # a weights file or the folder of a model
        self._own_chosen = USUAL  # the choice before a file is asked for
        self.training = ParamsForm(ClassifierConfig, TRAINING_FIELDS, empty=EMPTY_FIELDS)
        self.augmentation = ParamsForm(ClassifierConfig, AUGMENTATION_FIELDS)
        for name, step in FIELD_STEPS.items():
            widget: Any = self.augmentation.container[name]
            widget.step = step
        self.preview = QPushButton("Show i&t on my cells")
        self.preview.setToolTip("Show augmented views of your own cells")
        self.more = QToolButton()
        self.more.setText("&More")
        self.more.setCheckable(True)
        self.more.setToolTip(
            "Architecture, starting weights, size, epochs, learning rate, schedule, augmentation"
        )
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
        changes["weights"] = self.weights
        if self.starts_from_model:
            changes["arch"] = "bundled"  # the model's own is taken
        return preset_config(self.name, changes)

    @property
    def weights(self) -> str:
        """The starting weights: a word of the recipe, `IN_USE`, or a path of the user's own."""
        if self.scratch.isChecked():
            return SCRATCH
        chosen = str(self.start_from.currentData())
        return self.own_weights if chosen == OWN and self.own_weights else chosen

    @property
    def starts_from_model(self) -> bool:
        """Whether a trained model gives the architecture too."""
        return self.weights == IN_USE or bundle_folder(self.weights) is not None

    def use_own_weights(self, path: Path) -> None:
        """Start from a weights file, or from the folder of a trained model."""
        self.own_weights = str(path)
        place = self.start_from.findData(OWN)
        self.start_from.setItemText(place, path.name)
        self.start_from.setItemData(place, plain_tip(str(path)), _TOOLTIP)
        self.start_from.blockSignals(True)
        self.start_from.setCurrentIndex(place)
        self.start_from.blockSignals(False)
        self._own_chosen = OWN
        self._start_changed()

    def offer_model_in_use(self, *, there: bool, why_not: str) -> None:
        """Let the model in use be chosen, or say why it cannot be."""
        place = self.start_from.findData(IN_USE)
        model = self.start_from.model()
        item = model.item(place) if isinstance(model, QStandardItemModel) else None
        if item is not None:
            item.setEnabled(there)
        self.start_from.setItemData(
            place, plain_tip(STARTS[IN_USE][1] if there else why_not), _TOOLTIP
        )
        if not there and self.start_from.currentIndex() == place:
            self.start_from.setCurrentIndex(0)
            self._own_chosen = USUAL
            self._start_changed()

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
        for label in (self.about, self.beginning):
            theme.mute_text(label)

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
        self.recipe.setToolTip(plain_tip(describe_preset(self.name)))
        self.scratch.setChecked(recipe.weights == SCRATCH)
        self.start_from.setCurrentIndex(0)
        self._start_shown()
        self.rate.setText("" if recipe.rate is None else f"{recipe.rate:g}")
        self.blockSignals(False)
        self.changed.emit()

    def _open(self, opened: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow
        self.more.setArrowType(arrow)
        self.body.setVisible(opened)

    def _tell(self, _value: object = None) -> None:
        self.changed.emit()

    def _start_chosen(self, _index: int = 0) -> None:
        """Ask for the file where one's own weights are chosen; no answer changes nothing."""
        if self.start_from.currentData() == OWN:
            path = ask_for_weights(self)
            if path is not None:
                self.use_own_weights(path)
                return
            if not (self.own_weights and self._own_chosen == OWN):
                self.start_from.blockSignals(True)
                self.start_from.setCurrentIndex(self.start_from.findData(self._own_chosen))
                self.start_from.blockSignals(False)
            return
        self._own_chosen = str(self.start_from.currentData())
        self._start_changed()

    def _start_changed(self, _ticked: object = None) -> None:
        self._start_shown()
        self.changed.emit()

    def _start_shown(self) -> None:
        """Grey out what the starting weights decide."""
        self.start_from.setEnabled(not self.scratch.isChecked())
        self.arch.setEnabled(not self.starts_from_model)
        self.arch.setToolTip(
            "The model's own architecture is taken"
            if self.starts_from_model
            else _field("arch").description or ""
        )

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
        fields.addRow("Starts from", self.start_from)
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
        for widget in (self.about, self.more, self.body, self.beginning, self.scratch):
            column.addWidget(widget)

    def _connect(self) -> None:
        self.recipe.currentIndexChanged.connect(self._take_recipe)
        self.arch.currentTextChanged.connect(self._tell)
        self.start_from.activated.connect(self._start_chosen)
        self.scratch.toggled.connect(self._start_changed)
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


def describe_preset(name: str) -> str:
    """Return what a preset is for and, of a thesis, what it does otherwise than the thesis."""
    about, _, differences = CLASSIFIER_PRESETS[name]
    return f"{about} Otherwise than the thesis: {differences}" if differences else about


def ask_for_weights(parent: QWidget) -> Path | None:
    """Ask for a weights file; ``bundle.json`` of a trained model means that model."""
    chosen, _ = QFileDialog.getOpenFileName(
        parent,
        "Starting weights: a weights file, or bundle.json in the folder of a model",
        "",
        "Weights and models (*.safetensors *.pth *.pt bundle.json);;All files (*)",
    )
    if not chosen:
        return None
    path = Path(chosen)
    return bundle_folder(str(path)) or path
