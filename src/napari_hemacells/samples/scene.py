"""Placement of the cells of a synthetic smear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.types import PLATELET, RBC, WBC

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from napari_hemacells.samples.paint import CellPatch

TRIES = 60  # to find a free place for one cell
TOUCHING, OVERLAPPING, ALONE = 0.78, 0.62, 0.95  # distance over the sum of two patches' reaches


@dataclass(frozen=True, eq=False)
class PlacedCell:
    """A cell and the pixel of its centre."""

    kind: str
    subtype: str
    row: int
    col: int
    patch: CellPatch


class Scene:
    """Cells placed one after the other where they fit."""

    def __init__(self, rng: Generator, shape: tuple[int, int]) -> None:
        self._rng, self._shape = rng, shape
        self.placed: list[PlacedCell] = []

    def place(self, kind: str, patch: CellPatch, subtype: str = "") -> None:
        """Place a cell where it fits, or nowhere if there is no room.

        In crowded areas red cells overlap a little, white cells never; the image border may cut
        red cells.
        """
        edge = -(patch.reach // 2) if kind == RBC else patch.reach // 2
        for attempt in range(TRIES):
            row, col = (
                int(self._rng.integers(edge, max(edge + 1, side - edge))) for side in self._shape
            )
            crowded = attempt >= TRIES // 2 or self._rng.random() > 0.85
            cell = PlacedCell(kind, subtype, row, col, patch)
            if all(_fits(cell, other, crowded=crowded) for other in self.placed):
                self.placed.append(cell)
                return

    def drop(self, kind: str, patch: CellPatch) -> None:
        """Place a cell anywhere, on top of others if needed, as in a thick smear."""
        row, col = (int(self._rng.integers(0, side)) for side in self._shape)
        self.placed.append(PlacedCell(kind, "", row, col, patch))

    def density(self) -> NDArray[np.float32]:
        """``(rows, cols, 3)`` optical density; overlapping cells add up."""
        density = np.zeros((*self._shape, 3), np.float32)
        for cell in self.placed:
            target, source = windows(cell, self._shape)
            density[target] += cell.patch.density[source]
        return density


def _fits(cell: PlacedCell, other: PlacedCell, *, crowded: bool) -> bool:
    if {cell.kind, other.kind} == {PLATELET, RBC}:
        return True  # platelets do lie on red cells
    apart = OVERLAPPING if crowded else TOUCHING
    if WBC in {cell.kind, other.kind}:
        apart = ALONE
    distance = np.hypot(cell.row - other.row, cell.col - other.col)
    return bool(distance > apart * (cell.patch.reach + other.patch.reach))


def windows(
    cell: PlacedCell, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return where the patch lies in the image, and which part of the patch is inside."""
    reach = cell.patch.reach
    target, source = [], []
    for coordinate, side in zip((cell.row, cell.col), shape, strict=True):
        low, high = max(coordinate - reach, 0), min(coordinate + reach + 1, side)
        high = max(high, low)
        target.append(slice(low, high))
        source.append(slice(low - coordinate + reach, high - coordinate + reach))
    return (target[0], target[1]), (source[0], source[1])
