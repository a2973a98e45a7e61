"""Cells as points on a plane: hover, click, wheel and lasso. It changes nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backend_bases import MouseButton
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.widgets import LassoSelector
from qtpy.QtCore import QEvent, QPoint, Qt, Signal
from qtpy.QtGui import QKeyEvent, QPixmap
from qtpy.QtWidgets import QLabel

from napari_hemacells.widgets import theme

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qtpy.QtGui import QImage
    from qtpy.QtWidgets import QWidget

REACH = 10.0  # pixels from a point that still hit it
_STILL = 4.0  # pixels that the pointer may move in a click
_ZOOM = 1.25  # a notch of the wheel
_SIZES = {False: 16.0, True: 46.0}  # of points, in square points; with the user's word larger
_MARGIN = 0.04


class MapCanvas(FigureCanvasQTAgg):
    """Points that can be chosen.

    Signals
    -------
    chosen
        Rows inside a line drawn around them, ``(m,)``.
    clicked
        The row of the point under a click.
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
        self._near = -1
        self._picture = QLabel(self)
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
        """Show these ``(n, 2)`` places, whole; colours are to be set after that."""
        self.places, self._near = places, -1
        self.show_picture(None)
        self.axes.clear()
        self.axes.set_axis_off()
        x, y = places[:, 0], places[:, 1]
        self._points = self.axes.scatter(x, y, s=_SIZES[False], linewidths=0)
        self._rings = self.axes.scatter([], [], s=70, facecolors="none", linewidths=1.5)
        self.show_all()

    def show_all(self) -> None:
        """Show all points again."""
        if len(self.places):
            low, high = self.places.min(axis=0), self.places.max(axis=0)
            room = _MARGIN * np.maximum(high - low, 1e-6)
            self.axes.set_xlim(low[0] - room[0], high[0] + room[0])
            self.axes.set_ylim(low[1] - room[1], high[1] + room[1])
        self._redraw()

    def colour(self, colours: NDArray[np.float32], annotated: NDArray[np.bool_]) -> None:
        """Give the points ``(n, 4)`` colours; those with the user's word are larger."""
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
        """Take the colours of the present theme."""
        self.figure.set_facecolor(theme.css("background"))
        self._lasso.set_props(color=theme.css("text"))
        if self._rings is not None:
            self._rings.set_edgecolors(theme.css("text"))
        self._picture.setStyleSheet(f"border: 2px solid {theme.css('primary')};")
        self._redraw()

    def _redraw(self) -> None:
        self.draw_idle()  # type: ignore[no-untyped-call]

    # --- what the user does ------------------------------------------------------------------

    def nearest(self, x: float, y: float, reach: float = REACH) -> int:
        """The row of the point nearest to a place on the canvas, -1 where none is in reach."""
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
        self._picture.move(_beside(at, self._picture, self))
        if row != self._near:
            self._near = row
            self.hovered.emit(row)

    def _left(self, _event: Any) -> None:
        self._near = -1
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
        """Keep digits from the shortcuts of the window around us."""
        override = event is not None and event.type() == QEvent.Type.ShortcutOverride
        if override and isinstance(event, QKeyEvent) and event.text().isdigit():
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Leave keys to the widget around us."""
        event.ignore()


def _beside(at: QPoint, label: QLabel, area: QWidget) -> QPoint:
    """Where a picture stands beside the pointer, inside the area."""
    gap = 14
    left = (
        at.x() + gap
        if at.x() + gap + label.width() < area.width()
        else (at.x() - gap - label.width())
    )
    top = min(max(at.y() - label.height() // 2, 0), max(area.height() - label.height(), 0))
    return QPoint(max(left, 0), top)
