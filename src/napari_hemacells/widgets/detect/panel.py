"""The step *Detect*: choice of the image, source of the cells, and detection parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFormLayout,
    QPushButton,
    QRadioButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.params import DetectParams
from napari_hemacells.widgets.detect.edit_bar import EditBar
from napari_hemacells.widgets.folder_dialog import choose_folder
from napari_hemacells.widgets.forms import ParamsForm, build_params
from napari_hemacells.widgets.plain_text import PlainLabel, heading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.core.types import Cells, SmearImage
    from napari_hemacells.widgets.canvas.layer_catalog import LayerChoice

_NO_IMAGE = (
    "Open a smear first: drag a picture into napari, or File ▸ Open Sample ▸ HemaCells. Or open a "
    "folder of cell pictures."
)
_CHOOSE_IMAGE = "Choose an image above."
_LEAST_SIDE = 16  # pixels of a picture with a cell in it
_NO_REGIONS = "Find the regions first, or draw shapes on the thermogram."
_PAUSE_MS = 200  # after the last move of a slider
_USE_LAYER, _USE_REGIONS = "Use the cells &of a layer", "Use the regions &of a layer"
_USE_WHOLE = "The whole picture is one cell"
_USE_THERMOGRAM = "The whole thermogram, as one picture"
_KINDS = {"labels": "Labels", "points": "Points", "shapes": "Shapes"}


@dataclass(frozen=True)
class DetectRequest:
    """The source of the cells: a layer that holds them, the picture itself, or the detector.

    Attributes
    ----------
    source
        The layer that holds the cells; ``None`` for the detector, or for a whole picture.
    within
        The Shapes layer that detection is restricted to, ``None`` for the whole image.
    whole
        Whether the picture itself is the one cell.
    """

    source: str | None
    params: DetectParams
    within: str | None = None
    whole: bool = False


class DetectPanel(QWidget):
    """The panel to choose an image and detect its cells."""

    image_chosen = Signal(str)
    detect_requested = Signal(object)
    params_changed = Signal(object)  # DetectRequest, once the user pauses
    folder_chosen = Signal(object)  # a folder of cell pictures to open

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.image = _combo("Image")
        self.image.setToolTip("The smear to work on: colour or grey, any bit depth")
        self.use_detector = QRadioButton("Fi&nd cells in the image")
        self.use_layer = QRadioButton(_USE_LAYER)
        self.use_layer.setToolTip(
            "Your own segmentation: Labels, Points at the centres, or Shapes"
        )
        self.use_whole = QRadioButton(_USE_WHOLE)
        self.use_whole.setToolTip(
            "For a picture of a single cell, as analysers save them, and for a whole "
            "thermogram: nothing is looked for, the picture itself gets the class"
        )
        self.source = _combo("Layer with cells")
        self.within = _combo("Only inside")
        self.within.setToolTip(
            "Find cells only inside the shapes of this layer. Leave out areas that are too "
            "thick, torn or empty. To start, add a Shapes layer and draw around the "
            "readable area."
        )
        self.form = ParamsForm(
            DetectParams,
            ("method", "cell_diameter", "sensitivity"),
            empty={"cell_diameter": "estimated"},
        )
        self.more = ParamsForm(
            DetectParams,
            ("cell_diameter_um", "pixel_size_um"),
            empty={"cell_diameter_um": "estimated", "pixel_size_um": "from the image"},
        )
        self.more_button = QToolButton()
        self.more_button.setText("&More")
        self.more_button.setToolTip("The cell diameter in micrometres")
        self.more_button.setCheckable(True)
        self.more_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.folder_button = QPushButton("Open a folder of cell pictures…")
        self.folder_button.setToolTip(
            "Pictures of one cell each, as analysers save them: label them, and train on them"
        )
        self._pictures = False  # whether the image is a folder of pictures
        self.button = QPushButton("Detec&t")
        self.other_size = QPushButton()
        self.other_size.hide()
        self._other = 0
        self.result = PlainLabel()
        self.result.setWordWrap(True)
        self.edit_bar = EditBar(undo=True)
        self.edit_title = heading("Correct the cells")
        self.within_label = PlainLabel("Onl&y inside")
        self._blocked, self._offered = "", True
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE_MS)
        self._pause.timeout.connect(self._tell_params)
        self._lay_out()
        self._connect()
        self.show_result(None)
        self._update()

    # --- what is shown -----------------------------------------------------------------------

    def set_choices(self, images: Sequence[LayerChoice], sources: Sequence[LayerChoice]) -> None:
        """Offer these layers; the chosen one stays chosen if it still exists."""
        _fill(self.image, [(choice.key, choice.title) for choice in images])
        _fill(
            self.source,
            [
                (choice.key, f"{choice.title} ({_KINDS.get(choice.kind, choice.kind)})")
                for choice in sources
            ],
        )
        shapes = [(choice.key, choice.title) for choice in sources if choice.kind == "shapes"]
        _fill(self.within, [("", "Whole image"), *shapes])
        self.use_layer.setEnabled(bool(sources))
        if not sources and self._offered:
            self.use_detector.setChecked(True)
        self._update()

    def choose_source(self, key: str) -> None:
        """Select the cells of this layer as the source."""
        index = self.source.findData(key)
        if index >= 0:
            self.source.setCurrentIndex(index)
            self.use_layer.setChecked(True)

    def offer_detector(self, *, offered: bool) -> None:
        """Offer detection or not: a thermogram has no cells."""
        if offered == self._offered:
            return
        self._offered = offered
        self.use_detector.setVisible(offered)
        self.use_layer.setText(_USE_LAYER if offered else _USE_REGIONS)
        self.use_whole.setText(_USE_WHOLE if offered else _USE_THERMOGRAM)
        self.use_layer.setChecked(not offered)
        self.use_detector.setChecked(offered)
        self._update()

    def show_pictures(self, *, shown: bool) -> None:
        """Show that the image is a folder of pictures, in which nothing is detected, or not."""
        if shown != self._pictures:
            self._pictures = shown
            self._update()

    def choose_image(self, key: str | None) -> None:
        """Show this image as the chosen one without a request."""
        self.image.blockSignals(True)
        self.image.setCurrentIndex(-1 if key is None else self.image.findData(key))
        self.image.blockSignals(False)
        self._update()

    def block(self, reason: str) -> None:
        """Disable Detect with this reason, or enable it with an empty one."""
        self._blocked = reason
        self._update()

    def show_result(self, cells: Cells | None, image: SmearImage | None = None) -> None:
        """Show the result of the detection in this image."""
        sheet = image is not None and image.sheet is not None
        told = cells is not None and not sheet  # the section on the folder says how many
        self.result.setText(detection_summary(cells, image) if cells is not None and told else "")
        for part in (self.edit_title, self.edit_bar):
            part.setVisible(told)
        other = cells.other_diameter if cells is not None and told else None
        self.other_size.setVisible(other is not None)
        if cells is not None and other is not None:
            self._other = round(other)
            self.other_size.setText(f"Or are cells {self._other} px wide? &Detect those")
            self.other_size.setToolTip(
                f"Two sizes fit this picture: cells of {cells.diameter:.0f} px, which are shown, "
                f"and of {self._other} px."
            )

    def _detect_other(self) -> None:
        self.form.set_values({"cell_diameter": float(self._other)})
        self._detect()

    @property
    def chosen_image(self) -> str | None:
        """Key of the chosen image layer."""
        key = self.image.currentData()
        return None if key is None else str(key)

    def add_section(self, section: QWidget, *, on_top: bool = False) -> None:
        """Insert another section at the end, or right under the choice of the image."""
        column = self.layout()
        if isinstance(column, QVBoxLayout):
            column.insertWidget(2 if on_top else column.count() - 1, section)

    # --- what is asked for -------------------------------------------------------------------

    def request(self) -> DetectRequest | None:
        """The parameters of the form; ``None`` if the form is not valid."""
        params, _ = build_params(DetectParams, self.form, self.more)
        if params is None:
            return None
        if self.use_whole.isChecked():
            return DetectRequest(None, params, whole=True)
        source = self.source.currentData() if self.use_layer.isChecked() else None
        within = None if source is not None else self.within.currentData()
        return DetectRequest(source, params, within or None)

    def _detect(self) -> None:
        request = self.request()
        if request is not None:
            self.detect_requested.emit(request)

    def _choose_folder(self) -> None:
        folder = choose_folder(self)
        if folder is not None:
            self.folder_chosen.emit(folder)

    def _tell_params(self) -> None:
        request = self.request()
        if request is not None and request.source is None and not request.whole:
            self.params_changed.emit(request)

    def _choose(self, _index: int) -> None:
        if self.chosen_image is not None:
            self.image_chosen.emit(self.chosen_image)
        self._update()

    def _update(self, _value: object = None) -> None:
        by_layer, whole = self.use_layer.isChecked(), self.use_whole.isChecked()
        for choice in (self.use_detector, self.use_whole, self.use_layer):
            choice.setVisible(not self._pictures)
        self.use_detector.setVisible(self._offered and not self._pictures)
        self.source.setVisible(by_layer)
        detects = self._offered and not by_layer and not whole
        for part in (self.within_label, self.within):
            part.setVisible(not by_layer and not whole)
        self.form.native.setVisible(self._offered and not whole)
        self.more_button.setVisible(self._offered and not whole)
        self.more.native.setVisible(self._offered and not whole and self.more_button.isChecked())
        reason = self._blocked or self._missing()
        self.button.setEnabled(not reason)
        taken = "Use &these cells" if self._offered else "Use &these regions"
        self.button.setText(
            "Use &the whole picture" if whole else taken if by_layer else "Detec&t cells"
        )
        find = "Find the cells of this image; annotated cells stay"
        take = "Annotated cells stay"
        self.button.setToolTip(reason or (find if detects else take))
        if self._pictures:
            for hidden in (
                self.source, self.within_label, self.within, self.form.native, self.more_button,
                self.more.native, self.button,
            ):  # fmt: skip
                hidden.hide()
        else:
            self.button.show()

    def _show_more(self, more: bool) -> None:
        self.more.native.setVisible(more)
        self.more_button.setText("Less" if more else "&More")

    def _missing(self) -> str:
        if self.chosen_image is None:
            return _CHOOSE_IMAGE if self.image.count() else _NO_IMAGE
        if self.use_layer.isChecked() and self.source.currentData() is None:
            return "Choose the layer that holds the cells." if self._offered else _NO_REGIONS
        return build_params(DetectParams, self.form, self.more)[1]

    def _lay_out(self) -> None:
        group = QButtonGroup(self)
        for button in (self.use_detector, self.use_layer, self.use_whole):
            group.addButton(button)
        self.use_detector.setChecked(True)
        top = QFormLayout()
        label = PlainLabel("&Image")
        label.setBuddy(self.image)
        top.addRow(label, self.image)
        self.within_label.setBuddy(self.within)
        inside = QFormLayout()
        inside.addRow(self.within_label, self.within)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(top)
        column.addWidget(self.folder_button)
        for choice in (self.use_detector, self.use_whole, self.use_layer, self.source):
            column.addWidget(choice)
        column.addLayout(inside)
        for widget in (
            self.form.native, self.more_button, self.more.native,
            self.button, self.result, self.other_size, self.edit_title, self.edit_bar,
        ):  # fmt: skip
            column.addWidget(widget)
        column.addStretch(1)

    def _connect(self) -> None:
        self.image.currentIndexChanged.connect(self._choose)
        self.source.currentIndexChanged.connect(self._update)
        for button in (self.use_layer, self.use_whole):
            button.toggled.connect(self._update)
        self.form.changed.connect(self._update)
        self.form.changed.connect(self._pause.start)
        self.more.changed.connect(self._update)
        self.more_button.toggled.connect(self._show_more)
        self._show_more(more=False)
        self.button.clicked.connect(self._detect)
        self.other_size.clicked.connect(self._detect_other)
        self.folder_button.clicked.connect(self._choose_folder)


def no_cells_reason(image: SmearImage | None) -> str:
    """Why there are no cells, and what to do: of a picture that cannot hold any, or of a smear."""
    if image is not None and min(image.shape) < _LEAST_SIDE:
        rows, cols = image.shape
        return (
            f"No cells found: this picture of {rows} × {cols} pixels is too small to show any. "
            "Choose another image."
        )
    if image is not None and not image.is_lazy and not np.ptp(image.pixels):
        return (
            "No cells found: this picture has one colour everywhere. Choose another image, or "
            "another channel or plane."
        )
    return "No cells found. Raise the sensitivity, or set the diameter of a red cell in pixels."


def detection_summary(cells: Cells, image: SmearImage | None = None) -> str:
    """``143 cells: RBC 120, Platelets 18, WBC 5; cell diameter 42 px; learned detector``."""
    total = len(cells)
    if not total:
        return no_cells_reason(image)
    if cells.source == "whole" and image is not None:
        rows, cols = image.shape
        return f"The whole picture, {cols:,} × {rows:,} px, is one cell."
    kinds = cells.table["class"].value_counts()
    parts = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items() if kind)
    counted = f"{total:,} {'cell' if total == 1 else 'cells'}"
    by = f"; {cells.detector} detector" if cells.detector else ""
    return f"{counted}{': ' if parts else ''}{parts}; cell diameter {cells.diameter:.0f} px{by}"


def _combo(name: str) -> QComboBox:
    combo = QComboBox()
    combo.setAccessibleName(name)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(12)
    return combo


def _fill(combo: QComboBox, choices: list[tuple[str, str]]) -> None:
    """Replace the entries and keep the choice."""
    chosen = combo.currentData()
    combo.blockSignals(True)
    combo.clear()
    for key, title in choices:
        combo.addItem(title, key)
    combo.setCurrentIndex(combo.findData(chosen) if chosen is not None else -1)
    if combo.currentIndex() < 0 and choices and choices[0][0] == "":
        combo.setCurrentIndex(0)  # there is always the choice of none
    combo.blockSignals(False)
