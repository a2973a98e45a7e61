"""The temperature under the pointer and the colour bar, with their unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np

from napari_hemacells.thermal import format_temperature_status, is_thermal

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

_READOUTS: WeakKeyDictionary[ViewerModel, TemperatureReadout] = WeakKeyDictionary()


def show_temperature(viewer: ViewerModel) -> TemperatureReadout:
    """Return the viewer's temperature display; one per viewer."""
    if viewer not in _READOUTS:
        _READOUTS[viewer] = TemperatureReadout(viewer)
    return _READOUTS[viewer]


class TemperatureReadout:
    """Writes the temperature under the pointer, with its unit, into the canvas.

    The colour bar belongs to the selected layer with temperatures (found by its metadata), else to
    the uppermost one. Nothing is written while none of them is visible, and other text on the
    canvas is not changed.

    Parameters
    ----------
    viewer
        A viewer, or a :class:`napari.components.ViewerModel`; held weakly.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = ref(viewer)
        self._written = ""
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        viewer.layers.selection.events.active.connect(self._on_layers)
        viewer.mouse_move_callbacks.append(self._on_move)
        self._on_layers()

    def _on_layers(self, event: Any = None) -> None:  # noqa: ARG002  # napari's signature
        viewer = self._viewer()
        if viewer is None:
            return
        self._write("")
        on_top = _layer_on_top(viewer)
        for layer in viewer.layers:
            bar = getattr(layer, "colorbar", None)  # since napari 0.9
            if bar is not None and is_thermal(layer.metadata):
                bar.visible = layer is on_top

    def _on_move(self, viewer: ViewerModel, event: Any) -> None:
        layer = _layer_on_top(viewer)
        value = None if layer is None else _value(layer, event)
        if layer is None or value is None:
            self._write("")
            return
        frame = _frame(layer, event.position)
        self._write(format_temperature_status(value, layer.metadata, frame))

    def _write(self, text: str) -> None:
        viewer = self._viewer()
        if viewer is None or text == self._written:
            return
        overlay = _text_overlay(viewer)
        if overlay.text != self._written and overlay.visible:
            return  # somebody else's
        overlay.text, overlay.visible = text, bool(text)
        overlay.position, overlay.font_size = "bottom_right", 14
        self._written = text


def _text_overlay(viewer: ViewerModel) -> Any:
    canvas = getattr(viewer, "canvas", None)  # since napari 0.9
    return viewer.text_overlay if canvas is None else canvas.overlays.text


def _layer_on_top(viewer: ViewerModel) -> Image | None:
    """The selected layer if it shows temperatures, otherwise the uppermost one that does."""
    active = viewer.layers.selection.active
    candidates = [layer for layer in [active, *reversed(viewer.layers)] if layer is not None]
    return next(
        (
            candidate
            for candidate in candidates
            if candidate.visible and is_thermal(candidate.metadata)
        ),
        None,
    )


def _value(layer: Image, event: Any) -> float | None:
    value = layer.get_value(
        event.position,
        view_direction=event.view_direction,
        dims_displayed=event.dims_displayed,
        world=True,
    )
    return None if value is None or np.ndim(value) else float(value)


def _frame(layer: Image, position: Any) -> int | None:
    """The displayed frame of a stack; ``None`` for a single frame."""
    return None if layer.ndim < 3 else round(layer.world_to_data(position)[-3])
