"""The controls of the gallery: order, filter, size, and what is asked of the chosen crops."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QWidget,
)
from superqt import QFlowLayout

from napari_hemacells.core.annotate.palette import UNKNOWN_COLOUR
from napari_hemacells.core.types import UNKNOWN
from napari_hemacells.widgets.gallery.model import ALL_CELLS, ANNOTATED, PROPOSED, UNCLASSIFIED
from napari_hemacells.widgets.plain_text import PlainLabel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_hemacells.core.annotate import CellClass
    from napari_hemacells.core.params import QueueOrder

ORDERS: tuple[tuple[QueueOrder, str, str], ...] = (
    (
        "active",
        "Most useful next",
        (
            "Uncertain cells unlike the annotated ones; before any annotation the most "
            "different cells"
        ),
    ),
    (
        "uncertain",
        "Least certain",
        ("Uncertain cells first; crops that look alike are spread apart"),
    ),
    (
        "rare",
        "Rare kinds first",
        (
            "Cells that the detector or the classifier takes for something rare on the slide, the "
            "most useful first"
        ),
    ),
    ("unknown", "Unknown first", "The cells farthest from all annotated ones first"),
    ("sure", "Confidence", "By the probability of the class"),
    ("class", "Class", "Class by class, in the order of the palette"),
    ("slide", "Place", "By position in the image, row by row"),
)
SIDES = (40, 176)
_LINE = 30


class GalleryBar(QWidget):
    """Controls of the gallery: order, direction, filter, size and refresh.

    Signals
    -------
    order_changed
        Order or direction: the new order, and whether it runs backwards.
    filter_changed
        A class id, or one of the two other filters of the model.
    side_changed
        Side of the crops in pixels.
    refresh_requested
        The button was pressed.
    """

    order_changed = Signal(str, bool)
    filter_changed = Signal(str)
    side_changed = Signal(int)
    refresh_requested = Signal()

    def __init__(self, side: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.order = QComboBox()
        self.direction = QPushButton("↓")
        self.direction.setAccessibleName("Reverse the order")
        self.filter = QComboBox()
        self.size_slider = QSlider(Qt.Orientation.Horizontal)
        self.refresh = QPushButton("Refresh (R)")
        self.count = PlainLabel()
        self._classes: tuple[CellClass, ...] = ()
        self._proposed, self._proposed_title = 0, "Proposed"
        self._fill(side)
        self._lay_out()
        self._connect()

    def _fill(self, side: int) -> None:
        for order, title, tip in ORDERS:
            self.order.addItem(title, order)
            self.order.setItemData(self.order.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.order.setToolTip("Order of the cells")
        self.order.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.direction.setCheckable(True)
        self.direction.setToolTip("Reverse the order")
        self.direction.setFixedWidth(28)
        self.filter.setToolTip("Show only cells of this class")
        self.filter.setFixedWidth(136)  # a long class name does not push the rest away
        self.size_slider.setRange(*SIDES)
        self.size_slider.setValue(side)
        self.size_slider.setFixedWidth(72)
        self.size_slider.setToolTip("Size of the crops")
        self.similar = QPushButton("More like this (L)")
        self.similar.setEnabled(False)
        self.similar.setToolTip(
            "Order all cells by their likeness to the chosen ones (L); Shift+L: of all images"
        )
        self.everywhere = QCheckBox("All images")
        self.everywhere.setToolTip("More like this: cells of all images of the project")
        self.compare = QPushButton("Compare (C)")
        self.compare.setEnabled(False)
        self.compare.setToolTip("See two cells side by side: same kind or not? (C)")
        self.odd = QPushButton("Odd ones (O)")
        self.odd.setEnabled(False)
        self.odd.setToolTip("Go through the cells that are unlike every annotated kind (O)")
        self.back = QPushButton("Back to this image")
        self.back.setToolTip("Show the cells of the open image again")
        self.back.hide()
        self.refresh.setToolTip(
            "Refresh the queue with the latest predictions (R); until then the order stays"
        )
        self.show_classes(())

    def _lay_out(self) -> None:
        flow = QFlowLayout(self)
        flow.setContentsMargins(0, 0, 0, 0)
        flow.setHorizontalSpacing(10)
        flow.setVerticalSpacing(4)
        flow.addWidget(_group(_label("Order", self.order), self.order, self.direction))
        flow.addWidget(_group(_label("Show", self.filter), self.filter))
        flow.addWidget(_group(_label("Size", self.size_slider), self.size_slider))
        flow.addWidget(_group(self.refresh))
        flow.addWidget(_group(self.similar, self.everywhere))
        flow.addWidget(_group(self.compare, self.odd))
        flow.addWidget(_group(self.back))
        flow.addWidget(_group(self.count))

    def _connect(self) -> None:
        self.order.currentIndexChanged.connect(self._tell_order)
        self.direction.toggled.connect(self._tell_order)
        self.filter.currentIndexChanged.connect(self._tell_filter)
        self.size_slider.valueChanged.connect(self.side_changed)
        self.refresh.clicked.connect(self.refresh_requested)

    def show_classes(self, classes: Iterable[CellClass]) -> None:
        """Offer these classes as filters; the chosen filter is kept if it still exists."""
        self._classes = tuple(classes)
        chosen = self.filter.currentData()
        self.filter.blockSignals(True)
        self.filter.clear()
        self.filter.addItem("All", ALL_CELLS)
        for cell_class in self._classes:
            self.filter.addItem(swatch(cell_class.colour), cell_class.name, cell_class.id)
        self.filter.addItem("Annotated", ANNOTATED)
        self.filter.addItem(swatch(UNKNOWN_COLOUR), "Unknown", UNKNOWN)
        self.filter.addItem("Not classified", UNCLASSIFIED)
        if self._proposed:
            self.filter.addItem(f"{self._proposed_title} ({self._proposed})", PROPOSED)
        self.filter.setCurrentIndex(max(self.filter.findData(chosen), 0))
        self.filter.blockSignals(False)
        if chosen is not None and self.filter.currentData() != chosen:
            self._tell_filter()

    def offer_proposed(self, count: int, title: str = "Proposed") -> None:
        """Offer the proposed cells as a filter, and choose it; 0 removes it."""
        self._proposed, self._proposed_title = count, title
        self.show_classes(self._classes)
        if count:
            self.filter.setCurrentIndex(self.filter.findData(PROPOSED))

    def show_start(self, *, nothing_labelled: bool) -> None:
        """Name the first order by what it is before any annotation."""
        self.order.setItemText(0, "Most different" if nothing_labelled else ORDERS[0][1])

    def _tell_order(self) -> None:
        backwards = self.direction.isChecked()
        self.direction.setText("↑" if backwards else "↓")
        self.order_changed.emit(self.order.currentData(), backwards)

    def _tell_filter(self) -> None:
        self.filter_changed.emit(cast("str", self.filter.currentData()))


def _label(text: str, buddy: QWidget) -> QLabel:
    label = PlainLabel(text)
    label.setBuddy(buddy)
    return label


def _group(*widgets: QWidget) -> QWidget:
    """Return one widget with these in a row, so that a line break never separates them."""
    group = QWidget()
    row = QHBoxLayout(group)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    group.setFixedHeight(_LINE)  # all alike, so that they stand on one line
    for widget in widgets:
        row.addWidget(widget)
    return group


def swatch(colour: str) -> QIcon:
    """A small square of a colour."""
    pixmap = QPixmap(12, 12)
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)
