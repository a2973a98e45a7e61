"""The action that corrects a detection: some cells go, others come, in one step to undo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from napari_hemacells.core.annotate.actions import Action, Word, check_classes
from napari_hemacells.core.annotate.corrections import (
    CellRecord,
    Correction,
)
from napari_hemacells.core.annotate.state import now
from napari_hemacells.core.errors import AnnotationError
from napari_hemacells.core.types import CellRef

if TYPE_CHECKING:
    from napari_hemacells.core.annotate.corrections import Standing
    from napari_hemacells.core.annotate.state import AnnotationState


@dataclass(frozen=True)
class CorrectCells(Action):
    """Take cells of an image away and put others there, with what is said of all of them.

    Attributes
    ----------
    image_key
        The image.
    removed, added
        Whole cells, so that the step can be undone whatever was detected meanwhile. A cell that
        is in both changes its shape and keeps its id.
    words
        Annotations after the step: ``None`` for a cell that loses them.
    refused
        The removed cells are none: a later detection that finds them is not believed.
    annotator, when
        Whose correction this is; ISO 8601 in UTC.
    """

    image_key: str
    removed: tuple[CellRecord, ...] = ()
    added: tuple[CellRecord, ...] = ()
    words: tuple[Word, ...] = ()
    refused: bool = False
    annotator: str = ""
    when: str = field(default_factory=now)
    kind: Literal["correct_cells"] = "correct_cells"

    def check(self, state: AnnotationState) -> None:
        """Refuse a step that does nothing, and cells that are gone, or there, already."""
        if not self.removed and not self.added:
            raise AnnotationError("No cell is chosen: point at a cell first.")
        known = state.corrections.get(self.image_key, {})
        going = {record.cell for record in self.removed}
        for record in self.removed:
            if record.cell in known and known[record.cell].standing != "there":
                raise AnnotationError(f"Cell {record.cell} is not there any more.")
        for record in self.added:
            there = record.cell in known and known[record.cell].standing == "there"
            if record.cell < 1 or (there and record.cell not in going):
                raise AnnotationError(f"There is a cell {record.cell} already.")
        check_classes(self.words, state.palette)

    def apply(self, state: AnnotationState) -> None:
        """Note what became of each cell, then what is said of them."""
        self.check(state)
        entries = state.corrections.setdefault(self.image_key, {})
        left: Standing = "refused" if self.refused else "gone"
        for record in self.removed:
            entries[record.cell] = Correction(record, left)
        for record in self.added:
            entries[record.cell] = Correction(record, "there")
        for ref, annotator, said in self.words:
            state.put(ref, annotator, said)

    def inverse(self, state: AnnotationState) -> CorrectCells:
        """Return the step back: cells that it brings back stay whatever a detector says."""
        words = tuple(
            (ref, annotator, state.by_annotator.get(annotator, {}).get(ref))
            for ref, annotator, _ in self.words
        )
        return CorrectCells(
            self.image_key, self.added, self.removed, words, annotator=self.annotator
        )

    def touched(self) -> tuple[CellRef, ...]:
        """Return the cells whose annotation changes."""
        return tuple(ref for ref, _, _ in self.words)


def words_lost(state: AnnotationState, image_key: str, cells: set[int]) -> tuple[Word, ...]:
    """Return what takes every annotator's word about these cells away."""
    return tuple(
        (CellRef(image_key, cell), annotator, None)
        for annotator, labels in state.by_annotator.items()
        for cell in sorted(cells)
        if CellRef(image_key, cell) in labels
    )
