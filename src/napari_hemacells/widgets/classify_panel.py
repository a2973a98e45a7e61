"""The step *Classify*: live classes, their counts, models, and what is shown on the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.params import ClassifyParams
from napari_hemacells.layers import DISPLAY_MODES
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.adapt_box import AdaptBox
from napari_hemacells.widgets.counts_table import CountsTable
from napari_hemacells.widgets.encoder_box import EncoderBox
from napari_hemacells.widgets.forms import ParamsForm, build
from napari_hemacells.widgets.shift_warning import ShiftWarning
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.trust_box import TrustBox

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_hemacells.layers import DisplayMode
    from napari_hemacells.session import Session

UNSURE_BELOW = 0.6
_CAVEAT = (
    "Predicted from your clicks, checked by nobody: review the unsure ones before you report any."
)
_MODE_HELP = {
    "image": "The image alone",
    "class": "Every cell in the colour of its class; your own stronger than predicted ones",
    "confidence": "Dark cells are guesses, bright ones sure",
}


class ClassifyPanel(QWidget):
    """What the classifier says about the cells of the image."""

    live_toggled = Signal(bool)
    params_changed = Signal(object)
    display_requested = Signal(str)
    load_requested = Signal()
    save_requested = Signal()
    nearest_toggled = Signal(bool)
    restandardise_toggled = Signal(bool)
    label_requested = Signal()
    finetune_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.live = QCheckBox("Classify after each clic&k")
        self.live.setChecked(True)
        self.live.setToolTip("Fit the classifier anew and colour every cell after each annotation")
        self.encoder, self.adapt = EncoderBox(), AdaptBox()
        self.form = ParamsForm(ClassifyParams)
        self.modes: dict[DisplayMode, QPushButton] = {}
        self.table = CountsTable()
        self.confidence, self.model, self.device = QLabel(), QLabel(), QLabel()
        self.shift, self.trust = ShiftWarning(), TrustBox()
        self._device = ""
        self.caveat = QLabel(_CAVEAT)
        self.load = QPushButton("L&oad model…")
        self.save = QPushButton("&Save model…")
        self.finetune = QPushButton("&Fine-tune…")
        self.finetune.setToolTip("Let the network itself learn from all your annotated cells")
        self._lay_out()
        self._connect()
        self._subscriptions = Subscriptions(self)
        events = session.events
        for signal in (
            events.project, events.image, events.cells, events.corrected, events.palette,
            events.annotations, events.prediction, events.model, events.shift, events.embeddings,
        ):  # fmt: skip
            self._subscriptions.add(signal, self._update)
        for signal in (events.project, events.model, events.settings):
            self._subscriptions.add(signal, self.show_settings)
        self.show_mode("class")
        self._update()

    def show_mode(self, mode: DisplayMode) -> None:
        """Press the button of a display mode without asking for it."""
        self.modes[mode].setChecked(True)

    def show_device(self, name: str, reason: str) -> None:
        """Say where the network runs, and why."""
        self._device = f"on {name}. {reason}"
        self._update()

    def restyle(self) -> None:
        """Take the colours of the present theme."""
        for label in (self.caveat, self.device):
            theme.quiet(label)
        self.adapt.restyle()
        self.shift.show_state(self._session)

    # --- updaters ----------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Catch up with what happened while another step was shown."""
        super().showEvent(event)
        self.show_settings()  # an encoder may have been adapted meanwhile
        self._update()

    def show_settings(self) -> None:
        """Show with what cells are looked at and classified, without asking for it."""
        live = self._session.live
        self.encoder.show_encoder(live.encoder, live.bundle)
        self.form.blockSignals(True)
        self.form.set_values(live.params.model_dump())
        self.form.blockSignals(False)

    def _update(self, _what: object = None) -> None:
        if not self.isVisible():
            return  # counting thousands of cells for nobody would delay the colours
        session = self._session
        cells = 0 if session.cells is None else len(session.cells)
        if session.project is not None:
            self.table.show_counts(session.palette, session.counts(), cells)
        self.confidence.setText(confidence_line(session))
        self.trust.show_state(session)
        self.shift.show_state(session)
        self.model.setText(model_line(session))
        self.device.setText(device_line(session, self._device))
        self.load.setEnabled(session.embeddings is not None)
        self.load.setToolTip(
            "Classify this image with a model saved before"
            if self.load.isEnabled()
            else "Wait until the cells are embedded: a model classifies embedded cells"
        )
        self.save.setEnabled(session.prediction is not None)
        self.save.setToolTip(
            "Keep classes, head and training cells for the next image"
            if self.save.isEnabled()
            else "There is no model yet: give at least one cell a class"
        )

    def _lay_out(self) -> None:
        for label in (self.confidence, self.model, self.device, self.caveat):
            label.setWordWrap(True)
        models = QHBoxLayout()
        models.addWidget(self.load)
        models.addWidget(self.save)
        models.addWidget(self.finetune)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)  # all of it is seen at once in a window of 800 pixels
        column.addWidget(self.shift)
        column.addWidget(self._mode_box())
        column.addWidget(self.table)
        column.addWidget(self.confidence)
        column.addWidget(self.trust)
        column.addWidget(self.caveat)
        column.addWidget(self.live)
        column.addWidget(self.encoder)
        column.addWidget(self.adapt)
        column.addWidget(self.form.native)
        column.addWidget(self.model)
        column.addLayout(models)
        column.addWidget(self.device)
        column.addStretch(1)
        self.restyle()

    def _mode_box(self) -> QGroupBox:
        box = QGroupBox("Show on the image (V flips)")
        row = QHBoxLayout(box)
        row.setContentsMargins(4, 2, 4, 2)
        group = QButtonGroup(self)
        for mode in DISPLAY_MODES:
            button = QPushButton(mode.capitalize())
            button.setCheckable(True)
            button.setToolTip(_MODE_HELP[mode])
            button.clicked.connect(self._mode_clicked)
            group.addButton(button)
            row.addWidget(button)
            self.modes[mode] = button
        return box

    def _connect(self) -> None:
        self.live.toggled.connect(self.live_toggled)
        self.form.changed.connect(self._params_changed)
        self.load.clicked.connect(self.load_requested)
        self.save.clicked.connect(self.save_requested)
        self.finetune.clicked.connect(self.finetune_requested)
        self.trust.nearest_toggled.connect(self.nearest_toggled)
        self.shift.restandardise_toggled.connect(self.restandardise_toggled)
        self.shift.label_requested.connect(self.label_requested)

    def _mode_clicked(self) -> None:
        chosen = next(mode for mode, button in self.modes.items() if button.isChecked())
        self.display_requested.emit(chosen)

    def _params_changed(self) -> None:
        params, _ = build(ClassifyParams, self.form)
        if params is not None:
            self.params_changed.emit(params)


def confidence_line(session: Session) -> str:
    """How sure the prediction is, in a sentence."""
    prediction = session.prediction
    if prediction is None:
        return "Nothing is predicted yet: give at least one cell a class under Annotate."
    if not len(prediction.ids):
        return "There are no cells to classify."
    known = prediction.confidence[~prediction.verdict]
    mine = np.isin(prediction.ids, list(session.annotated))
    unknown = int((prediction.verdict & ~mine).sum())
    beside = f" {unknown:,} unknown, not forced into a class." if unknown else ""
    if not len(known):
        return beside.strip()
    unsure = int((known < UNSURE_BELOW).sum())
    middle = float(np.sort(known)[len(known) // 2])
    cells = "cell" if unsure == 1 else "cells"
    return f"Median confidence {middle:.0%}; {unsure:,} {cells} below {UNSURE_BELOW:.0%}.{beside}"


def model_line(session: Session) -> str:
    """Which model speaks."""
    model, found = session.live.model, session.prediction
    moved = " This slide is re-standardised." if session.restandardised else ""
    if model is not None:
        return f"Model “{model.bundle.name}”, and your clicks since.{moved}"
    return f"Model: {found.head}.{moved}" if found is not None and found.head else ""


def device_line(session: Session, device: str) -> str:
    """Which network runs where, and why there."""
    if not device:
        return ""
    embeddings = session.embeddings
    network = "" if embeddings is None else f"{embeddings.encoder.name} "
    return f"Network: {network}{device}"
