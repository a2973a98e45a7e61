"""The ring around the current cell: one Points layer with two circles, light and dark."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Points

from napari_hemacells import layers as ours

MARKER = "marker"
_RIM = 0.025  # width of the ring's two lines, in its diameters
_SIZE = 1.35  # diameter of the ring, in longer sides of the cell's box
_CLEAR = (0.0, 0.0, 0.0, 0.0)
_FILL = 0.4


def ring_layer(placed: dict[str, Any]) -> Points:
    """A layer that shows no ring yet; `placed` are the transforms of the cells' layer."""
    return Points(
        np.zeros((2, 2)),
        name="Current cell",
        border_color=["#ffffff", "#000000"],  # seen on glass and on cells alike
        border_width=_RIM,
        metadata={ours.METADATA_KEY: {"role": MARKER}},
        **placed,
    )


def put_ring(layer: Points, box: tuple[int, int, int, int], colour: str | None) -> None:
    """Put the ring around a half-open box, filled with a class colour if there is one."""
    top, left, bottom, right = box
    size = _SIZE * max(bottom - top, right - left)
    with layer.events.blocker_all():  # one refresh instead of one for each
        layer.data = np.array([[(top + bottom - 1) / 2, (left + right - 1) / 2]] * 2)
        layer.size = np.array([size, size * (1 + 2 * _RIM)])
        layer.face_color = [_CLEAR if colour is None else ours.rgba(colour, _FILL), _CLEAR]
    if layer.visible:
        layer.refresh(thumbnail=False, extent=False)
    else:
        layer.visible = True
