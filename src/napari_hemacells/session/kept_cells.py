"""New cells of an image, merged with what is kept of the old ones, and saved: for a thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_hemacells.core import annotate

if TYPE_CHECKING:
    from napari_hemacells.core.annotate.cell_edits import Corrections
    from napari_hemacells.core.store import Project
    from napari_hemacells.core.types import Cells


@dataclass(frozen=True, eq=False)
class CellsRequest:
    """Everything that is needed to keep new cells, frozen when they were found.

    Attributes
    ----------
    cells, before
        The new cells, and those shown until now.
    spoken_of
        Ids that some annotator or an undoable step refers to; ``None`` where nothing is to be
        kept.
    corrections
        What the user has corrected by hand.
    above
        Ids up to this one are not given again.
    changes
        Number of the changes of the journal at that time.
    """

    project: Project
    image_key: str
    cells: Cells
    before: Cells | None
    spoken_of: frozenset[int] | None
    corrections: Corrections
    above: int
    changes: int


def keep_cells(request: CellsRequest) -> Cells:
    """Return the cells as they are kept, saved in the project; it touches nothing else.

    Raises
    ------
    StorageError
        They cannot be saved.
    """
    cells, corrections = request.cells, request.corrections
    if request.before is not None and request.spoken_of is not None:
        from napari_hemacells.core.detect import keep_annotated

        by_hand = annotate.manual_cell_ids(corrections)
        refused = annotate.rejected_masks(corrections) if cells.source == "detector" else ()
        cells = keep_annotated(
            request.before,
            request.spoken_of | by_hand,
            cells,
            refused=refused,
            above=request.above,
        )
        cells = annotate.with_origin(cells) if by_hand else cells
    request.project.save_cells(request.image_key, cells)
    return cells
