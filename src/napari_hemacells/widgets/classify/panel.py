"""The step *Classify*: live classes and counts, models, display modes and domain-shift warning."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QCheckBox,
    QFrame,
    QGroupBox,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt import QFlowLayout

from napari_hemacells.core.annotate.palette import UNKNOWN_COLOUR
from napari_hemacells.core.classify.calibration import MIN_SHOTS_PERCENTAGE
from napari_hemacells.core.params import ClassifyParams
from napari_hemacells.core.types import NOT_A_CELL, UNKNOWN
from napari_hemacells.layers import DISPLAY_MODES
from napari_hemacells.session.domain_shift import MIN_CLICKS
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.adapt_encoder.panel import AdaptEncoderPanel
from napari_hemacells.widgets.classify.calibration import CalibrationBox
from napari_hemacells.widgets.classify.doubts import DoubtsBox
from napari_hemacells.widgets.classify.encoder_picker import EncoderPicker
from napari_hemacells.widgets.classify.legend import ConfidenceLegend
from napari_hemacells.widgets.forms import ParamsForm, build_params
from napari_hemacells.widgets.plain_text import PlainLabel
from napari_hemacells.widgets.subscriptions import Subscriptions
from napari_hemacells.widgets.train_siamese.panel import TrainSiamesePanel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qtpy.QtGui import QShowEvent

    from napari_hemacells.core.annotate import Palette
    from napari_hemacells.layers import DisplayMode
    from napari_hemacells.session import Session
    from napari_hemacells.session.domain_shift import ShiftMeasurement

_HEADS = ("Class", "Annotated", "Predicted", "Total")
_UNKNOWN_LINE = "unknown"
_UNKNOWN_HELP = "Unlike all annotated cells, so not assigned to a class"


class CountsTable(QTableWidget):
    """Class, annotated, predicted, total; the last rows are unknown, unclassified, and the sum."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_HEADS), parent)
        self.setHorizontalHeaderLabels(_HEADS)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setAccessibleName("Cells of this image by class")
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        rows, head = _header(self.verticalHeader()), _header(self.horizontalHeader())
        rows.setVisible(False)
        head.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        head.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def show_counts(
        self, palette: Palette, counts: Mapping[str, tuple[int, int]], cells: int
    ) -> None:
        """Show these counts and the total number of cells."""
        rows = [
            (cell_class.name, cell_class.colour, *counts.get(cell_class.id, (0, 0)))
            for cell_class in palette
        ]
        annotated, predicted = sum(row[2] for row in rows), sum(row[3] for row in rows)
        aside = [row[2:] for row in rows if row[0] == NOT_A_CELL]  # has its line, is in no sum
        marked, guessed = (sum(row[at] for row in aside) for at in (0, 1))
        unknown = counts.get(UNKNOWN, (0, 0))[1]
        lines = [
            (name, colour, mine, theirs, mine + theirs) for name, colour, mine, theirs in rows
        ]
        if unknown:
            lines.append((_UNKNOWN_LINE, UNKNOWN_COLOUR, 0, 0, unknown))
        if cells > annotated + predicted + unknown:
            lines.append(("no class yet", "", 0, 0, cells - annotated - predicted - unknown))
        lines.append(
            ("Total", "", annotated - marked, predicted - guessed, cells - marked - guessed)
        )
        self.setRowCount(len(lines))
        for row, (name, colour, *numbers) in enumerate(lines):
            bold = row == len(lines) - 1
            head = _item(name, colour=colour, bold=bold)
            if name == _UNKNOWN_LINE:
                head.setToolTip(_UNKNOWN_HELP)
            self.setItem(row, 0, head)
            for column, number in enumerate(numbers, start=1):
                self.setItem(row, column, _item(f"{number:,}", right=True, bold=bold))
        self._fit_height()

    def _fit_height(self) -> None:
        """Set the height to that of all rows: the panel scrolls, not the table."""
        self.resizeRowsToContents()
        height = _header(self.horizontalHeader()).sizeHint().height() + 2 * self.frameWidth()
        self.setFixedHeight(height + sum(self.rowHeight(row) for row in range(self.rowCount())))


def _header(header: QHeaderView | None) -> QHeaderView:
    """The header; Qt's types allow ``None``, but every table has one."""
    return cast("QHeaderView", header)


def _item(
    text: str, *, colour: str = "", right: bool = False, bold: bool = False
) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    if colour:
        swatch = QPixmap(12, 12)
        swatch.fill(QColor(colour))
        item.setData(Qt.ItemDataRole.DecorationRole, swatch)
    if right:
        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    font = item.font()
    font.setBold(bold)
    item.setFont(font)
    return item


_HELP = (
    "How much farther this slide's cells are from the cells that the classifier knows than "
    "those are from one another, in standard deviations. Near 0: like another image of the same "
    "slide. Above the level: another stain, lamp, scanner or laboratory, or new kinds of cells."
)
_MOVE_HELP = (
    "Shift and scale the embeddings of this slide to match the cells that the classifier "
    "knows. This removes the common effect of stain and scanner. Do not use it for a slide "
    "with other kinds of cells. Press again to undo it; tables and report state it."
)


class ShiftWarning(QFrame):
    """The domain-shift warning with two remedies; hidden while there is no shift.

    Signals
    -------
    restandardise_toggled
        Whether to re-standardise the embeddings of the slide.
    label_requested
        Propose some cells of this slide for annotation.
    """

    restandardise_toggled = Signal(bool)
    label_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.text = PlainLabel()
        self.text.setWordWrap(True)
        self.text.setToolTip(_HELP)
        self.text.setAccessibleName("Domain shift of this slide")
        self.restandardise_button = QPushButton("&Re-standardise this slide")
        self.restandardise_button.setCheckable(True)
        self.restandardise_button.setToolTip(_MOVE_HELP)
        self.label_more_button = QPushButton("Annotate five more")
        self.label_more_button.setToolTip(
            "Show the five most informative cells of this slide, to annotate them"
        )
        row = QHBoxLayout()
        row.addWidget(self.restandardise_button)
        row.addWidget(self.label_more_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.addWidget(self.text)
        column.addLayout(row)
        self.restandardise_button.clicked.connect(self.restandardise_toggled)
        self.label_more_button.clicked.connect(self.label_requested)
        self.hide()

    def show_state(self, session: Session) -> None:
        """Show the domain shift, or nothing if there is none."""
        measurement, moved = session.measured, session.restandardised
        self.setVisible(measurement is not None and (measurement.shift.is_large or moved))
        if measurement is None:
            return
        clicks = len(session.annotated)
        self.restandardise_button.setChecked(moved)
        self.label_more_button.setVisible(clicks < MIN_CLICKS)
        self.text.setText(format_shift_warning(measurement, moved=moved, clicks=clicks))
        self._style(alarmed=not moved and clicks < MIN_CLICKS)

    def _style(self, *, alarmed: bool) -> None:
        edge = theme.css("warning") if alarmed else theme.css("primary")
        self.setStyleSheet(
            f"ShiftWarning {{ border: none; border-left: 4px solid {edge};"
            f" background: {theme.css('foreground')}; }}"
        )


def format_shift_warning(measurement: ShiftMeasurement, *, moved: bool, clicks: int) -> str:
    """The score's meaning and what can be done, in a few sentences."""
    score, level, after = measurement.shift.score, measurement.shift.level, measurement.after.score
    if moved:
        return (
            f"This slide is re-standardised: its domain shift of {score:.1f} (level "
            f"{level:.1f}) is now {after:.1f}. Tables and report state this."
        )
    if clicks >= MIN_CLICKS:
        return (
            f"This slide looks unlike those that the classifier knew (shift {score:.1f}, "
            f"level {level:.1f}). Your {clicks:,} annotations here adapt it."
        )
    return (
        f"▲ This slide looks unlike those that the classifier knows: shift {score:.1f}, "
        f"level {level:.1f}. Classes and confidence may be wrong. Re-standardised, the shift "
        f"would be {after:.1f}."
    )


UNSURE_BELOW = 0.6
_TOO_FEW = (
    f"Confidence is shown in per cent once every class has {MIN_SHOTS_PERCENTAGE} annotations."
)
_ONE_CLASS = "Only one class is annotated. Give a cell another class to compare the two."
_CAVEAT = (
    "These classes are predicted and not checked by a person. Review the uncertain cells "
    "before you report them."
)
_MODE_HELP = {
    "image": "The image alone",
    "class": "Every cell in the colour of its class; annotated cells stronger than predicted ones",
    "confidence": "Dark cells have a low confidence, bright ones a high one",
    "odd": "Only the cells that are unlike every annotated kind (key O finds them)",
}


class ClassifyPanel(QWidget):
    """The panel of the classifier and its predictions."""

    live_toggled = Signal(bool)
    params_changed = Signal(object)
    display_requested = Signal(str)
    load_requested = Signal()
    save_requested = Signal()
    nearest_toggled = Signal(bool)
    restandardise_toggled = Signal(bool)
    label_requested = Signal()
    finetune_requested = Signal()
    heat_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.live = QCheckBox("Classify after each clic&k")
        self.live.setChecked(True)
        self.live.setToolTip("Fit the classifier and colour every cell after each annotation")
        self.encoder, self.adapt = EncoderPicker(), AdaptEncoderPanel()
        self.alike = TrainSiamesePanel()
        self.form = ParamsForm(ClassifyParams)
        self.modes: dict[DisplayMode, QPushButton] = {}
        self.legend = ConfidenceLegend()
        self.legend.hide()
        self.of_image = PlainLabel("Cells of this image by class:")
        self.table = CountsTable()
        self.confidence, self.model, self.device = PlainLabel(), PlainLabel(), PlainLabel()
        self.shift, self.trust, self.doubts = ShiftWarning(), CalibrationBox(), DoubtsBox()
        self._device = ""
        self.caveat = PlainLabel(_CAVEAT)
        self.load = QPushButton("L&oad model…")
        self.save = QPushButton("&Save model…")
        self.finetune = QPushButton("Fi&ne-tune…")
        self.finetune.setToolTip("Train the network itself on all your annotated cells")
        self.heat = QPushButton("Heat map")
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
        """Set the button of a display mode without a request."""
        self.modes[mode].setChecked(True)
        self.legend.setVisible(mode == "confidence")

    def show_device(self, name: str, reason: str) -> None:
        """Show the device of the network, and why it is used."""
        self._device = f"on {name}. {reason}"
        self._update()

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        for label in (self.caveat, self.device):
            theme.mute_text(label)
        self.adapt.restyle()
        self.alike.restyle()
        self.shift.show_state(self._session)

    # --- updaters ----------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Update what changed while another step was shown."""
        super().showEvent(event)
        self.show_settings()  # an encoder may have been adapted meanwhile
        self._update()

    def show_settings(self) -> None:
        """Show the encoder and the parameters in use without a request."""
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
        prediction = session.prediction
        self.legend.show_percentages(shown=prediction is None or not prediction.too_few)
        self.trust.show_state(session)
        self.doubts.show_state(session)
        self.shift.show_state(session)
        self.model.setText(model_line(session))
        self.device.setText(device_line(session, self._device))
        self.load.setEnabled(session.embeddings is not None)
        self.load.setToolTip(
            "Classify this image with a saved model"
            if self.load.isEnabled()
            else "Wait until the cells are embedded: a model classifies embedded cells"
        )
        has_model = session.prediction is not None and session.embeddings is not None
        self.save.setEnabled(has_model)
        self.save.setToolTip(
            "Save classes, classifier head and support set for other images"
            if self.save.isEnabled()
            else "There is no model yet: give at least one cell a class"
        )

        bundle = session.live.bundle
        self.heat.setEnabled(bundle is not None and bool(bundle.encoder_tensors))
        self.heat.setToolTip(
            "Lay over the chosen cell where the network looked (Grad-CAM; key H); again: remove it"
            if self.heat.isEnabled()
            else "Only a fine-tuned model has heat maps: load one, or fine-tune the classifier"
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
        column.addWidget(self.doubts)
        column.addWidget(self._mode_box())
        column.addWidget(self.legend)
        above = QHBoxLayout()
        above.addWidget(self.of_image, 1)
        above.addWidget(self.heat)
        column.addLayout(above)
        column.addWidget(self.table)
        column.addWidget(self.confidence)
        column.addWidget(self.trust)
        column.addWidget(self.caveat)
        column.addWidget(self.live)
        column.addWidget(self.encoder)
        column.addWidget(self.adapt)
        column.addWidget(self.alike)
        column.addWidget(self.form.native)
        column.addWidget(self.model)
        column.addLayout(models)
        column.addWidget(self.device)
        column.addStretch(1)
        self.restyle()

    def _mode_box(self) -> QGroupBox:
        box = QGroupBox("Show on the image (V switches)")
        row = QFlowLayout(box)  # four buttons are wider than a narrow dock
        row.setContentsMargins(4, 2, 4, 2)
        row.setHorizontalSpacing(4)
        row.setVerticalSpacing(4)
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
        self.heat.clicked.connect(self.heat_requested)
        self.trust.nearest_toggled.connect(self.nearest_toggled)
        self.shift.restandardise_toggled.connect(self.restandardise_toggled)
        self.shift.label_requested.connect(self.label_requested)

    def _mode_clicked(self) -> None:
        chosen = next(mode for mode, button in self.modes.items() if button.isChecked())
        self.display_requested.emit(chosen)

    def _params_changed(self) -> None:
        params, _ = build_params(ClassifyParams, self.form)
        if params is not None:
            self.params_changed.emit(params)


def confidence_line(session: Session) -> str:
    """The confidence of the prediction in a sentence."""
    prediction = session.prediction
    if prediction is None:
        return "Nothing is predicted yet: give at least one cell a class under Annotate."
    if len(prediction.class_ids) == 1:
        return _ONE_CLASS
    if not len(prediction.ids):
        return "There are no cells to classify."
    known = prediction.confidence[~prediction.verdict]
    mine = np.isin(prediction.ids, list(session.annotated))
    unknown = int((prediction.verdict & ~mine).sum())
    beside = f" {unknown:,} unknown, not assigned to a class." if unknown else ""
    if not len(known):
        return beside.strip()
    if prediction.too_few:
        return f"{_TOO_FEW}{beside}"
    unsure = int((known < UNSURE_BELOW).sum())
    middle = float(np.sort(known)[len(known) // 2])
    cells = "cell" if unsure == 1 else "cells"
    return f"Median confidence {middle:.0%}; {unsure:,} {cells} below {UNSURE_BELOW:.0%}.{beside}"


def model_line(session: Session) -> str:
    """The model in use, in a sentence."""
    model, prediction = session.live.model, session.prediction
    moved = " This slide is re-standardised." if session.restandardised else ""
    if model is not None:
        return f"Model “{model.bundle.name}” and your annotations since.{moved}"
    return (
        f"Model: {prediction.head}.{moved}" if prediction is not None and prediction.head else ""
    )


def device_line(session: Session, device: str) -> str:
    """The encoder and its device, in a sentence."""
    if not device:
        return ""
    embeddings = session.embeddings
    network = "" if embeddings is None else f"{embeddings.encoder.name} "
    return f"Network: {network}{device}"
