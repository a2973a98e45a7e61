"""Manual corrections of a detection: added, reshaped and deleted cells.

The detected cells are stored as the detector found them; the corrections are in the journal.
:func:`apply_corrections` combines both.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field

from napari_hemacells.core.cell_masks import CellMask, unpack_mask
from napari_hemacells.core.types import BOX_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_hemacells.core.types import Cells

CorrectionStatus: TypeAlias = Literal["there", "gone", "refused"]
Origin: TypeAlias = Literal["detected", "added", "split", "merged"]

ORIGIN = "origin"
"""Column of the table of corrected cells: one of :data:`Origin`."""
DETECTED: Origin = "detected"


def _checked_mask(stored: dict[str, Any]) -> dict[str, Any]:
    unpack_mask(stored)
    return stored


StoredMask: TypeAlias = Annotated[dict[str, Any], AfterValidator(_checked_mask)]
"""A mask as plain values; one that is read is checked first."""


@dataclass(frozen=True)
class CellRecord:
    """A complete cell as plain values: its table row and its mask.

    Attributes
    ----------
    cell
        Its id, never reused for another cell.
    kind, score
        The detector's rough kind and score.
    centre, box, area
        As in the table: (row, column), half-open box, pixels.
    mask
        :meth:`napari_hemacells.core.cell_ops.CellMask.to_dict`.
    origin
        Who made it: the detector, or the user by adding, splitting or merging.
    """

    cell: Annotated[int, Field(lt=2**31)]  # label images are int32
    kind: str
    score: float
    centre: tuple[float, float]
    box: tuple[int, int, int, int]
    area: int
    mask: StoredMask = field(hash=False)
    origin: Origin = DETECTED

    def row(self) -> dict[str, Any]:
        """Return the row of the table."""
        return {
            "label": self.cell,
            "class": self.kind,
            "score": self.score,
            "row": self.centre[0],
            "col": self.centre[1],
            **dict(zip(BOX_COLUMNS, self.box, strict=True)),
            "area": self.area,
            ORIGIN: self.origin,
        }

    @property
    def pixels(self) -> CellMask:
        """The mask, unpacked."""
        return CellMask.from_dict(self.mask)


@dataclass(frozen=True)
class Correction:
    """The user's last correction of a cell.

    Attributes
    ----------
    record
        The cell as it is, or as it was before its removal.
    standing
        ``"there"``: kept whatever a later detection finds. ``"gone"``: replaced by others, or its
        creation was undone. ``"refused"``: deleted, there is no cell at this place.
    """

    record: CellRecord
    status: CorrectionStatus


Corrections: TypeAlias = dict[int, Correction]  # of one image, by cell id


def cell_record(cells: Cells, cell: int) -> CellRecord:
    """Return a cell of the table with its mask as plain values."""
    row = cells.table.iloc[cells.position[cell]]
    low_row, low_col, high_row, high_col = (int(row[side]) for side in BOX_COLUMNS)
    origin: Origin = row[ORIGIN] if ORIGIN in cells.table and row[ORIGIN] else DETECTED
    return CellRecord(
        cell=int(cell),
        kind=str(row["class"]),
        score=float(row["score"]),
        centre=(float(row["row"]), float(row["col"])),
        box=(low_row, low_col, high_row, high_col),
        area=int(row["area"]),
        mask=cells.mask_of(int(cell)).to_dict(),
        origin=origin,
    )


def apply_corrections(cells: Cells, corrections: Mapping[int, Correction]) -> Cells:
    """Return the cells with the corrections applied.

    Applying corrections twice changes nothing: the cells may have been saved before or after.
    """
    touched = [cell for cell in corrections if cell in cells.position]
    there = [
        correction.record for correction in corrections.values() if correction.status == "there"
    ]
    return exchange_cells(cells, touched, sorted(there, key=lambda record: record.cell))


def exchange_cells(cells: Cells, removed: Iterable[int], added: Iterable[CellRecord]) -> Cells:
    """Return the cells with some removed and others added; unknown cells are ignored."""
    from napari_hemacells.core.cell_ops import replace_cells

    gone = [cell for cell in removed if cell in cells.position]
    new = [(record.cell, record.row(), record.pixels) for record in added]
    if not gone and not new:
        return cells
    return replace_cells(with_origin(cells), gone, new)


def with_origin(cells: Cells) -> Cells:
    """Return the cells with the column :data:`ORIGIN`, by default the detector."""
    if ORIGIN not in cells.table:
        return replace(cells, table=cells.table.assign(**{ORIGIN: DETECTED}))
    origins = cells.table[ORIGIN].astype(object)
    known = origins.where(origins.notna() & (origins != ""), DETECTED)
    if known is origins or known.equals(origins):
        return cells
    return replace(cells, table=cells.table.assign(**{ORIGIN: known}))


def count_manual_edits(cells: Cells) -> dict[str, int]:
    """Return the numbers of cells added, split or merged by hand, without zeros."""
    if ORIGIN not in cells.table:
        return {}
    counts = Counter(with_origin(cells).table[ORIGIN].tolist())
    return {origin: count for origin, count in sorted(counts.items()) if origin != DETECTED}


def manual_cell_ids(corrections: Mapping[int, Correction]) -> set[int]:
    """Return the ids of the cells that the user added or restored."""
    return {cell for cell, correction in corrections.items() if correction.status == "there"}


def rejected_masks(corrections: Mapping[int, Correction]) -> list[CellMask]:
    """Return the masks of deleted cells."""
    return [
        correction.record.pixels
        for correction in corrections.values()
        if correction.status == "refused"
    ]
