"""What lies over the cells for a while: rings, a line being drawn, what is found so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_hemacells import layers as ours
from napari_hemacells.widgets import reading
from napari_hemacells.widgets.layer_choices import LayerChoices
from napari_hemacells.widgets.many_cells import ManyCells
from napari_hemacells.widgets.ring import MARKER, Marks, put_marks, ring_layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Labels, Points

    from napari_hemacells.core.types import Cells
    from napari_hemacells.layers import Shades


class Overlays(LayerChoices):
    """Layers of a viewer that come and go above that of the cells."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer)
        self._marks = Marks()
        self._found: ManyCells | None = None
        self._quiet = False  # layers come and go without anybody being told

    @property
    def cells_layer(self) -> Labels | None:
        """Our Labels layer."""
        return self.find("cells")

    def _placed(self, role: ours.Role, image_key: str) -> dict[str, Any]:
        """Metadata and transforms of a layer that lies on an image."""
        on = self.find("image", image_key)
        placed = {} if on is None else reading.plane_transform(on)
        return {"metadata": ours.role_metadata(role, image_key), **placed}

    # --- what a detection has found so far ---------------------------------------------------

    def show_found(self, cells: Cells, image_key: str, shades: Shades, outline: int) -> None:
        """Show what a detection that still runs has found so far, above the cells there were."""
        if self._found is None:
            about = {"name": "Found so far"} | self._placed("found", image_key)
            self._found = ManyCells(cells, about)
            self._found.layer.editable = False
            active = self.viewer.layers.selection.active
            self.viewer.add_layer(self._found.layer)
            self.viewer.layers.selection.active = active
        else:
            self._found.put(cells)
        self._found.outline(outline)
        self._found.shade(shades)

    def forget_found(self) -> None:
        """Remove what a detection had found so far."""
        layer = self.find("found")
        self._found = None
        if layer is not None:
            self._quiet = True
            self.viewer.layers.remove(layer)
            self._quiet = False

    # --- the current cell, the chosen ones, a line -------------------------------------------

    def mark(self, box: tuple[int, int, int, int], colour: str | None) -> None:
        """Put the ring around a box, filled with a class colour if there is one."""
        self._marks.box, self._marks.colour = box, colour
        self._show_marks()

    def unmark(self) -> None:
        """Show no cell as the current one."""
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
        put_marks(layer or self._add_ring(), self._marks)
        self._quiet = False

    def _add_ring(self) -> Points:
        cells, active = self.cells_layer, self.viewer.layers.selection.active
        layer = ring_layer({} if cells is None else reading.plane_transform(cells))
        self.viewer.add_layer(layer)
        layer.editable = False
        self.viewer.layers.selection.active = active
        return layer
