"""The choice of the encoder from a list, by name or from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.encode.adapted import read_header
from napari_hemacells.core.encode.catalog import EncoderChoice, available_encoders, encoder_choice
from napari_hemacells.core.encode.weights_store import WEIGHT_ENDINGS
from napari_hemacells.core.encoder_names import invalid_name_reason
from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.params import EncodeParams
from napari_hemacells.widgets.plain_text import PlainLabel, plain_tip

if TYPE_CHECKING:
    from napari_hemacells.core.store import Bundle

_WORDS = (
    "timm:NAME, any model of timm, such as timm:resnet18\n"
    "dinobloom-s, dinobloom-b, reddino-small, reddino-base, reddino-large\n"
    "adapted:PATH, an encoder adapted to your cells\n"
    "file:PATH?arch=NAME, weights of the network that timm calls NAME\n\n"
    "Published weights are fetched once, where there is a network."
)


class EncoderDialog(QDialog):
    """A dialog for the name of an encoder, checked while it is typed, or for its file."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Use another encoder")
        self.name = QLineEdit()
        self.name.setPlaceholderText("timm:resnet18")
        self.name.setAccessibleName("Name of the encoder")
        self.name.setMinimumWidth(360)
        self.browse = QPushButton("&File…")
        self.browse.setToolTip("Choose a file of weights, or an adapted encoder")
        self.reason = PlainLabel()
        self.reason.setWordWrap(True)
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        row = QHBoxLayout()
        row.addWidget(self.name, 1)
        row.addWidget(self.browse)
        column = QVBoxLayout(self)
        column.addWidget(PlainLabel(_WORDS))
        column.addLayout(row)
        column.addWidget(self.reason)
        column.addWidget(self.buttons)
        self.name.textChanged.connect(self._check)
        self.browse.clicked.connect(self._browse)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self._check()

    @property
    def encoder(self) -> str:
        """The name as typed."""
        return self.name.text().strip()

    def use_file(self, file: Path) -> None:
        """Fill in the name of an encoder's file; a checkpoint needs its architecture too."""
        try:
            read_header(file)
        except EncoderError:
            self.name.setText(f"file:{file}?arch=")
            self.name.setFocus()
        else:
            self.name.setText(f"adapted:{file}")

    def _browse(self) -> None:
        endings = " ".join(f"*{ending}" for ending in WEIGHT_ENDINGS)
        chosen, _ = QFileDialog.getOpenFileName(
            self, "Weights of an encoder", "", f"Weights ({endings})"
        )
        if chosen:
            self.use_file(Path(chosen))

    def _check(self) -> None:
        reason = invalid_name_reason(self.encoder) if self.encoder else ""
        self.reason.setText(f"{reason[:1].upper()}{reason[1:]}")
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        if ok is not None:
            ok.setEnabled(bool(self.encoder) and not reason)


def ask_for_encoder(parent: QWidget) -> str:
    """Return the name of the encoder; empty if none was chosen."""
    dialog = EncoderDialog(parent)
    accepted = dialog.exec() == QDialog.DialogCode.Accepted
    return dialog.encoder if accepted else ""


_FIELD = EncodeParams.model_fields["encoder"]
_OTHER = "Other…"
_HELP = (
    "The network that turns each cell into a vector of features. If you change it, the "
    "cells are embedded again. Your annotations stay, and embeddings of different networks "
    "are never mixed."
)
_OTHER_HELP = "Any timm model, a published encoder, or your own file"


class EncoderPicker(QWidget):
    """A list of encoders; a choice is requested, and used once it is loaded.

    Signals
    -------
    encoder_chosen
        The name of the requested encoder.
    """

    encoder_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = QComboBox()
        self.combo.setAccessibleName(str(_FIELD.title))
        self.combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.combo.activated.connect(self._activated)
        label = PlainLabel(str(_FIELD.title))
        label.setBuddy(self.combo)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(label)
        row.addWidget(self.combo, 1)
        self._name = ""

    def show_encoder(self, name: str, model: Bundle | None) -> None:
        """Show the encoder in use without a request; a loaded model brings its own."""
        self._name = name
        if model is not None:
            self._show_own(model)
            return
        known = available_encoders()
        if name not in {choice.name for choice in known}:
            known = (*known, encoder_choice(name))
        self._fill(known)
        self.combo.insertSeparator(self.combo.count())
        self.combo.addItem(_OTHER)
        self.combo.setItemData(self.combo.count() - 1, _OTHER_HELP, Qt.ItemDataRole.ToolTipRole)
        self.combo.setCurrentIndex(self.combo.findData(name))
        self.combo.setEnabled(True)
        about = next(choice.about for choice in known if choice.name == name)
        self.combo.setToolTip(plain_tip(f"{about}\n\n{_HELP}"))

    def _show_own(self, model: Bundle) -> None:
        title = f"The model's own: {model.encoder.name}"
        seen = f" Training data: {model.encoder.seen}." if model.encoder.seen else ""
        self._fill((EncoderChoice(self._name, title, ""),))
        self.combo.setEnabled(False)
        self.combo.setToolTip(
            plain_tip(
                f"The model “{model.name}” uses the encoder that it was made with, "
                f"{model.encoder.name}.{seen}"
            )
        )

    def _fill(self, known: tuple[EncoderChoice, ...]) -> None:
        self.combo.clear()
        for index, choice in enumerate(known):
            self.combo.addItem(choice.title, choice.name)
            self.combo.setItemData(index, plain_tip(choice.about), Qt.ItemDataRole.ToolTipRole)
        view = self.combo.view()
        if view is not None:  # whole titles in the list, however narrow the dock
            view.setMinimumWidth(view.sizeHintForColumn(0) + 24)

    def _activated(self, index: int) -> None:
        before = self.combo.findData(self._name)
        wanted = self.combo.itemData(index)
        if wanted is None:
            self.combo.setCurrentIndex(before)
            wanted = ask_for_encoder(self)
        if wanted and wanted != self._name:
            self.encoder_chosen.emit(wanted)
