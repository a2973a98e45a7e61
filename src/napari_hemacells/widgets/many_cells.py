"""The Labels layer of very many cells, or of a large image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_hemacells.widgets.cell_levels import NEAR, CellLevels
from napari_hemacells.widgets.class_colormap import class_colormap

if TYPE_CHECKING:
    from napari_hemacells.core.types import Cells
    from napari_hemacells.layers import Rgba, Shades

MANY = 5000  # cells; a colour for each of more takes too long to set after every click
REACH = 6.0  # canvas pixels from a far cell's centre that still hit it


def are_many(cells: Cells) -> bool:
    """Whether cells are shown as a pyramid of colour codes, and not each by its own label."""
    return not isinstance(cells.labels, np.ndarray) or len(cells) > MANY


class ManyCells:
    """Cells as a pyramid of colour codes, and the layer that shows it.

    Parameters
    ----------
    cells
        What to show.
    about
        What the layer is made with beside its data: name, metadata, transforms.
    """

    def __init__(self, cells: Cells, about: dict[str, Any]) -> None:
        self.levels = _levels(cells)
        self._table: dict[int | None, Rgba] = {}
        self.layer = Labels(list(self.levels.levels), multiscale=True, **about)

    def put(self, cells: Cells) -> None:
        """Show other cells; their colours are to be set after that."""
        outline = self.levels.outline
        self.levels = _levels(cells)
        self.levels.outline = outline
        self.layer.data = list(self.levels.levels)

    def shade(self, shades: Shades) -> None:
        """Set the colour of every cell."""
        self.levels.shade(shades.codes)
        if shades.table == self._table:
            self.refresh()
        else:
            self._table = shades.table
            self.refresh()
            self.layer.colormap = class_colormap(shades.table)

    def outline(self, width: int) -> None:
        """Show the cells near as outlines of so many pixels; 0 fills them."""
        if self.levels.outline != width:
            self.levels.outline = width
            self.refresh()

    def refresh(self) -> None:
        """Draw what is on the canvas again."""
        self.layer.refresh(thumbnail=False, extent=False)

    def cell_at(self, position: tuple[float, ...], zoom: float) -> int:
        """The cell at a world position, 0 for glass.

        Parameters
        ----------
        zoom
            Canvas pixels to a unit of the world.
        """
        row, col = self.layer.world_to_data(position)[-2:]
        pixel = zoom * float(self.layer.scale[-1])  # of the image, on the canvas
        far = self.levels.diameter * pixel < NEAR
        return self.levels.cell_at(row, col, REACH / pixel if far else 0.0)


def _levels(cells: Cells) -> CellLevels:
    return CellLevels(cells.labels, cells.ids, cells.centres, cells.diameter)
