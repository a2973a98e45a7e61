"""The embedding map: a 2-D projection of the image's cells, annotated in groups by lasso."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.backend_bases import MouseButton
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.widgets import LassoSelector
from qtpy.QtCore import QEvent, QPoint, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QKeyEvent, QPixmap
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QFlowLayout

from napari_hemacells import layers as ours
from napari_hemacells.core.annotate.palette import UNKNOWN_COLOUR
from napari_hemacells.core.classify.projection import has_umap, project_pca, project_umap
from napari_hemacells.core.errors import HemaCellsError
from napari_hemacells.core.types import UNKNOWN, Progress
from napari_hemacells.widgets import theme
from napari_hemacells.widgets.gallery.bar import swatch
from napari_hemacells.widgets.gallery.view import Thumbnails
from napari_hemacells.widgets.native_libraries import single_blas_thread
from napari_hemacells.widgets.plain_text import PlainLabel, elided, literal, plain_tip
from napari_hemacells.widgets.subscriptions import SeenUpdates, Subscriptions, is_seen

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray
    from qtpy.QtGui import QImage, QResizeEvent

    from napari_hemacells.core.types import Embeddings
    from napari_hemacells.session import Session
    from napari_hemacells.widgets.background.workers import JobRunner

HOVER_RADIUS = 10.0  # pixels from a point that still hit it
_AT_ONCE = 2000  # cells: more are projected in a thread
_STILL = 4.0  # pixels that the pointer may move in a click
_ZOOM = 1.25  # a notch of the wheel
_SIZES = {False: 16.0, True: 46.0}  # of points, in square points; with the user's word larger
_MARGIN = 0.04


class EmbeddingMapCanvas(FigureCanvasQTAgg):
    """A scatter plot whose points can be chosen with a lasso; it changes nothing itself.

    Signals
    -------
    chosen
        Rows inside the lasso, ``(m,)``.
    clicked
        The row of the clicked point.
    hovered
        The row of the point under the pointer, -1 for none.
    """

    chosen = Signal(object)
    clicked = Signal(int)
    hovered = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Figure())  # type: ignore[no-untyped-call]
        self.setParent(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Map of the cells: those that look alike lie close together")
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.places: NDArray[np.float32] = np.zeros((0, 2), np.float32)
        self._points: Any = None
        self._rings: Any = None
        self._neighbour_cells = -1
        self._picture = PlainLabel(parent=self)
        self._picture.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._picture.hide()
        self._lasso = LassoSelector(
            self.axes, self._drawn, useblit=True, button=MouseButton.LEFT, props={"linewidth": 1.5}
        )
        self.mpl_connect("motion_notify_event", self._moved)
        self.mpl_connect("figure_leave_event", self._left)
        self.mpl_connect("scroll_event", self._wheel)
        self.restyle()

    # --- what is shown -----------------------------------------------------------------------

    def show_places(self, places: NDArray[np.float32]) -> None:
        """Show ``(n, 2)`` points in full view; set their colours afterwards."""
        self.places, self._neighbour_cells = places, -1
        self.show_picture(None)
        self.axes.clear()
        self.axes.set_axis_off()
        x, y = places[:, 0], places[:, 1]
        self._points = self.axes.scatter(x, y, s=_SIZES[False], linewidths=0)
        self._rings = self.axes.scatter([], [], s=70, facecolors="none", linewidths=1.5)
        self.show_all()

    def show_all(self) -> None:
        """Reset the view to all points."""
        if len(self.places):
            low, high = self.places.min(axis=0), self.places.max(axis=0)
            room = _MARGIN * np.maximum(high - low, 1e-6)
            self.axes.set_xlim(low[0] - room[0], high[0] + room[0])
            self.axes.set_ylim(low[1] - room[1], high[1] + room[1])
        self._redraw()

    def colour(self, colours: NDArray[np.float32], annotated: NDArray[np.bool_]) -> None:
        """Set the ``(n, 4)`` colours of the points; annotated cells are larger."""
        if self._points is None:
            return
        self._points.set_facecolors(colours)
        self._points.set_sizes(np.where(annotated, _SIZES[True], _SIZES[False]))
        self._redraw()

    def ring(self, rows: NDArray[np.intp]) -> None:
        """Draw rings around the chosen points."""
        if self._rings is not None:
            self._rings.set_offsets(self.places[rows].reshape(-1, 2))
            self._redraw()

    def show_picture(self, picture: QImage | None) -> None:
        """Show a crop beside the pointer; ``None`` hides it."""
        if picture is None or picture.isNull():
            self._picture.hide()
            return
        self._picture.setPixmap(QPixmap.fromImage(picture))
        self._picture.adjustSize()
        self._picture.show()

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        self.figure.set_facecolor(theme.css("background"))
        self._lasso.set_props(color=theme.css("text"))
        if self._rings is not None:
            self._rings.set_edgecolors(theme.css("text"))
        self._picture.setStyleSheet(f"border: 2px solid {theme.css('primary')};")
        self._redraw()

    def _redraw(self) -> None:
        self.draw_idle()  # type: ignore[no-untyped-call]

    # --- what the user does ------------------------------------------------------------------

    def nearest(self, x: float, y: float, reach: float = HOVER_RADIUS) -> int:
        """The row of the nearest point on the canvas, -1 if none is near enough."""
        if not len(self.places):
            return -1
        away = np.hypot(*(self.axes.transData.transform(self.places) - (x, y)).T)
        row = int(away.argmin())
        return row if away[row] <= reach else -1

    def _drawn(self, corners: list[tuple[float, float]]) -> None:
        line = self.axes.transData.transform(corners)
        if np.ptp(line, axis=0).max(initial=0.0) < _STILL:
            row = self.nearest(*line[0])
            if row >= 0:
                self.clicked.emit(row)
            else:
                self.chosen.emit(np.zeros(0, np.intp))
            return
        self.chosen.emit(np.flatnonzero(Path(corners).contains_points(self.places)))

    def _moved(self, event: Any) -> None:
        row = -1 if event.button else self.nearest(event.x, event.y)
        ratio = self.devicePixelRatioF()
        at = QPoint(round(event.x / ratio), round(self.height() - event.y / ratio))
        self._picture.move(_thumbnail_position(at, self._picture, self))
        if row != self._neighbour_cells:
            self._neighbour_cells = row
            self.hovered.emit(row)

    def _left(self, _event: Any) -> None:
        self._neighbour_cells = -1
        self.hovered.emit(-1)

    def _wheel(self, event: Any) -> None:
        if event.xdata is None or not len(self.places):
            return
        factor = _ZOOM ** -np.sign(event.step)
        for at, limits, put in (
            (event.xdata, self.axes.get_xlim(), self.axes.set_xlim),
            (event.ydata, self.axes.get_ylim(), self.axes.set_ylim),
        ):
            put(*(at + factor * (edge - at) for edge in limits))
        self._redraw()

    # --- Qt ----------------------------------------------------------------------------------

    def event(self, event: QEvent | None) -> bool:
        """Keep digits from the window's shortcuts."""
        override = event is not None and event.type() == QEvent.Type.ShortcutOverride
        if override and isinstance(event, QKeyEvent) and event.text().isdigit():
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Pass keys on to the parent widget."""
        event.ignore()


def _thumbnail_position(at: QPoint, label: QLabel, area: QWidget) -> QPoint:
    """The position of a picture beside the pointer, inside the area."""
    gap = 14
    left = (
        at.x() + gap
        if at.x() + gap + label.width() < area.width()
        else (at.x() - gap - label.width())
    )
    top = min(max(at.y() - label.height() // 2, 0), max(area.height() - label.height(), 0))
    return QPoint(max(left, 0), top)


SIDE = 96  # of the crop beside the pointer
MAX_MAP_POINTS = 20_000  # points; of more cells every second, third, ... is shown
_IDLE_MS = 250  # new colours wait until the clicking pauses: the canvas comes first
_HELP = (
    "Draw around cells, then press 1–9 or a class. Hover: crop; click: go to the cell; "
    "wheel: zoom."
)
_EDGE = 4
_CLASSES_HEIGHT = 100  # three lines of buttons
_NO_UMAP = "UMAP is not installed: pip install 'napari-hemacells[umap]'"


class EmbeddingMapWidget(QWidget):
    """The cells in a 2-D projection, coloured by class; those in a lasso get a class in one step.

    Parameters
    ----------
    jobs
        Runs UMAP; its owner closes it.

    Signals
    -------
    cell_activated
        Id of a clicked cell, to be shown on the canvas.
    refused
        Why a class was not given, as a sentence.
    """

    cell_activated = Signal(int)
    refused = Signal(str)

    def __init__(self, session: Session, jobs: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._thumbnails = Thumbnails(session)
        self._ids: NDArray[np.int64] = np.zeros(0, np.int64)
        self._waiting = True
        self.chosen: NDArray[np.int64] = np.zeros(0, np.int64)
        self.canvas = EmbeddingMapCanvas()
        self.method = QComboBox()
        self.method.setAccessibleName("Method of the map")
        self.whole = QPushButton("Show all")
        self.text = PlainLabel()
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.classes = QFlowLayout()  # many classes take more lines, not a wider window
        self.class_area = QScrollArea()  # and many lines do not push the map away
        self.jobs = jobs
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_IDLE_MS)
        self._soon.timeout.connect(self.recolour)
        # The lasso repaints at once, and with it the canvas of napari, which must not be drawn
        # while a layer is being removed: the map waits until that is over.
        self._afterwards = QTimer(self)
        self._afterwards.setSingleShot(True)
        self._afterwards.timeout.connect(self._place_if_seen)
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self.method.addItem("PCA")
        self.method.setToolTip(
            "PCA: immediate. UMAP: separates groups more clearly, takes some seconds"
        )
        if has_umap():
            self.method.addItem("UMAP")
        else:
            self.method.setToolTip(_NO_UMAP)
        top = QHBoxLayout()
        for widget in (self.method, self.whole):
            top.addWidget(widget)
        top.addWidget(self.text, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(_EDGE, _EDGE, _EDGE, _EDGE)
        column.setSpacing(4)
        column.addLayout(top)
        column.addWidget(self.canvas, 1)
        buttons = QWidget()
        buttons.setLayout(self.classes)
        self.classes.setContentsMargins(0, 0, 0, 0)
        self.class_area.setWidget(buttons)
        self.class_area.setWidgetResizable(True)
        self.class_area.setFrameShape(QFrame.Shape.NoFrame)
        self.class_area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.class_area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        column.addWidget(self.class_area)

    def _connect(self) -> None:
        self.method.currentIndexChanged.connect(self.place)
        self.whole.clicked.connect(self.canvas.show_all)
        self.canvas.chosen.connect(self._choose)
        self.canvas.clicked.connect(self._click)
        self.canvas.hovered.connect(self._hover)
        self.jobs.returned.connect(self._placed)
        self._seen = SeenUpdates(self, self._catch_up)
        self._subscriptions = Subscriptions(self)
        events = self._session.events
        for signal in (events.project, events.image, events.cells, events.embeddings):
            self._subscriptions.add(signal, self._start_over)
        for signal in (events.annotations, events.prediction):
            self._subscriptions.add(signal, self._recolour_soon)
        self._subscriptions.add(events.palette, self._update_classes)
        self._update_classes()
        self._say()

    # --- user input --------------------------------------------------------------------------

    def label(self, class_id: str | None) -> None:
        """Annotate the chosen cells, or remove their class: one undoable step."""
        cells = self._session.cells
        there = (
            []
            if cells is None
            else [cell for cell in self.chosen.tolist() if cell in cells.position]
        )
        if not there:
            self.refused.emit("Draw a line around cells on the map first.")
            return
        try:
            self._session.annotate(there, class_id)
        except HemaCellsError as error:
            self.refused.emit(str(error))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Digits annotate the chosen cells; other keys go to the viewer."""
        text = "" if event is None else event.text()
        if event is None or not text.isdigit() or self._session.history is None:
            super().keyPressEvent(event)
            return
        holder = None if text == "0" else self._session.palette.by_key(int(text))
        if text != "0" and holder is None:
            self.refused.emit(
                f"No class has the key {text}. Give the key to a class in the palette."
            )
            return
        self.label(None if holder is None else holder.id)

    def _choose(self, rows: NDArray[np.intp]) -> None:
        self.chosen = self._ids[rows]
        self.canvas.ring(rows)
        self._say()

    def _click(self, row: int) -> None:
        self._choose(np.array([row]))
        self.cell_activated.emit(int(self._ids[row]))

    def _hover(self, row: int) -> None:
        picture = None
        if row >= 0:
            cell, ratio = int(self._ids[row]), self.devicePixelRatioF()
            picture = self._thumbnails.picture(cell, SIDE, ratio)
        self.canvas.show_picture(picture)

    # --- updaters ----------------------------------------------------------------------------

    def place(self) -> None:
        """Project the cells again: by PCA at once, by UMAP in a thread."""
        embeddings = self._session.embeddings
        self._waiting = False
        self.jobs.cancel("map")
        if embeddings is None:
            self._show(np.zeros(0, np.int64), np.zeros((0, 2), np.float32))
            return
        some = slice(None, None, max(1, -(-len(embeddings) // MAX_MAP_POINTS)))
        if len(embeddings) > _AT_ONCE:
            self.jobs.start("map", partial(_pca, embeddings, some))
            return
        self._show(embeddings.ids[some], project_pca(embeddings.vectors[some]))
        self._refine(embeddings, some)

    def _refine(self, embeddings: Embeddings, some: slice) -> None:
        if self.method.currentText() == "UMAP":
            self.jobs.start("map", partial(_umap, embeddings, some))
            self._say()

    def _placed(self, _kind: str, result: _Placed) -> None:
        self._show(result.ids, result.places)
        if result.then is not None:
            self._refine(*result.then)

    def _show(self, ids: NDArray[np.int64], places: NDArray[np.float32]) -> None:
        self._ids = ids
        self.canvas.show_places(places)
        self.canvas.restyle()
        self._choose(np.flatnonzero(np.isin(ids, self.chosen)))
        self.recolour()

    def recolour(self) -> None:
        """Colour the points by class, as on the canvas."""
        session = self._session
        if not is_seen(self):
            self._seen.due = True
            return
        if session.cells is None or session.history is None:
            return
        plain = np.array([*theme.colour("text").getRgbF()[:3], 0.35], np.float32)
        back = theme.colour("background")
        table = {
            cell_class.id: ours.rgba(theme.visible(QColor(cell_class.colour), back).name())
            for cell_class in session.palette
        }
        table[UNKNOWN] = _contrasting_colour(ours.rgba(UNKNOWN_COLOUR), plain)
        known = session.known_classes
        position, annotated = session.cells.position, session.annotated
        colours = np.tile(plain, (len(self._ids), 1))
        for row, cell in enumerate(self._ids.tolist()):
            class_id = known[position[cell]] if cell in position else None
            if class_id in table:
                colours[row] = table[class_id]
        self.canvas.colour(colours, np.isin(self._ids, list(annotated)))

    def _recolour_soon(self, _what: object = None) -> None:
        if is_seen(self):
            self._soon.start()
        else:
            self._seen.due = True

    def _start_over(self) -> None:
        self._thumbnails.clear()
        self._waiting = True
        self._afterwards.start(0)

    def _place_if_seen(self) -> None:
        if self._waiting:
            self._seen.ask()

    def _update_classes(self) -> None:
        while (item := self.classes.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        known = () if self._session.history is None else self._session.palette.classes
        for cell_class in known:
            key = "" if cell_class.key is None else f" (key {cell_class.key})"
            button = QPushButton(swatch(cell_class.colour), literal(elided(cell_class.name)))
            button.setToolTip(plain_tip(f"Give the chosen cells the class {cell_class.name}{key}"))
            button.clicked.connect(partial(self._label_clicked, cell_class.id))
            self.classes.addWidget(button)
        self._fit_classes()
        self._recolour_soon()

    def _fit_classes(self) -> None:
        """Give the buttons the lines that they need, and no more than a few."""
        needed = self.classes.heightForWidth(max(self.width() - 2 * _EDGE, 1))
        self.class_area.setFixedHeight(min(needed, _CLASSES_HEIGHT))

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Lay the buttons out anew."""
        super().resizeEvent(event)
        self._fit_classes()

    def _label_clicked(self, class_id: str, _checked: bool = False) -> None:
        self.label(class_id)

    def _say(self) -> None:
        if self.jobs.running("map"):
            self.text.setText("UMAP is running; PCA is shown until then.")
        elif len(self.chosen):
            cells = "cell" if len(self.chosen) == 1 else "cells"
            self.text.setText(
                f"{len(self.chosen):,} {cells} chosen: press 1–9 or a class; 0 removes the class."
            )
        elif self._session.embeddings is None:
            self.text.setText("The map is drawn once the cells are embedded.")
        else:
            self.text.setText(_HELP)

    def restyle(self) -> None:
        """Apply the colours of the present theme."""
        self.canvas.restyle()
        self.recolour()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a size like that of the gallery, but higher."""
        return QSize(720, 320)

    def _catch_up(self) -> None:
        """Show what happened while it was not seen."""
        if self._waiting:
            self.place()
        else:
            self.recolour()


def _contrasting_colour(colour: ours.Rgba, text: NDArray[np.float32]) -> ours.Rgba:
    """Mix a colour with some of the text colour, to be visible in dark and light themes."""
    red, green, blue = (
        0.6 * channel + 0.4 * float(other)
        for channel, other in zip(colour[:3], text[:3].tolist(), strict=True)
    )
    return red, green, blue, 1.0


class _Placed(NamedTuple):
    """Cells and their places; by PCA, with what UMAP starts from."""

    ids: NDArray[np.int64]
    places: NDArray[np.float32]
    then: tuple[Embeddings, slice] | None = None


def _pca(embeddings: Embeddings, some: slice) -> Generator[Progress, None, _Placed]:
    yield Progress(0, 0, "Drawing the map")
    with single_blas_thread():
        places = project_pca(embeddings.vectors[some])
    return _Placed(embeddings.ids[some], places, (embeddings, some))


def _umap(embeddings: Embeddings, some: slice) -> Generator[Progress, None, _Placed]:
    yield Progress(0, 0, "Computing UMAP")
    return _Placed(embeddings.ids[some], project_umap(embeddings.vectors[some]))
