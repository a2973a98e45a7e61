"""*Not a cell*: debris, stain, smudges, clumps of platelets, as a class that is always at hand.

It has its own key and belongs to every palette once it is used. Its cells are in no count and in
no differential count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.annotate.palette import CellClass
from napari_hemacells.core.types import NOT_A_CELL, NOT_A_CELL_ID

if TYPE_CHECKING:
    from napari_hemacells.core.annotate.palette import Palette

NOT_A_CELL_COLOUR = "#8a7f72"


def standing_class(palette: Palette) -> CellClass:
    """Return the class of things that are no cells: the palette's own, or a new one.

    Examples
    --------
    >>> from napari_hemacells.core.annotate.palette import default_palette
    >>> standing_class(default_palette()).name
    'Not a cell'
    """
    if NOT_A_CELL_ID in palette:
        return palette.by_id(NOT_A_CELL_ID)
    named = palette.by_name(NOT_A_CELL)
    return named or CellClass(NOT_A_CELL_ID, NOT_A_CELL, NOT_A_CELL_COLOUR)
