"""The light table: a bin for each class; pictures are dragged into them, the others follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QScrollArea,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_hemacells.core.annotate.palette import UNKNOWN_COLOUR
from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.types import UNKNOWN
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.gallery.view import Thumbnails
from napari_hemacells.widgets.light_table.bins import BinView, ClassBin
from napari_hemacells.widgets.light_table.sorting import sort_into_bins
from napari_hemacells.widgets.plain_text import PlainLabel
from napari_hemacells.widgets.subscriptions import SeenUpdates, Subscriptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_hemacells.session import Session

SIDE, SIDES = 52, (32, 128)  # pixels of a picture
_BIN_WIDTH = 84  # pixels; a bin is as wide as its classes' number allows
_PILE, _PILE_COLOUR = "Not sorted yet", "#8a8f98"
_REST_MS = 300  # bins sort themselves once the hand rests
_HELP = "Drag pictures into a bin, or press 1–9. Ticks are yours, the others sort themselves."
_MORE_HELP = (
    "0, or a drop on “Not sorted yet”, removes the class. L shows more pictures like the chosen "
    "ones. The numbers of a bin are: annotated + predicted."
)


class LightTableWidget(QWidget):
    """A bin for each class of the project, one for unknown and one for unsorted pictures.

    Signals
    -------
    cell_activated
        Id of a clicked cell, to be shown on the canvas.
    similar_requested
        Ids of cells: show others that look like them.
    refused
        Why a class was not given, as a sentence.
    """

    cell_activated = Signal(int)
    similar_requested = Signal(list)
    refused = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._thumbnails = Thumbnails(session)
        self.bins: dict[str | None, ClassBin] = {}
        self._shown: object = None  # the classes and image that the bins are made for
        self.least_certain = QCheckBox("Least certain first")
        self.least_certain.setToolTip(
            "Predicted pictures with the lowest confidence on top, to find mistakes"
        )
        self.side_slider = QSlider(Qt.Orientation.Horizontal)
        self.side_slider.setRange(*SIDES)
        self.side_slider.setValue(SIDE)
        self.side_slider.setMaximumWidth(110)
        self.side_slider.setAccessibleName("Size of the pictures")
        self.new_class = QLineEdit()
        self.new_class.setPlaceholderText("New class, Enter")
        self.new_class.setAccessibleName("Name of a new class")
        self.new_class.setMaximumWidth(150)
        self.text = PlainLabel(_HELP)
        self.text.setToolTip(_MORE_HELP)
        self.text.setWordWrap(True)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._lay_out()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_REST_MS)
        self._soon.timeout.connect(self._ask)
        self._seen = SeenUpdates(self, self.sort)
        self._seen.due = True
        self.least_certain.toggled.connect(self.sort)
        self.side_slider.valueChanged.connect(self._set_side)
        self.new_class.returnPressed.connect(self._add_class)
        self._subscriptions = Subscriptions(self)
        events = session.events
        for signal in (events.project, events.image, events.cells):
            self._subscriptions.add(signal, self._start_over)
        for signal in (
            events.annotations, events.prediction, events.palette, events.corrected,
        ):  # fmt: skip
            self._subscriptions.add(signal, self._sort_soon)

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        for widget in (self.new_class, self.least_certain, self.side_slider):
            top.addWidget(widget)
        top.addStretch(1)
        inside = QWidget()
        self._row = QHBoxLayout(inside)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(6)
        self._area = area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(4)
        column.addWidget(self.text)
        column.addLayout(top)
        column.addWidget(area, 1)

    # --- what is asked for -------------------------------------------------------------------

    def put(self, cells: Sequence[int], class_id: str | None) -> None:
        """Give cells a class, or remove theirs: one undoable step."""
        session = self._session
        there = session.cells.position if session.cells is not None else {}
        kept = [cell for cell in cells if cell in there]
        if class_id is None:
            kept = [cell for cell in kept if cell in session.annotated]
        if not kept:
            return
        try:
            session.annotate(kept, class_id)
        except HemaCellsError as error:
            self.refused.emit(str(error))

    def press(self, view: BinView, digit: int) -> None:
        """Give the chosen pictures of a bin the class of this key; 0 removes it."""
        cells = view.chosen_cells()
        if not cells or self._session.history is None:
            return
        holder = self._session.palette.by_key(digit) if digit else None
        if digit and holder is None:
            self.refused.emit(
                f"No class has the key {digit}. Give the key to a class in the palette."
            )
            return
        self.put(cells, None if holder is None else holder.id)

    def _add_class(self) -> None:
        name = self.new_class.text().strip()
        if not name or self._session.history is None:
            return
        try:
            self._session.add_class(name)
        except HemaCellsError as error:
            self.refused.emit(str(error))
            return
        self.new_class.clear()

    def _set_side(self, side: int) -> None:
        self._thumbnails.clear()
        for class_bin in self.bins.values():
            class_bin.view.set_side(side)

    # --- what is shown -----------------------------------------------------------------------

    def sort(self, _what: object = None) -> None:
        """Put every picture where it belongs now; not while some are in the hand."""
        if any(class_bin.view.dragging for class_bin in self.bins.values()):
            self._soon.start()
            return
        self._make_bins()
        contents = sort_into_bins(self._session, least_certain=self.least_certain.isChecked())
        for class_id, class_bin in self.bins.items():
            content = contents.get(class_id)
            if content is not None:
                class_bin.show_cells(content.cells, content.annotated, content.predicted)
        unknown = self.bins.get(UNKNOWN)
        if unknown is not None:
            unknown.setVisible(bool(unknown.view.queue.rowCount()))

    def repaint_pictures(self) -> None:
        """Paint the pictures again: some were read meanwhile."""
        for class_bin in self.bins.values():
            viewport = class_bin.view.viewport()
            if viewport is not None:
                viewport.update()

    def _make_bins(self) -> None:
        """Make a bin for each class, where the classes have changed."""
        session = self._session
        classes = session.palette.classes if session.history is not None else ()
        if self._shown == classes:
            return
        self._shown = classes
        while (item := self._row.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.bins = {}
        self._add_bin(None, _PILE, _PILE_COLOUR)
        for cell_class in classes:
            key = "" if cell_class.key is None else f"{cell_class.key}  "
            self._add_bin(cell_class.id, f"{key}{cell_class.name}", cell_class.colour)
        self._add_bin(UNKNOWN, "Unknown", UNKNOWN_COLOUR, takes_drops=False)

    def _add_bin(
        self, class_id: str | None, title: str, colour: str, *, takes_drops: bool = True
    ) -> None:
        class_bin = ClassBin(
            self._session, self._thumbnails, class_id,
            title=title, colour=colour, takes_drops=takes_drops, side=self.side_slider.value(),
        )  # fmt: skip
        class_bin.setMinimumWidth(max(_BIN_WIDTH, class_bin.title.minimumWidth()))
        view = class_bin.view
        view.hovered.connect(lambda: self._area.ensureWidgetVisible(class_bin, 30, 0))
        view.dropped.connect(lambda cells: self.put(cells, class_id))
        view.key_pressed.connect(lambda digit: self.press(view, digit))
        view.cell_clicked.connect(self.cell_activated)
        view.similar_wanted.connect(self.similar_requested)
        self.bins[class_id] = class_bin
        self._row.addWidget(class_bin, 1)

    def _start_over(self) -> None:
        self._thumbnails.clear()
        for class_bin in self.bins.values():
            class_bin.view.queue.clear()
        self._soon.start()

    def _sort_soon(self, _what: object = None) -> None:
        self._soon.start()

    def _ask(self) -> None:
        self._seen.ask()

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        theme.mute_text(self.text)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a wide size, higher than the gallery."""
        return QSize(720, 280)
