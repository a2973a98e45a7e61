"""The section *Several annotators*: their points, the method, the consensus and the doubts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.consensus import THESIS_RADIUS, ConsensusMethod
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.plain_text import PlainLabel, literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.widgets.canvas.layer_catalog import LayerChoice

METHOD_NAMES: dict[ConsensusMethod, str] = {
    "matching": "One-to-one matching",
    "reliability": "Reliability of each annotator",
    "density": "Density of the points",
    "radius": "Fixed radius (the thesis' rule)",
}
_METHOD_TIPS: dict[ConsensusMethod, str] = {
    "matching": "Each cell has one point of each annotator at most. A cell is what at least half "
    "of the annotators have marked, and two at least",
    "reliability": "Estimates what each annotator misses, makes up and confuses, and weighs the "
    "points by it. Good with three annotators or more",
    "density": "Groups of dense points, one of each annotator at most",
    "radius": "Points of different annotators closer than the distance are one cell. Images on "
    "which the numbers of points disagree are set aside",
}
_FARTHEST = 150  # pixels on the slider
_ROWS_SEEN = 5


class AnnotatorsPanel(QWidget):
    """The points of several annotators, and what they agree on.

    Signals
    -------
    files_chosen, projects_chosen
        Paths to read points from.
    layers_chosen
        Keys of Points layers, each one annotator's.
    layers_requested
        The menu of layers opens: the choices are wanted.
    settings_changed
        Method, distance, image or the annotators ticked are others.
    take_requested, next_requested, clear_requested
        Take over as cells; go to the next disagreement; forget the points.
    """

    files_chosen = Signal(object)
    projects_chosen = Signal(object)
    layers_chosen = Signal(object)
    layers_requested = Signal()
    settings_changed = Signal()
    take_requested = Signal()
    next_requested = Signal()
    clear_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QToolButton()
        self.title.setText("Several annotators")
        self.title.setToolTip("Make one set of cells of the points of several people")
        self.title.setCheckable(True)
        self.title.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.files_button = QPushButton("Files…")
        self.files_button.setToolTip(
            "Tables with the columns image, annotator, row, column and class; Cell Spotting "
            "answers; PyBossa task runs"
        )
        self.layers_button = QPushButton("Layers")
        self.layers_button.setToolTip("Points layers of the viewer, each one annotator's")
        self.layers_menu = QMenu(self.layers_button)
        self.layers_button.setMenu(self.layers_menu)
        self.projects_button = QPushButton("Project…")
        self.projects_button.setToolTip("The annotations of everybody in another project")
        self.annotators = QListWidget()
        self.annotators.setAccessibleName("Annotators")
        self.annotators.setToolTip("Untick an annotator to leave the points out")
        self.image = QComboBox()
        self.image.setAccessibleName("Image in the file")
        self.image.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.image.setMinimumContentsLength(10)
        self.image_label = PlainLabel("Image in the file")
        self.method = QComboBox()
        self.method.setAccessibleName("Method of the consensus")
        for at, (method, name) in enumerate(METHOD_NAMES.items()):
            self.method.addItem(name, method)
            self.method.setItemData(at, literal(_METHOD_TIPS[method]), Qt.ItemDataRole.ToolTipRole)
        self.learnt = QCheckBox("Distance learnt from the points")
        self.learnt.setToolTip("From the scatter of the points and the density of each image")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Distance in pixels up to which points are one cell")
        self.slider.setRange(2, _FARTHEST)
        self.slider.setValue(round(THESIS_RADIUS))
        self.distance = PlainLabel()
        self.result, self.agreement = PlainLabel(), PlainLabel()
        self.legend = PlainLabel("White ring: a cell. Yellow square: people disagree.")
        self.take_button = QPushButton("Take over as cells")
        self.take_button.setToolTip(
            "Points become cells with their class. Your own annotations stay; Ctrl+Z takes it back"
        )
        self.next_button = QPushButton("Next disagreement")
        self.clear_button = QPushButton("Remove the points")
        self.clear_button.setToolTip("Cells that were taken over stay")
        self._lay_out()
        self._connect()
        self.show_points((), (), "")

    # --- what is shown -----------------------------------------------------------------------

    def show_layer_choices(self, choices: Sequence[LayerChoice]) -> None:
        """Offer these Points layers; those ticked stay ticked."""
        ticked = set(self.ticked_layers())
        self.layers_menu.clear()
        for choice in choices:
            action = self.layers_menu.addAction(choice.title.replace("&", "&&"))
            if action is not None:
                action.setCheckable(True)
                action.setData(choice.key)
                action.setChecked(choice.key in ticked)
        if not choices:
            none = self.layers_menu.addAction("No Points layer is there: add one for each person")
            if none is not None:
                none.setEnabled(False)

    def ticked_layers(self) -> list[str]:
        """Keys of the Points layers that are ticked."""
        return [str(a.data()) for a in self.layers_menu.actions() if a.isChecked()]

    def show_points(
        self, annotators: Sequence[tuple[str, str, int]], images: Sequence[str], image: str
    ) -> None:
        """Show whose points are there.

        Parameters
        ----------
        annotators
            Name, colour and number of points of each.
        images
            Names of the images that the points are on.
        image
            The one shown.
        """
        self.annotators.blockSignals(True)
        self.annotators.clear()
        for name, colour, count in annotators:
            item = QListWidgetItem(_square(colour), f"{name}: {count:,} points")
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked)
            self.annotators.addItem(item)
        self.annotators.blockSignals(False)
        height = self.annotators.sizeHintForRow(0) if annotators else 0
        self.annotators.setFixedHeight(min(len(annotators), _ROWS_SEEN) * max(height, 18) + 6)
        self.image.blockSignals(True)
        self.image.clear()
        self.image.addItems(list(images))
        self.image.setCurrentIndex(self.image.findText(image))
        self.image.blockSignals(False)
        for part in (self.image, self.image_label):
            part.setVisible(len(images) > 1)
        self._points.setVisible(bool(annotators))
        if not annotators:
            self.show_result("", "", 0, reason="")

    def show_result(self, cells: str, agreement: str, doubts: int, *, reason: str) -> None:
        """Show what the annotators agree on; `reason` says why it cannot be taken over."""
        self.result.setText(cells)
        self.agreement.setText(agreement)
        self.agreement.setVisible(bool(agreement))
        self.take_button.setEnabled(not reason)
        if reason:
            self.take_button.setToolTip(reason)
        self.next_button.setText(f"Next disagreement ({doubts:,})  ▸")
        self.next_button.setEnabled(doubts > 0)

    def show_distance(self, pixels: float) -> None:
        """Show the distance that is used."""
        self.distance.setText(f"{pixels:.0f} px")
        if self.is_learnt:
            self.slider.blockSignals(True)
            self.slider.setValue(round(pixels))
            self.slider.blockSignals(False)

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        for label in (self.agreement, self.legend):
            theme.mute_text(label)

    # --- what is asked for -------------------------------------------------------------------

    @property
    def chosen_method(self) -> ConsensusMethod:
        """The method chosen."""
        method: ConsensusMethod = self.method.currentData()
        return method

    @property
    def is_learnt(self) -> bool:
        """Whether the distance is learnt; the thesis' rule has one of its own."""
        return self.learnt.isChecked() and self.chosen_method != "radius"

    @property
    def radius(self) -> float | None:
        """The distance in pixels, ``None`` where it is learnt."""
        return None if self.is_learnt else float(self.slider.value())

    @property
    def left_out(self) -> set[int]:
        """Numbers of the annotators that are not ticked."""
        items = [self.annotators.item(at) for at in range(self.annotators.count())]
        return {
            at for at, item in enumerate(items)
            if item is not None and item.checkState() == Qt.CheckState.Unchecked
        }  # fmt: skip

    def _choose_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(
            self, "Points of several annotators", "", "Points (*.csv *.tsv *.txt *.json)"
        )
        if names:
            self.files_chosen.emit([Path(name) for name in names])

    def _choose_project(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "A project with annotations (a folder)")
        if chosen:
            self.projects_chosen.emit([Path(chosen)])

    def _layer_ticked(self, _action: object) -> None:
        self.layers_chosen.emit(self.ticked_layers())

    def _method_changed(self, _index: int) -> None:
        radius = self.chosen_method == "radius"
        self.learnt.setVisible(not radius)
        if radius:
            self.slider.blockSignals(True)
            self.slider.setValue(round(THESIS_RADIUS))
            self.slider.blockSignals(False)
        self.method.setToolTip(_METHOD_TIPS[self.chosen_method])
        self.settings_changed.emit()

    def _slider_moved(self, value: int) -> None:
        self.distance.setText(f"{value} px")
        if self.learnt.isChecked():
            self.learnt.blockSignals(True)
            self.learnt.setChecked(False)
            self.learnt.blockSignals(False)
        self.settings_changed.emit()

    def _changed(self, _value: object = None) -> None:
        self.settings_changed.emit()

    def _open(self, opened: bool) -> None:
        self.title.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self.body.setVisible(opened)

    def _lay_out(self) -> None:
        self.learnt.setChecked(True)
        for label in (self.result, self.agreement, self.legend):
            label.setWordWrap(True)
        self.annotators.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        sources = QHBoxLayout()
        for button in (self.files_button, self.layers_button, self.projects_button):
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            sources.addWidget(button, 1)
        form = QFormLayout()
        self.image_label.setBuddy(self.image)
        form.addRow(self.image_label, self.image)
        method_label = PlainLabel("Method")
        method_label.setBuddy(self.method)
        form.addRow(method_label, self.method)
        distance = QHBoxLayout()
        distance.addWidget(self.slider, 1)
        distance.addWidget(self.distance)
        self._points = QWidget()
        column = QVBoxLayout(self._points)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.annotators)
        column.addLayout(form)
        column.addWidget(self.learnt)
        column.addLayout(distance)
        for widget in (
            self.result, self.legend, self.agreement, self.next_button,
            self.take_button, self.clear_button,
        ):  # fmt: skip
            column.addWidget(widget)
        self.body = QWidget()
        inner = QVBoxLayout(self.body)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addLayout(sources)
        inner.addWidget(self._points)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.title)
        whole.addWidget(self.body)
        self._open(False)

    def _connect(self) -> None:
        self.title.toggled.connect(self._open)
        self.files_button.clicked.connect(self._choose_files)
        self.projects_button.clicked.connect(self._choose_project)
        self.layers_menu.aboutToShow.connect(self.layers_requested)
        self.layers_menu.triggered.connect(self._layer_ticked)
        self.annotators.itemChanged.connect(self._changed)
        self.image.currentIndexChanged.connect(self._changed)
        self.method.currentIndexChanged.connect(self._method_changed)
        self.learnt.toggled.connect(self._changed)
        self.slider.valueChanged.connect(self._slider_moved)
        self.take_button.clicked.connect(self.take_requested)
        self.next_button.clicked.connect(self.next_requested)
        self.clear_button.clicked.connect(self.clear_requested)


def _square(colour: str) -> QIcon:
    picture = QPixmap(12, 12)
    picture.fill(QColor(colour))
    return QIcon(picture)
