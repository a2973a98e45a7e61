"""Cells on which several annotators agree, as one undoable step."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.spatial import KDTree

from napari_hemacells.core import annotate
from napari_hemacells.core.annotate import Annotation, CellRecord
from napari_hemacells.core.cell_masks import CellMask
from napari_hemacells.core.consensus.grouping import assign
from napari_hemacells.core.detect.proposal import MIN_PIXELS, cell_at
from napari_hemacells.core.types import CellRef

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_hemacells.core.annotate import Action
    from napari_hemacells.core.annotate.actions import AnnotationEntry
    from napari_hemacells.core.types import Cells
    from napari_hemacells.session.cell_edits import EditContext

_NEAR = 0.6  # diameters between a point and the centre of the cell that it marks


class TakenCells(NamedTuple):
    """What taking over a consensus does.

    Attributes
    ----------
    cells
        ``(n,)`` the cell of each point, 0 where none could be made.
    added
        Number of new cells.
    annotated
        Number of cells that get a class.
    """

    cells: NDArray[np.int64]
    added: int
    annotated: int


def consensus_action(
    desk: EditContext, positions: NDArray[np.float64], class_ids: Sequence[str | None]
) -> tuple[Action | None, TakenCells]:
    """Return the step that makes these points cells with their classes.

    A point in a cell, or near its centre, marks that cell; other points become discs of the
    typical diameter that take no pixel of another cell. Cells that the annotator has given a
    class keep it.

    Parameters
    ----------
    positions
        ``(n, 2)`` row and column.
    class_ids
        The class of each, ``None`` for none.
    """
    cells = desk.cells
    marked = _marked_cells(cells, positions)
    new = np.flatnonzero(marked == 0)
    records = _discs(desk, positions[new])
    for at, record in zip(new.tolist(), records, strict=True):
        if record is not None:
            marked[at] = record.cell
    there = [record for record in records if record is not None]
    entries = _entries(desk, marked, class_ids, {record.cell: record for record in there})
    taken = TakenCells(marked, len(there), len(entries))
    if there:
        return desk.step((), there, entries), taken
    return (annotate.RestoreLabels(entries) if entries else None), taken


def _marked_cells(cells: Cells, positions: NDArray[np.float64]) -> NDArray[np.int64]:
    """``(n,)`` the cell that each point marks, each by one point at most; 0 for none."""
    marked = np.zeros(len(positions), np.int64)
    if not len(cells) or not len(positions):
        return marked
    reach = _NEAR * max(cells.diameter, 1.0)
    near = KDTree(positions).sparse_distance_matrix(
        KDTree(cells.centres), reach, output_type="ndarray"
    )
    at, to = assign(near["i"], near["j"], np.minimum((near["v"] / reach) ** 2, 0.999))
    marked[at] = cells.ids[to]
    taken = set(marked[at].tolist())
    for point in np.flatnonzero(marked == 0).tolist():  # far from the centre of a large cell
        inside = (positions[point] >= -0.5) & (positions[point] < np.array(cells.labels.shape))
        if inside.all():
            cell = cell_at(cells, (max(positions[point][0], 0), max(positions[point][1], 0)))
            if cell and cell not in taken:
                marked[point] = cell
                taken.add(cell)
    return marked


def _discs(desk: EditContext, positions: NDArray[np.float64]) -> list[CellRecord | None]:
    """A cell for each point; ``None`` outside the image, or where other cells leave no room."""
    from napari_hemacells.core.detect import cells_from_points

    cells = desk.cells
    shape = (int(cells.labels.shape[0]), int(cells.labels.shape[1]))
    records: list[CellRecord | None] = [None] * len(positions)
    inside = ((positions >= -0.5) & (positions <= np.asarray(shape) - 0.5)).all(axis=1)
    if not inside.any():
        return records
    made = cells_from_points(positions[inside], shape, cells.diameter or 40.0)
    # Discs that other points cover wholly are not among them: each is found by its centre.
    _, nearest = KDTree(positions[inside]).query(made.centres)
    number = desk.next_id
    for row, at in enumerate(np.flatnonzero(inside)[nearest].tolist()):
        mask = made.mask_of(int(made.ids[row]))
        free = np.asarray(cells.labels[mask.window]) == 0
        mask = CellMask(mask.box, mask.bits & free)
        if mask.area < MIN_PIXELS or records[at] is not None:
            continue
        top, left, bottom, right = (int(side) for side in made.boxes[row])
        records[at] = CellRecord(
            cell=number,
            kind="",
            score=1.0,
            centre=(float(positions[at][0]), float(positions[at][1])),
            box=(top, left, bottom, right),
            area=mask.area,
            mask=mask.to_dict(),
            origin="added",
        )
        number += 1
    return records


def _entries(
    desk: EditContext,
    marked: NDArray[np.int64],
    class_ids: Sequence[str | None],
    new: dict[int, CellRecord],
) -> tuple[AnnotationEntry, ...]:
    """The classes of the cells that the annotator has not given one."""
    state, cells, now = desk.state, desk.cells, annotate.utc_now()
    mine = state.annotations_of_image(desk.image_key)
    entries: list[AnnotationEntry] = []
    for cell, class_id in zip(marked.tolist(), class_ids, strict=True):
        if not cell or class_id is None or cell in mine:
            continue
        row, col = new[cell].centre if cell in new else cells.centres[cells.position[cell]]
        word = Annotation(class_id, float(row), float(col), state.annotator, now)
        entries.append((CellRef(desk.image_key, cell), state.annotator, word))
    return tuple(entries)
