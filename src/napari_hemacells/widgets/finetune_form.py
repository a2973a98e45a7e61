"""How to fine-tune: a recipe in plain words, and the parameters that may be changed in it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.errors import TrainingError
from napari_hemacells.core.train.classifier import RECIPES, Recipe, named_recipe
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.forms import ParamsForm

CHOICES = {"quick": "Quick", "thorough": "Thorough", "from nothing": "From nothing"}
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
TRAINING = ("epochs", "frozen_epochs", "batch", "sampling")
AUGMENTATION = ("flips", "rotation", "zoom", "brightness", "stain", "mix")
STEPS = {"zoom": 0.05, "brightness": 0.05, "stain": 0.05, "rotation": 15.0}


class FineTuneForm(QWidget):
    """A recipe and, folded, its parameters; the value is a validated :class:`Recipe`."""

    changed = Signal()
    rate_requested = Signal()
    preview_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.recipe = QComboBox()
        self.recipe.setAccessibleName("Recipe")
        for name, title in CHOICES.items():
            self.recipe.addItem(title, name)
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.arch = _choice("arch", ARCHITECTURES)
        self.arch.setEditable(True)
        self.rate = QLineEdit()
        self.rate.setPlaceholderText("found by a short search")
        self.rate.setToolTip(_field("rate").description or "")
        self.search = QPushButton("Fin&d")
        self.search.setToolTip("Look for a good rate on your own cells and write it here")
        self.training = ParamsForm(Recipe, TRAINING)
        self.augmentation = ParamsForm(Recipe, AUGMENTATION)
        for name, step in STEPS.items():
            widget: Any = self.augmentation.container[name]
            widget.step = step
        self.preview = QPushButton("Show it on my &cells")
        self.preview.setToolTip("What the network would be shown of your own crops")
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
        """The recipe's name."""
        return str(self.recipe.currentData())

    def value(self) -> Recipe:
        """The recipe with what was changed in it.

        Raises
        ------
        TrainingError
            A parameter is outside its bounds.
        """
        changes = {**self.training.values(), **self.augmentation.values()}
        changes |= {"arch": self.arch.currentText().strip(), "rate": self._rate()}
        return named_recipe(self.name, changes)

    def set_rate(self, rate: float) -> None:
        """Take a rate over, as the finder suggests it."""
        self.rate.setText(f"{rate:g}")

    def _rate(self) -> float | None:
        text = self.rate.text().strip().replace(",", ".")
        if not text:
            return None
        try:
            return float(text)
        except ValueError as error:
            raise TrainingError(
                f"The learning rate “{text}” is no number: write one such as 0.002, or leave it "
                "empty to have it found."
            ) from error

    def restyle(self) -> None:
        """Take the colours of the present theme."""
        theme.quiet(self.about)

    # --- inside ------------------------------------------------------------------------------

    def _take_recipe(self, _index: int = 0) -> None:
        """Write the recipe's own values into the fields."""
        about, recipe = RECIPES[self.name]
        self.about.setText(about)
        values = recipe.model_dump()
        self.blockSignals(True)
        self.training.set_values({name: values[name] for name in TRAINING})
        self.augmentation.set_values({name: values[name] for name in AUGMENTATION})
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
        label = QLabel("&Recipe")
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
        for widget in (self.training.native, QLabel("<b>Augmentation</b>"),
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
    return Recipe.model_fields[name]


def _choice(name: str, choices: tuple[str, ...]) -> QComboBox:
    combo = QComboBox()
    combo.addItems(choices)
    combo.setAccessibleName(_field(name).title or name)
    combo.setToolTip(_field(name).description or "")
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return combo
