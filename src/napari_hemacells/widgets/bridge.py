"""The one class that touches the viewer; it shows cells and tells what the user did to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from psygnal import Signal, SignalGroup

from napari_hemacells import layers as ours
from napari_hemacells.widgets import reading
from napari_hemacells.widgets.class_colormap import class_colormap
from napari_hemacells.widgets.docking import dock_below, raise_dock
from napari_hemacells.widgets.keys import KeyMap
from napari_hemacells.widgets.many_cells import ManyCells, are_many
from napari_hemacells.widgets.overlays import Overlays
from napari_hemacells.widgets.pointer import Pointer
from napari_hemacells.widgets.ring import MARKER, Marks
from napari_hemacells.widgets.thermogram_layers import ThermogramLayers

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QWidget

    from napari_hemacells.core.types import Cells, SmearImage
    from napari_hemacells.layers import Rgba, Shades

_OPACITY = 0.65  # of the layer, so that the cell is seen below its class
_CLOSE_ENOUGH = 12.0  # canvas pixels that a cell must span, or the camera moves nearer


class BridgeEvents(SignalGroup):
    """What the user did in the viewer."""

    layers = Signal()  # added, removed, renamed, moved
    removed = Signal(str)  # the role of one of our layers that was removed
    key = Signal(str)  # one of keys.ACTIONS


class ViewerBridge(Overlays):
    """Our layers in a viewer, found by their metadata.

    Parameters
    ----------
    viewer
        A viewer, or a :class:`napari.components.ViewerModel` where nothing need be seen.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer)
        self.events = BridgeEvents()
        self.thermograms = ThermogramLayers(viewer)
        self.keys = KeyMap(self._act, self._keys_wanted)
        self.pointer = Pointer(viewer, self.cell_at, self.place_at)
        self._many: ManyCells | None = None
        self.keys.bind(viewer, viewer=True)
        listen = viewer.layers.events
        for event in (listen.inserted, listen.removed, listen.reordered):
            event.connect(self._layers_changed)
        listen.removed.connect(self._layer_removed)
        for layer in viewer.layers:
            layer.events.name.connect(self._layers_changed)

    def close(self) -> None:
        """Let go of the viewer; layers stay, as the user may still want them."""
        listen = self.viewer.layers.events
        for event in (listen.inserted, listen.removed, listen.reordered):
            event.disconnect(self._layers_changed)
        listen.removed.disconnect(self._layer_removed)
        for layer in self.viewer.layers:
            layer.events.name.disconnect(self._layers_changed)
        self.pointer.close()
        self.keys.clear()

    # --- our layers --------------------------------------------------------------------------

    def claim_image(self, key: str, image_key: str) -> None:
        """Note on an image layer that it is the one being worked on; its keys become ours."""
        for layer in self.viewer.layers:
            if ours.role_of(layer.metadata) == "image":
                layer.metadata = ours.released(layer.metadata)
                self.keys.unbind(layer)
        layer = self.layer(key)
        if layer is not None:
            layer.metadata = ours.claimed(layer.metadata, image_key)
            self.keys.bind(layer)

    def show_image(self, image: SmearImage) -> str:
        """The key of the layer that shows the image, added where there is none."""
        layer = self.find("image", image.key)
        if layer is None:
            layer = self.viewer.add_image(**reading.shown(image))
            self.claim_image(str(layer.unique_id), image.key)
        return str(layer.unique_id)

    def show_cells(self, cells: Cells, image_key: str) -> None:
        """One Labels layer with these cells, laid exactly on its image, and selected."""
        layer = self.cells_layer
        other = layer is not None and layer.metadata[ours.METADATA_KEY]["image_key"] != image_key
        if other or are_many(cells) != self.many:
            self.forget_cells()
            layer = None
        if layer is None:
            layer = self._add_cells(cells, image_key)
        elif self._many is not None:
            self._many.put(cells)
        else:
            layer.data = _own(cells.labels)
        # Painting would change pixels behind the table: edit a copy, and use it as a source.
        layer.editable = False
        self.unmark()
        self.viewer.layers.selection.active = layer

    def change_cells(self, cells: Cells, boxes: Sequence[tuple[int, int, int, int]]) -> None:
        """Show cells that differ within these boxes only: at once, however large the image."""
        layer = self.cells_layer
        if layer is None:
            return
        if self._many is not None or not isinstance(cells.labels, np.ndarray):
            self.show_cells(cells, layer.metadata[ours.METADATA_KEY]["image_key"])
            return
        for top, left, bottom, right in boxes:
            part = cells.labels[top:bottom, left:right]
            rows, cols = np.nonzero(layer.data[top:bottom, left:right] != part)
            if len(rows):
                layer.data_setitem((rows + top, cols + left), part[rows, cols])

    def forget_cells(self) -> None:
        """Remove our cells layer and the ring, without telling that they went."""
        self._quiet = True
        self._marks, self._many = Marks(), None
        for role in ("cells", MARKER):
            layer = self.find(role)
            if layer is not None:
                self.viewer.layers.remove(layer)
        self._quiet = False

    def _add_cells(self, cells: Cells, image_key: str) -> Labels:
        about = {"name": "Cells", "opacity": _OPACITY} | self._placed("cells", image_key)
        self._many = ManyCells(cells, about) if are_many(cells) else None
        layer = Labels(_own(cells.labels), **about) if self._many is None else self._many.layer
        layer.help = "click: give the active class, right-click: take it away, A: add a cell"
        self.viewer.add_layer(layer)
        self.keys.bind(layer)
        return layer

    @property
    def many(self) -> bool:
        """Whether the cells shown are so many that they are coloured by :meth:`shade`."""
        return self._many is not None

    def shade(self, shades: Shades) -> None:
        """Set the colour of every one of many cells."""
        if self._many is not None and self.cells_layer is not None:
            self._many.shade(shades)

    def recolour(self, table: Mapping[int | None, Rgba]) -> None:
        """Set the colour of every cell: ``{label: RGBA}`` with ``None`` for the rest."""
        layer = self.cells_layer
        if layer is not None:
            # The list of layers would be drawn for its own sake: see show_thumbnail.
            with layer.events.thumbnail.blocker():
                layer.colormap = class_colormap(table)

    def show_thumbnail(self) -> None:
        """Bring the cells' little picture in napari's list of layers up to date."""
        layer = self.cells_layer
        if layer is not None:
            layer.events.thumbnail()

    def colours(self, cells: Collection[int]) -> bool:
        """Whether all these cells have a colour already."""
        layer = self.cells_layer
        if layer is None or self._many is not None:
            return False
        return all(cell in layer.colormap.color_dict for cell in cells)

    def outline(self, width: int) -> None:
        """Show the cells as outlines of so many pixels; 0 fills them."""
        layer = self.cells_layer
        if layer is not None and self._many is not None:
            self._many.outline(width)
            layer.opacity = 1.0 if width else _OPACITY
        elif layer is not None and layer.contour != width:
            layer.contour = width
            layer.opacity = 1.0 if width else _OPACITY

    def set_features(self, table: pd.DataFrame) -> None:
        """The rows that napari shows for the cell under the pointer; empty words are left out."""
        layer = self.cells_layer
        if layer is not None and self._many is None:
            layer.features = table.replace({"": None})

    # --- camera and pointer ------------------------------------------------------------------

    def let_draw(self, draws: bool) -> None:
        """Let a drag draw a line, instead of moving the image."""
        self.pointer.draws = draws
        layer = self.cells_layer
        if layer is not None:
            layer.mouse_pan = not draws

    def centre_on(self, row: float, col: float, side: float) -> None:
        """Bring a place to the middle; come nearer only if the cell would be too small to see."""
        layer = self.cells_layer
        if layer is None:
            return
        centre = layer.data_to_world((row, col))
        camera = self._camera
        camera.center = (0.0, *(float(one) for one in centre[-2:]))
        on_canvas = camera.zoom * side * float(layer.scale[-1])
        if on_canvas < _CLOSE_ENOUGH:
            camera.zoom *= 4 * _CLOSE_ENOUGH / max(on_canvas, 1e-6)

    @property
    def _camera(self) -> Any:
        # napari 0.9 moved the camera to the scene
        return getattr(self.viewer, "scene", self.viewer).camera

    def cell_at(self, position: tuple[float, ...]) -> int | None:
        """The cell at a world position, 0 for glass; ``None`` while another layer is worked on."""
        layer, active = self.cells_layer, self.viewer.layers.selection.active
        if layer is None or not layer.visible or self.viewer.dims.ndisplay != 2:
            return None
        if active is not None and ours.role_of(active.metadata) is None:
            return None
        if self._many is not None:
            return self._many.cell_at(position, self._camera.zoom)
        value = layer.get_value(position, world=True)
        return int(value) if value is not None else 0

    def place_at(self, position: tuple[float, ...]) -> tuple[float, float] | None:
        """The place in the image (row, column; pixels, whole at their middles) of a position."""
        layer = self.cells_layer
        if layer is None:
            return None
        row, col = layer.world_to_data(position)[-2:]
        return float(row), float(col)

    # --- the window --------------------------------------------------------------------------

    def add_dock(self, widget: QWidget, name: str, *, behind: QWidget | None = None) -> None:
        """Put a widget below the canvas, if the viewer has a window; as a tab behind another."""
        dock_below(self.viewer, widget, name, behind=behind)

    def raise_dock(self, widget: QWidget) -> None:
        """Bring the dock of a widget into sight."""
        raise_dock(widget)

    def _layers_changed(self, event: Any = None) -> None:
        if event is not None and event.type == "inserted":
            event.value.events.name.connect(self._layers_changed)
        if not self._quiet:
            self.events.layers.emit()

    def _layer_removed(self, event: Any) -> None:
        role = ours.role_of(event.value.metadata)
        self.keys.unbind(event.value)
        event.value.events.name.disconnect(self._layers_changed)
        if role is not None and not self._quiet:
            self.events.removed.emit(role)

    def _keys_wanted(self) -> bool:
        active = self.viewer.layers.selection.active
        return active is None or ours.role_of(active.metadata) is not None

    def _act(self, action: str) -> None:
        self.events.key.emit(action)


def _own(labels: Any) -> Any:
    """A copy of labels in memory, which corrections may write to; lazy ones as they are."""
    return labels.copy() if isinstance(labels, np.ndarray) else labels
