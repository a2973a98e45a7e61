"""The control *Look at cells with*: which encoder, in words, and any other by name or file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QWidget

from napari_hemacells.core.encode.choices import EncoderChoice, choice_of, choices
from napari_hemacells.core.params import EncodeParams
from napari_hemacells.widgets.encoder_dialog import ask_for_encoder

if TYPE_CHECKING:
    from napari_hemacells.core.store import Bundle

_FIELD = EncodeParams.model_fields["encoder"]
_OTHER = "Other…"
_HELP = (
    "The network that turns each cell into numbers. Another one embeds the cells anew; your "
    "annotations stay, and vectors of different networks are never mixed."
)
_OTHER_HELP = "Any model of timm, a published encoder, or a file of yours"


class EncoderBox(QWidget):
    """A list of encoders; what is chosen there is asked for, not yet in use.

    Signals
    -------
    encoder_chosen
        The name of the encoder wanted.
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
        label = QLabel(f"&{_FIELD.title}")
        label.setBuddy(self.combo)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(label)
        row.addWidget(self.combo, 1)
        self._name = ""

    def show_encoder(self, name: str, model: Bundle | None) -> None:
        """Show the encoder in use, without asking for it; a loaded model brings its own."""
        self._name = name
        if model is not None:
            self._show_own(model)
            return
        known = choices()
        if name not in {one.name for one in known}:
            known = (*known, choice_of(name))
        self._fill(known)
        self.combo.insertSeparator(self.combo.count())
        self.combo.addItem(_OTHER)
        self.combo.setItemData(self.combo.count() - 1, _OTHER_HELP, Qt.ItemDataRole.ToolTipRole)
        self.combo.setCurrentIndex(self.combo.findData(name))
        self.combo.setEnabled(True)
        about = next(one.about for one in known if one.name == name)
        self.combo.setToolTip(f"{about}\n\n{_HELP}")

    def _show_own(self, model: Bundle) -> None:
        title = f"The model's own: {model.encoder.name}"
        seen = f" It has seen {model.encoder.seen}." if model.encoder.seen else ""
        self._fill((EncoderChoice(self._name, title, ""),))
        self.combo.setEnabled(False)
        self.combo.setToolTip(
            f"The model “{model.name}” looks at cells with the encoder that it was made with, "
            f"{model.encoder.name}.{seen}"
        )

    def _fill(self, known: tuple[EncoderChoice, ...]) -> None:
        self.combo.clear()
        for place, one in enumerate(known):
            self.combo.addItem(one.title, one.name)
            self.combo.setItemData(place, one.about, Qt.ItemDataRole.ToolTipRole)
        view = self.combo.view()
        if view is not None:  # whole titles in the list, however narrow the dock
            view.setMinimumWidth(view.sizeHintForColumn(0) + 24)

    def _activated(self, place: int) -> None:
        before = self.combo.findData(self._name)
        wanted = self.combo.itemData(place)
        if wanted is None:
            self.combo.setCurrentIndex(before)
            wanted = ask_for_encoder(self)
        if wanted and wanted != self._name:
            self.encoder_chosen.emit(wanted)
