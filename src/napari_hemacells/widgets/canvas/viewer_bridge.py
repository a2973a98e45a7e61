"""Access to the viewer: its layers, the cells layer and its overlays, and the user's actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from psygnal import Signal, SignalGroup

from napari_hemacells import layers as ours
from napari_hemacells.core.errors import ImageError
from napari_hemacells.thermal import is_thermal
from napari_hemacells.widgets.canvas import layer_readers
from napari_hemacells.widgets.canvas.heat_layer import heat_placement
from napari_hemacells.widgets.canvas.keys import KeyMap, QuestionMark
from napari_hemacells.widgets.canvas.label_colormap import (
    Seams,
    class_colormap,
    coded_colormap,
    find_seams,
)
from napari_hemacells.widgets.canvas.layer_catalog import LayerCatalog
from napari_hemacells.widgets.canvas.markers import (
    MARKER,
    MarkerState,
    marker_layer,
    remove_soon,
    update_markers,
)
from napari_hemacells.widgets.canvas.mouse import Pointer
from napari_hemacells.widgets.canvas.multiscale_labels import MultiscaleLabels, needs_multiscale
from napari_hemacells.widgets.canvas.sight import (
    ImageWatch,
    Seen,
    plane_transform,
)
from napari_hemacells.widgets.canvas.thermogram_layers import ThermogramLayers
from napari_hemacells.widgets.dock_area import canvas_widget, dock_below, raise_dock, remove_dock

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Layer, Points
    from numpy.typing import NDArray
    from qtpy.QtWidgets import QWidget

    from napari_hemacells.core.types import Cells, SmearImage
    from napari_hemacells.layers import CellColourCodes
    from napari_hemacells.session import Session


class Overlays(LayerCatalog):
    """Temporary layers above the cells layer."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer)
        self._marks = MarkerState()
        self._found: MultiscaleLabels | None = None
        self._quiet = False  # layers come and go without anybody being told

    @property
    def cells_layer(self) -> Labels | None:
        """The plugin's Labels layer."""
        return self.find("cells")

    def _placed(self, role: ours.Role, image_key: str) -> dict[str, Any]:
        """Metadata and transforms of a layer on top of an image."""
        on = self.find("image", image_key)
        placed = {} if on is None else plane_transform(on)
        return {"metadata": ours.role_metadata(role, image_key), **placed}

    def show_partial_cells(
        self, cells: Cells, image_key: str, shades: CellColourCodes, outline: int
    ) -> None:
        """Show the cells that a running detection has found so far, above the earlier cells."""
        if self._found is None:
            about = {"name": "Found so far"} | self._placed("found", image_key)
            self._found = MultiscaleLabels(cells, about)
            self._found.layer.editable = False
            active = self.viewer.layers.selection.active
            self.viewer.add_layer(self._found.layer)
            self.viewer.layers.selection.active = active
        else:
            self._found.put(cells)
        self._found.outline(outline)
        self._found.set_shades(shades)

    def clear_partial_cells(self) -> None:
        """Remove the cells found so far."""
        layer = self.find("found")
        self._found = None
        if layer is not None:
            self._quiet = True
            self.viewer.layers.remove(layer)
            self._quiet = False

    def show_heat(
        self, heat: NDArray[np.float32], square: tuple[float, float, float], image_key: str
    ) -> None:
        """Lay the heat of a cell over it: ``(n, n)``, on the square (top, left, side)."""
        self.clear_heat()
        on, active = self.find("image", image_key), self.viewer.layers.selection.active
        self._quiet = True
        layer = self.viewer.add_image(
            heat,
            name="Heat map",
            metadata=ours.role_metadata("heat", image_key),
            **heat_placement(len(heat), square, on),
        )
        self.viewer.layers.move(self.viewer.layers.index(layer), len(self.viewer.layers))
        self.viewer.layers.selection.active = active
        self._quiet = False

    def clear_heat(self) -> None:
        """Remove the heat of a cell."""
        layer = self.find("heat")
        if layer is not None:
            self._quiet = True
            self.viewer.layers.remove(layer)
            self._quiet = False

    def mark(self, box: tuple[int, int, int, int], colour: str | None) -> None:
        """Put the ring around a box, filled with a class colour if there is one."""
        self._marks.box, self._marks.colour = box, colour
        self._show_marks()

    def clear_marker(self) -> None:
        """Clear the current cell."""
        self._marks.box = None
        self._show_marks()

    def choose(self, boxes: Sequence[tuple[int, int, int, int]]) -> None:
        """Put yellow rings around the boxes of chosen cells."""
        self._marks.chosen = tuple(boxes)
        self._show_marks()

    def draw_line(self, line: tuple[tuple[float, float], tuple[float, float]] | None) -> None:
        """Show a line being drawn, ``None`` for none."""
        self._marks.line = line
        self._show_marks()

    def _show_marks(self) -> None:
        layer = self.find(MARKER)
        if layer is None and not self._marks.dots:
            return
        self._quiet = True
        update_markers(layer or self._add_ring(), self._marks)
        self._quiet = False

    def _add_ring(self) -> Points:
        cells, active = self.cells_layer, self.viewer.layers.selection.active
        layer = marker_layer({} if cells is None else plane_transform(cells))
        self.viewer.add_layer(layer)
        layer.editable = False
        self.viewer.layers.selection.active = active
        return layer


_OPAQUE = {"opaque", "translucent", "translucent_no_depth"}  # blendings that hide what is below
_OPACITY = 0.65  # of the layer, so that the cell is seen below its class
_CLOSE_ENOUGH = 12.0  # canvas pixels that a cell must span, or the camera moves nearer


class BridgeEvents(SignalGroup):
    """The user's actions in the viewer."""

    layers = Signal()  # added, removed, renamed, moved
    sight = Signal(bool)  # another plane or changed pixels are shown; True: and something waits
    active = Signal(str)  # the key of an image layer that was made the active one
    removed = Signal(str)  # the role of one of our layers that was removed
    key = Signal(str)  # one of keys.ACTIONS


class ViewerBridge(Overlays):
    """The plugin's layers in a viewer, identified by their metadata.

    Parameters
    ----------
    viewer
        A viewer, or a :class:`napari.components.ViewerModel` without a window.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer)
        self.events = BridgeEvents()
        self.thermograms = ThermogramLayers(viewer)
        self.keys = KeyMap(self._act, self._keys_wanted)
        self.pointer = Pointer(viewer, self.cell_at, self.place_at, self.is_up_to_date)
        self.watch = ImageWatch(viewer)
        self.watch.noticed.connect(self._sight_changed)
        self._hidden: Layer | None = None
        self._claimed = ""
        self._many: MultiscaleLabels | None = None
        self._seams: Seams | None = None  # where the cells shown touch; found when needed
        self.keys.bind(viewer, viewer=True)
        canvas = canvas_widget(viewer)
        self._question = None if canvas is None else QuestionMark(canvas, self.events.key.emit)
        listen = viewer.layers.events
        for event in (listen.inserted, listen.removed, listen.reordered):
            event.connect(self._layers_changed)
        listen.removed.connect(self._layer_removed)
        viewer.layers.selection.events.active.connect(self._active_changed)
        for layer in viewer.layers:
            layer.events.name.connect(self._layers_changed)

    def close(self) -> None:
        """Disconnect from the viewer; the layers stay, as the user may still want them."""
        listen = self.viewer.layers.events
        for event in (listen.inserted, listen.removed, listen.reordered):
            event.disconnect(self._layers_changed)
        listen.removed.disconnect(self._layer_removed)
        self.viewer.layers.selection.events.active.disconnect(self._active_changed)
        for layer in self.viewer.layers:
            layer.events.name.disconnect(self._layers_changed)
        if self._question is not None:
            self._question.close()
        self.pointer.close()
        self.watch.close()
        self.keys.clear()

    def remove_overlays(self) -> None:
        """Remove the ring and the cells found so far; the cells stay."""
        self.clear_partial_cells()
        self.remove_marker()

    def remove_marker(self) -> None:
        """Remove the layer of the ring: there is nothing to mark."""
        self._marks = MarkerState()
        marker = self.find(MARKER)
        if marker is not None:
            remove_soon(self.viewer, marker)

    # --- our layers --------------------------------------------------------------------------

    def claim_image(self, key: str, image_key: str) -> None:
        """Mark an image layer as the current one, and bind the plugin's keys to it."""
        for layer in self.viewer.layers:
            if ours.role_of(layer.metadata) == "image":
                layer.metadata = ours.released_metadata(layer.metadata)
                self.keys.unbind(layer)
        layer = self.layer(key)
        if layer is not None:
            if str(layer.unique_id) != self._claimed:
                self._show_alone(layer)
            self._claimed = str(layer.unique_id)
            layer.metadata = ours.claimed_metadata(layer.metadata, image_key)
            self.keys.bind(layer)

    def _show_alone(self, layer: Layer) -> None:
        """Show an image layer and hide the other images, but for channels laid over it."""
        for other in self.viewer.layers:
            hides = layer_readers.layer_kind(other) == "image" and other.blending in _OPAQUE
            if hides and other.unique_id != layer.unique_id:
                other.visible = False
        layer.visible = True

    def follow(self, key: str, seen: Seen | None = None) -> None:
        """Watch the layer of the image in use; `seen` is what it showed when it was read."""
        self.watch.follow(self.layer(key), seen)

    def is_up_to_date(self) -> bool:
        """Whether the plane in sight is the one that was read; if not, it is asked for."""
        if self.watch.has_changed:
            self.events.sight.emit(True)
            return False
        return True

    def show_cells_again(self) -> None:
        """Show cells that were hidden while another plane was in sight."""
        if self._hidden is not None and self._hidden in self.viewer.layers:
            self._hidden.visible = True
        self._hidden = None

    def _sight_changed(self) -> None:
        """Hide the cells at once when another plane is shown: they are not on it."""
        layer = self.cells_layer
        if self.watch.has_moved and layer is not None and layer.visible:
            self._hidden, layer.visible = layer, False
            self.clear_marker()
        self.events.sight.emit(False)

    def show_image(self, image: SmearImage) -> str:
        """The key of the layer that shows the image; it is added if there is none."""
        layer = self.find("image", image.key)
        if layer is None:
            layer = self.viewer.add_image(**layer_readers.image_layer_kwargs(image))
            self.claim_image(str(layer.unique_id), image.key)
        elif image.sheet is not None:  # pictures may have come and gone
            layer.data = list(image.sheet.display_levels())
        return str(layer.unique_id)

    def redraw_image(self, image_key: str) -> None:
        """Draw the visible part of an image again: more of it was read."""
        layer = self.find("image", image_key)
        if layer is not None:
            layer.refresh(thumbnail=False, extent=False)

    def show_cells(self, cells: Cells, image_key: str) -> None:
        """Show these cells in one selected Labels layer, aligned with its image."""
        layer, self._seams = self.cells_layer, None
        other = layer is not None and layer.metadata[ours.METADATA_KEY]["image_key"] != image_key
        if other or needs_multiscale(cells) != self.is_multiscale:
            self.forget_cells()
            layer = None
        if layer is None:
            layer = self._add_cells(cells, image_key)
        elif self._many is not None:
            self._many.put(cells)
        else:
            layer.data = _editable_copy(cells.labels)
        # Painting would change pixels behind the table: edit a copy, and use it as a source.
        layer.editable = False
        self.clear_marker()
        self.viewer.layers.selection.active = layer

    def change_cells(self, cells: Cells, boxes: Sequence[tuple[int, int, int, int]]) -> None:
        """Update the cells within these boxes only: fast, however large the image."""
        layer = self.cells_layer
        if layer is None:
            return
        if self._many is not None or not isinstance(cells.labels, np.ndarray):
            self.show_cells(cells, layer.metadata[ours.METADATA_KEY]["image_key"])
            return
        self._seams = None
        for top, left, bottom, right in boxes:
            part = cells.labels[top:bottom, left:right]
            rows, cols = np.nonzero(layer.data[top:bottom, left:right] != part)
            if len(rows):
                layer.data_setitem((rows + top, cols + left), part[rows, cols])

    def forget_cells(self) -> None:
        """Remove the cells layer, without an event; the layer of the ring stays, unseen."""
        self._quiet = True
        self._marks, self._many = MarkerState(), None
        self._show_marks()
        layer = self.find("cells")
        if layer is not None:
            self.viewer.layers.remove(layer)
        self._quiet = False

    def _add_cells(self, cells: Cells, image_key: str) -> Labels:
        on = self.find("image", image_key)
        name = "Regions" if on is not None and is_thermal(on.metadata) else "Cells"
        about = {"name": name, "opacity": _OPACITY} | self._placed("cells", image_key)
        self._many = MultiscaleLabels(cells, about) if needs_multiscale(cells) else None
        if self._many is None:
            # The labels once it has our colormap: napari's own would be compiled for them first.
            layer = Labels(np.zeros((1, 1), np.uint8), colormap=class_colormap({}), **about)
            layer.data = _editable_copy(cells.labels)
        else:
            layer = self._many.layer
        layer.help = "click: assign the active class, right-click: remove the class, A: add a cell"
        self.viewer.add_layer(layer)
        self.keys.bind(layer)
        marker = self.find(MARKER)
        if marker is not None:
            for name, value in plane_transform(layer).items():
                setattr(marker, name, value)
            self._raise(marker)
        return layer

    @property
    def is_multiscale(self) -> bool:
        """Whether there are so many cells that :meth:`shade` colours them."""
        return self._many is not None

    def set_shades(self, shades: CellColourCodes) -> None:
        """Set the colour of every cell of a multiscale layer."""
        if self._many is not None and self.cells_layer is not None:
            self._many.set_shades(shades)

    def colour_cells(
        self, ids: NDArray[np.int64], shades: CellColourCodes, *, filled: bool = False
    ) -> None:
        """Set the colour of every label: ``(n,)`` labels, the code of each and its colour.

        Parameters
        ----------
        filled
            Whether the cells are filled: a line is then left free where two of them touch.
        """
        layer = self.cells_layer
        if layer is not None:
            # The list of layers would be drawn for its own sake: see show_thumbnail.
            with layer.events.thumbnail.blocker():
                seams = self._find_seams(layer) if filled else None
                layer.colormap = coded_colormap(ids, shades, seams)

    def _find_seams(self, layer: Labels) -> Seams | None:
        if self._seams is None and isinstance(layer.data, np.ndarray):
            self._seams = find_seams(layer.data)
        return self._seams

    def show_thumbnail(self) -> None:
        """Update the thumbnail of the cells in napari's layer list."""
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
        """Show the cells as outlines of this width in pixels; 0 fills them."""
        layer = self.cells_layer
        if layer is not None and self._many is not None:
            self._many.outline(width)
            layer.opacity = 1.0 if width else _OPACITY
        elif layer is not None and layer.contour != width:
            layer.contour = width
            layer.opacity = 1.0 if width else _OPACITY

    def set_features(self, table: pd.DataFrame) -> None:
        """Set the table of the cell under the pointer; empty values are left out."""
        layer = self.cells_layer
        if layer is not None and self._many is None:
            layer.features = table.replace({"": None})

    # --- camera and pointer ------------------------------------------------------------------

    def set_line_drawing(self, draws: bool) -> None:
        """Let a drag draw a line instead of moving the image, whichever layer is active."""
        self.pointer.draws = draws
        self._camera.mouse_pan = not draws
        layer = self.cells_layer
        if draws and layer is not None:
            # A click on any other layer would be napari's; and its own drag would pan.
            self.viewer.layers.selection.active = layer
        if layer is not None:
            layer.mouse_pan = not draws

    def centre_on(self, row: float, col: float, side: float) -> None:
        """Centre a position that is not in sight; zoom in only where the cell is too small."""
        layer = self.cells_layer
        if layer is None or self._in_sight(layer, row, col, side):
            return
        centre = layer.data_to_world((row, col))
        camera = self._camera
        camera.center = (0.0, *(float(coordinate) for coordinate in centre[-2:]))
        right = np.asarray(layer.data_to_world((row, col + 1))) - centre
        on_canvas = camera.zoom * side * float(np.linalg.norm(right))
        if on_canvas < _CLOSE_ENOUGH:
            camera.zoom *= 4 * _CLOSE_ENOUGH / max(on_canvas, 1e-6)

    def _in_sight(self, layer: Labels, row: float, col: float, side: float) -> bool:
        """Whether a square around a position is on the canvas, and large enough to be seen."""
        if self._camera.zoom * side * float(layer.scale[-1]) < _CLOSE_ENOUGH:
            return False
        low, high = _corners(layer)
        ends = np.asarray(layer.data[0].shape if layer.multiscale else layer.data.shape)[-2:] - 1
        start = np.maximum(np.array([row, col]) - side / 2, 0)
        stop = np.minimum(np.array([row, col]) + side / 2, ends)
        return bool((high > low).all() and (start >= low).all() and (stop <= high).all())

    def window_in_sight(self) -> tuple[float, float, float, float] | None:
        """The part of the image on the canvas: top, left, bottom, right in pixels.

        ``None`` while there are no cells, or before anything was drawn.
        """
        layer = self.cells_layer
        if layer is None:
            return None
        low, high = _corners(layer)
        if not (high > low).all():
            return None
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @property
    def _camera(self) -> Any:
        # napari 0.9 moved the camera to the scene
        return getattr(self.viewer, "scene", self.viewer).camera

    def cell_at(self, position: tuple[float, ...]) -> int | None:
        """The cell at a position: 0 for background, ``None`` while another layer is selected."""
        layer, active = self.cells_layer, self.viewer.layers.selection.active
        if layer is None or not layer.visible or self.viewer.dims.ndisplay != 2:
            return None
        if self.watch.has_moved:
            return None
        if active is not None and ours.role_of(active.metadata) is None:
            return None
        if self._many is not None:
            return self._many.cell_at(position, self._camera.zoom)
        value = layer.get_value(position, world=True)
        return int(value) if value is not None else 0

    def place_at(self, position: tuple[float, ...]) -> tuple[float, float] | None:
        """The image position (row, column; pixel centres are whole) of a world position."""
        layer = self.cells_layer
        if layer is None:
            return None
        row, col = layer.world_to_data(position)[-2:]
        return float(row), float(col)

    def add_dock(self, widget: QWidget, name: str, *, behind: QWidget | None = None) -> None:
        """Dock a widget below the canvas, if the viewer has a window; as a tab behind another."""
        dock_below(self.viewer, widget, name, behind=behind)

    def remove_dock(self, widget: QWidget) -> None:
        """Take a widget out of the window, and end it."""
        remove_dock(self.viewer, widget)

    def raise_dock(self, widget: QWidget, *, tall: bool = False) -> None:
        """Raise the dock of a widget; with half of the window's height where that is wanted."""
        raise_dock(widget, tall=tall)

    def _layers_changed(self, event: Any = None) -> None:
        if event is not None and event.type == "inserted":
            event.value.events.name.connect(self._layers_changed)
            if layer_readers.layer_kind(event.value) == "image":
                self._raise_cells()
        if not self._quiet:
            self.events.layers.emit()

    def _raise_cells(self) -> None:
        """Put the cells and their marks above an image that was added."""
        quiet, self._quiet = self._quiet, True
        for role in ("cells", "found", MARKER):
            layer = self.find(role)
            if layer is not None:
                self._raise(layer)
        self._quiet = quiet

    def _raise(self, layer: Layer) -> None:
        self.viewer.layers.move(self.viewer.layers.index(layer), len(self.viewer.layers))

    def _active_changed(self, event: Any) -> None:
        layer = event.value
        if layer is None or ours.role_of(layer.metadata) == "heat":
            return
        if layer_readers.layer_kind(layer) == "image":
            self.events.active.emit(str(event.value.unique_id))

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
        if self.is_up_to_date():
            self.events.key.emit(action)


def _corners(layer: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The part of a layer that the canvas shows, in its pixels; nothing before it was drawn."""
    low, high = np.asarray(layer.corner_pixels, dtype=float)[:, -2:]
    if layer.multiscale:
        factor = np.asarray(layer.downsample_factors[layer.data_level])[-2:]
        low, high = low * factor, high * factor
    return low, high


def _editable_copy(labels: Any) -> Any:
    """A copy of labels in memory, which corrections may change; lazy ones as they are."""
    return labels.copy() if isinstance(labels, np.ndarray) else labels


def images_in_memory(session: Session, bridge: ViewerBridge) -> dict[str, SmearImage]:
    """Return the current image, and the small ones that other layers hold in memory.

    Frames of a stack that are not in sight are among them where the project has them.
    """
    images = {}
    for choice in bridge.images():
        try:
            image = (
                bridge.read_image(choice.key) if bridge.is_small_in_memory(choice.key) else None
            )
        except ImageError:
            continue  # another layer, which is no smear
        if image is not None:
            images[image.key] = image
    for stored in () if session.project is None else session.project.images:
        if stored.key not in images:
            frame = bridge.find_plane(stored.name, stored.shape, stored.key)
            if frame is not None:
                images[stored.key] = frame[1]
    open_now = session.image
    return images if open_now is None else {**images, open_now.key: open_now}
