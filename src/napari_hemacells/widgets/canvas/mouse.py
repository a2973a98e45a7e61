"""Mouse events on the canvas: clicks, hovering and drawn lines; other drags are napari's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal, SignalGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari.components import ViewerModel
    from numpy.typing import NDArray

    Place = tuple[float, float]

_STILL = 4.0  # canvas pixels that a hand may move between press and release of a click
_REST = 24.0  # canvas pixels before the pointer takes over from a cell chosen by key


class PointerEvents(SignalGroup):
    """A mouse event on the canvas; cell 0 is background."""

    clicked = Signal(int)
    picked = Signal(int)  # with Shift: choose the cell, change nothing
    cleared = Signal(int)  # the right button
    hovered = Signal(int)
    added = Signal()  # with Alt: there is a cell at `Pointer.place`
    drawing = Signal(object)  # a line so far, from where to where: ((row, col), (row, col))
    drawn = Signal(object)  # the same line, finished


class Pointer:
    """Mouse callbacks on a viewer.

    Parameters
    ----------
    viewer
        The viewer.
    cell_at
        The cell at a world position: 0 for background, ``None`` where the click is napari's.
    place_at
        The position in the image (row, column; pixels) of a world position.
    is_up_to_date
        Whether the cells belong to the picture in sight; if not, a press does nothing.

    Attributes
    ----------
    draws
        Whether a drag draws a line instead of moving the image.
    place
        Last position of the pointer in the image, ``None`` before the first.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        cell_at: Callable[[tuple[float, ...]], int | None],
        place_at: Callable[[tuple[float, ...]], Place | None],
        is_up_to_date: Callable[[], bool] = lambda: True,
    ) -> None:
        self.events = PointerEvents()
        self.draws = False
        self.place: Place | None = None
        self._viewer, self._cell_at, self._place_at = viewer, cell_at, place_at
        self._is_up_to_date = is_up_to_date
        self._over = 0
        self._last: NDArray[np.float64] = np.zeros(2)
        self._rested: NDArray[np.float64] | None = None
        viewer.mouse_drag_callbacks.append(self._press)
        viewer.mouse_move_callbacks.append(self._move)

    def ignore_small_moves(self) -> None:
        """Ignore small movements: a cell was chosen by other means."""
        self._rested = self._last
        self._over = 0

    def close(self) -> None:
        """Remove the callbacks from the viewer."""
        for callbacks, mine in (
            (self._viewer.mouse_drag_callbacks, self._press),
            (self._viewer.mouse_move_callbacks, self._move),
        ):
            if mine in callbacks:
                callbacks.remove(mine)

    def _press(self, _viewer: ViewerModel, event: Any) -> Generator[None, None, None]:
        start = np.asarray(event.pos, dtype=float)
        cell = self._cell_at(event.position) if self._is_up_to_date() else None
        self.place = first = self._place_at(event.position)
        draws = self.draws and event.button == 1 and cell is not None
        yield
        moved = 0.0
        while event.type == "mouse_move":
            moved = max(moved, float(np.linalg.norm(np.asarray(event.pos) - start)))
            if draws and moved > _STILL:
                self.events.drawing.emit((first, self._place_at(event.position)))
            yield
        if draws and moved > _STILL:
            self.events.drawn.emit((first, self._place_at(event.position)))
        elif cell is not None and moved <= _STILL:
            self._emit_click(cell, event)

    def _emit_click(self, cell: int, event: Any) -> None:
        # A key of vispy has a name, and as text it is "<Key 'Shift'>".
        held = {getattr(modifier, "name", modifier) for modifier in event.modifiers}
        if event.button == 2:
            self.events.cleared.emit(cell)
        elif event.button == 1 and "Alt" in held:
            self.events.added.emit()
        elif event.button == 1 and "Shift" in held:
            self.events.picked.emit(cell)
        elif event.button == 1:
            self.events.clicked.emit(cell)

    def _move(self, _viewer: ViewerModel, event: Any) -> None:
        self._last = np.asarray(event.pos, dtype=float)
        self.place = self._place_at(event.position)
        if self._rested is not None:
            if np.linalg.norm(self._last - self._rested) < _REST:
                return
            self._rested = None
        cell = self._cell_at(event.position) or 0
        if cell != self._over:
            self._over = cell
            self.events.hovered.emit(cell)
