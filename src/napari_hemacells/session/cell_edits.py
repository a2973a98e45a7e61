"""Corrections of the segmentation as undoable steps: add, delete, split, merge."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from napari_hemacells.core import annotate
from napari_hemacells.core.annotate import Annotation, CellRecord, CorrectCells
from napari_hemacells.core.errors import AnnotationError, CellsError
from napari_hemacells.core.types import CellRef

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from napari_hemacells.core.annotate import AnnotationState
    from napari_hemacells.core.annotate.actions import AnnotationEntry
    from napari_hemacells.core.annotate.cell_edits import Origin
    from napari_hemacells.core.cell_masks import CellMask
    from napari_hemacells.core.detect.proposal import Proposal
    from napari_hemacells.core.types import Cells


class CellsChange(NamedTuple):
    """The cells that a correction removed and added; a cell in both sets has a new shape.

    ``windows`` are the boxes (min_row, min_col, max_row, max_col) within which pixels changed.
    """

    removed: tuple[int, ...]
    added: tuple[int, ...]
    windows: tuple[tuple[int, int, int, int], ...] = ()

    @classmethod
    def of(cls, step: CorrectCells) -> CellsChange:
        """The effect of an undoable step on the cells."""
        removed, added = (
            tuple(record.cell for record in records) for records in (step.removed, step.added)
        )
        windows = tuple(record.pixels.box for record in (*step.removed, *step.added))
        return cls(removed, added, windows)

    @property
    def deleted(self) -> tuple[int, ...]:
        """Ids of cells that were removed."""
        return tuple(cell for cell in self.removed if cell not in self.added)

    @property
    def new(self) -> tuple[int, ...]:
        """Ids of cells that were added."""
        return tuple(cell for cell in self.added if cell not in self.removed)


class EditContext(NamedTuple):
    """The input of a correction: the image, its cells, and their annotations."""

    image_key: str
    cells: Cells
    state: AnnotationState

    @property
    def next_id(self) -> int:
        """An id that no cell of this image ever had."""
        return max(int(self.cells.ids.max(initial=0)), self.state.last_id(self.image_key)) + 1

    def record(self, cell: int) -> CellRecord:
        """A cell of the image; raises :class:`AnnotationError` if it was removed."""
        if cell not in self.cells.position:
            raise AnnotationError(
                f"There is no cell {cell} in this image any more. Choose another cell."
            )
        return annotate.cell_record(self.cells, cell)

    def step(
        self,
        removed: Sequence[CellRecord],
        added: Sequence[CellRecord] = (),
        entries: tuple[AnnotationEntry, ...] = (),
        *,
        refused: bool = False,
    ) -> CorrectCells:
        """The undoable action; it also removes the annotations of removed cells."""
        gone = {record.cell for record in removed} - {record.cell for record in added}
        lost = annotate.removed_annotations(self.state, self.image_key, gone)
        return CorrectCells(
            self.image_key,
            tuple(removed),
            tuple(added),
            (*lost, *entries),
            refused=refused,
            annotator=self.state.annotator,
        )


def add_cell_action(
    desk: EditContext, proposal: Proposal, class_id: str | None = None
) -> CorrectCells:
    """Add a proposed cell, with a class if one is given.

    Raises
    ------
    CellsError
        Another cell has taken the place since the proposal.
    """
    mask = _free_mask(desk.cells, proposal)
    below = [desk.record(cell) for cell in proposal.taken if cell in desk.cells.position]
    cut = [_with_mask(record, record.pixels.without(mask)) for record in below]
    new = _record(desk.next_id, proposal, mask, "added")
    entries = () if class_id is None else (_new_annotation(desk, new, class_id),)
    return desk.step(below, [*cut, new], entries)


def delete_cells_action(desk: EditContext, ids: Collection[int]) -> CorrectCells:
    """Delete cells, and keep later detections from finding them again."""
    records = [desk.record(cell) for cell in sorted(set(ids))]
    if not records:
        raise AnnotationError("No cell is chosen: point at a cell first.")
    return desk.step(records, refused=True)


def split_cell_action(desk: EditContext, cell: int, halves: Sequence[Proposal]) -> CorrectCells:
    """Split a cell; its annotations are removed, and the parts have none."""
    first = desk.next_id
    new = [_record(first + index, half, half.mask, "split") for index, half in enumerate(halves)]
    return desk.step([desk.record(cell)], new)


def merge_cells_action(desk: EditContext, ids: Collection[int], whole: Proposal) -> CorrectCells:
    """Merge cells into one; a class that all of them share is kept."""
    records = [desk.record(cell) for cell in sorted(set(ids))]
    new = _record(desk.next_id, whole, whole.mask, "merged")
    entries = tuple(
        (CellRef(desk.image_key, new.cell), annotator, replace(annotation, row=row, col=col))
        for annotator, annotation in _shared_annotations(desk, [record.cell for record in records])
        for row, col in [new.centre]
    )
    return desk.step(records, [new], entries)


def _shared_annotations(desk: EditContext, ids: Sequence[int]) -> list[tuple[str, Annotation]]:
    """The annotators who gave all these cells the same class, with their latest annotation."""
    agreed = []
    for annotator, labels in desk.state.by_annotator.items():
        annotations = [labels.get(CellRef(desk.image_key, cell)) for cell in ids]
        known = [annotation for annotation in annotations if annotation is not None]
        if len(known) == len(ids) and len({annotation.class_id for annotation in known}) == 1:
            agreed.append((annotator, max(known, key=lambda annotation: annotation.when)))
    return agreed


def _new_annotation(desk: EditContext, record: CellRecord, class_id: str) -> AnnotationEntry:
    annotator = desk.state.annotator
    annotation = Annotation(class_id, *record.centre, annotator, annotate.utc_now())
    return CellRef(desk.image_key, record.cell), annotator, annotation


def _free_mask(cells: Cells, proposal: Proposal) -> CellMask:
    """The proposal's pixels that no other cell has covered since."""
    import numpy as np

    from napari_hemacells.core.detect.proposal import MIN_PIXELS

    labels = np.asarray(cells.labels[proposal.mask.window])
    free = (labels == 0) | np.isin(labels, list(proposal.taken))
    mask = replace(proposal.mask, bits=proposal.mask.bits & free)
    if mask.area < MIN_PIXELS:
        raise CellsError("There is a cell here already.")
    return mask


def _record(cell: int, proposal: Proposal, mask: CellMask, origin: Origin) -> CellRecord:
    return CellRecord(
        cell=cell,
        kind=proposal.kind,
        score=proposal.score,
        centre=proposal.centre,
        box=proposal.box,
        area=mask.area,
        mask=mask.to_dict(),
        origin=origin,
    )


def _with_mask(record: CellRecord, mask: CellMask) -> CellRecord:
    return replace(record, mask=mask.to_dict(), area=mask.area)
