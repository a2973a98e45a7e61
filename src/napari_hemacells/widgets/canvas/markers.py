"""Markers in one Points layer: rings around the current and chosen cells, and a drawn line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from napari.layers import Points
from qtpy.QtCore import QTimer

from napari_hemacells import layers as ours

if TYPE_CHECKING:
    from napari.components import ViewerModel

MARKER = "marker"
_RIM = 0.025  # width of the ring's two lines, in its diameters
_MAX_RIM = 3.0  # pixels: around the large regions of a thermogram too
_SIZE = 1.35  # diameter of the ring, in longer sides of the cell's box
_CLEAR: ours.Rgba = (0.0, 0.0, 0.0, 0.0)
_FILL = 0.4
_LIGHT: ours.Rgba = (1.0, 1.0, 1.0, 1.0)
_DARK: ours.Rgba = (0.0, 0.0, 0.0, 1.0)
_CHOSEN: ours.Rgba = (1.0, 0.82, 0.0, 1.0)
_DRAWN_MS = 60  # until the canvas has surely been drawn again
_DOTS = 100  # that a line is made of

Box = tuple[int, int, int, int]


def marker_layer(placed: dict[str, Any]) -> Points:
    """An empty layer of markers; `placed` are the transforms of the cells layer."""
    return Points(
        np.zeros((2, 2)),
        name="Current cell",
        border_width=_RIM,
        metadata={ours.METADATA_KEY: {"role": MARKER}},
        **placed,
    )


@dataclass
class MarkerState:
    """The markers to show.

    Attributes
    ----------
    box, colour
        Half-open box of the current cell (``None`` for none) and its class colour.
    chosen
        Boxes of the cells chosen for correction.
    line
        A line being drawn: two points (row, column).
    """

    box: Box | None = None
    colour: str | None = None
    chosen: tuple[Box, ...] = ()
    line: tuple[tuple[float, float], tuple[float, float]] | None = None

    @property
    def dots(self) -> list[MarkerPoint]:
        """Centre, size, border and fill of each point of the layer."""
        dots: list[MarkerPoint] = []
        for box in self.chosen:
            dots += _two_rings(box, (_CHOSEN, _DARK), _CLEAR)
        if self.box is not None:
            fill = _CLEAR if self.colour is None else ours.rgba(self.colour, _FILL)
            dots += _two_rings(self.box, (_LIGHT, _DARK), fill)
        if self.line is not None:
            start, end = np.asarray(self.line[0]), np.asarray(self.line[1])
            size = max(3 * float(np.linalg.norm(end - start)) / _DOTS, 1.0)
            places = np.linspace(start, end, _DOTS).tolist()
            dots += [MarkerPoint((row, col), size, _CHOSEN, _CHOSEN) for row, col in places]
        return dots


class MarkerPoint(NamedTuple):
    """One point of the layer of markers."""

    middle: tuple[float, float]
    size: float
    rim: ours.Rgba
    fill: ours.Rgba
    width: float = _RIM  # of the rim, in diameters


def _two_rings(box: Box, rims: tuple[ours.Rgba, ours.Rgba], fill: ours.Rgba) -> list[MarkerPoint]:
    """A bright ring around a box in a darker ring: visible on background and on cells."""
    top, left, bottom, right = box
    middle = ((top + bottom - 1) / 2, (left + right - 1) / 2)
    size = _SIZE * max(bottom - top, right - left)
    width = min(_RIM, _MAX_RIM / size)
    return [
        MarkerPoint(middle, size, rims[0], fill, width),
        MarkerPoint(middle, size * (1 + 2 * width), rims[1], _CLEAR, width),
    ]


def update_markers(layer: Points, marks: MarkerState) -> None:
    """Show these markers."""
    dots = marks.dots
    if not dots:
        # Neither hidden nor removed: with Mesa's OpenGL the next picture that is drawn after
        # points were taken out of the scene ends the process; after none were drawn, it does not.
        if len(layer.data):
            layer.data = np.zeros((0, 2))
        return
    was_visible = layer.visible
    with layer.events.blocker_all():  # one refresh instead of one for each
        # Visible first: napari does not look at the points of a hidden layer, and would go on
        # drawing those that it saw last, of which there may have been more.
        layer.visible = True
        fresh = len(dots) != len(layer.data)
        layer.data = np.array([dot.middle for dot in dots])
        for name, values in _point_styles(dots).items():
            # napari draws anew for each of these that is set: only what differs is.
            if fresh or not np.allclose(getattr(layer, name), values):
                setattr(layer, name, values)
        layer.selected_data = set()
    if not was_visible:
        layer.events.visible()
    layer.refresh(thumbnail=False, extent=False)


def remove_soon(viewer: ViewerModel, layer: Points) -> None:
    """Empty a layer of markers, and remove it after that was drawn (see `update_markers`)."""
    update_markers(layer, MarkerState())

    def remove() -> None:
        if layer in viewer.layers and not len(layer.data):
            viewer.layers.remove(layer)

    QTimer.singleShot(_DRAWN_MS, remove)


def _point_styles(dots: list[MarkerPoint]) -> dict[str, np.ndarray]:
    """Return the attributes of the Points layer, without the positions."""
    return {
        "size": np.array([dot.size for dot in dots]),
        "border_color": np.array([dot.rim for dot in dots]),
        "face_color": np.array([dot.fill for dot in dots]),
        "border_width": np.array([dot.width for dot in dots]),
    }
