"""A large synthetic smear with ground truth, written to disk field by field.

It imitates a stitched slide scan: an elliptical smear on empty glass, too thick at one end, with
one stain and one optic, and the lamp's vignetting in each field. At most three rows of fields are
in memory as lists of cells, and one field as pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hemacells.core.types import PLATELET, RBC, WBC
from napari_hemacells.samples.paint import platelet, red_cell, white_cell
from napari_hemacells.samples.photo import Camera
from napari_hemacells.samples.pyramid import write_pyramid
from napari_hemacells.samples.scene import Scene, windows
from napari_hemacells.samples.smear import LEUKOCYTE_SHARES, PLATELET_RADIUS

if TYPE_CHECKING:
    import pandas as pd
    from numpy.random import Generator
    from numpy.typing import NDArray

    from napari_hemacells.samples.scene import PlacedCell

FIELD = 1024  # side of a field in pixels
MARGIN = 12  # pixels around a field that its optics reach
THICK_SHARE = 0.14  # share of the width, from the left, where cells lie on top of one another
THICK_CROWDING = 2.6  # times as many cells as elsewhere
RED_CELL_UM = 7.5
LAMP_FALLOFF = 0.012


@dataclass(frozen=True, eq=False)
class SmearMosaic:
    """A large smear and its ground truth.

    Attributes
    ----------
    path
        The image: a folder of OME-Zarr or an OME-TIFF file, both with a pyramid.
    table
        ``CELL_COLUMNS`` with the true class and the box inside the image, in the order of the
        fields; and ``thick``, whether the cell lies where the smear is too thick to read.
    diameter
        Typical diameter of a red cell in pixels.
    thick
        ``(4, 2)`` corners of the part that is too thick, (row, column).
    shape
        Rows and columns.
    """

    path: Path
    table: pd.DataFrame
    diameter: float
    thick: NDArray[np.float64]
    shape: tuple[int, int]


def smear_mosaic(
    path: str | Path,
    shape: tuple[int, int] = (6000, 11000),
    *,
    seed: int = 0,
    diameter: float = 44.0,
    crowding: float = 1.0,
) -> SmearMosaic:
    """Write a large smear to `path` and return it; equal arguments give equal smears.

    Takes about a second for a million pixels.

    Parameters
    ----------
    path
        Where to write: OME-Zarr if it ends with ``.zarr``, otherwise a tiled OME-TIFF.
    shape
        Rows and columns.
    diameter
        Diameter of a red cell in pixels.
    crowding
        Relative number of cells placed; 1 for as many as
        :func:`~napari_hemacells.samples.synthetic_smear` places.
    """
    slide = _Slide(shape, seed, diameter, crowding)
    size = RED_CELL_UM / diameter
    write_pyramid(Path(path), shape, FIELD, slide.fields(), pixel_size_um=size)
    edge = THICK_SHARE * shape[1]
    thick = np.array([[0, 0], [0, edge], [shape[0], edge], [shape[0], 0]], dtype=float)
    return SmearMosaic(Path(path), slide.table(), diameter, thick, shape)


class _Slide:
    """Places the cells of a slide row by row of fields, and renders the fields."""

    def __init__(
        self, shape: tuple[int, int], seed: int, diameter: float, crowding: float
    ) -> None:
        self._shape, self._seed, self._diameter = shape, seed, diameter
        self._crowding = crowding
        self._camera = Camera.drawn(np.random.default_rng(seed), diameter, fall=LAMP_FALLOFF)
        self._placed: dict[tuple[int, int], list[PlacedCell]] = {}
        self._truth: list[tuple[Any, ...]] = []
        self._grid = (-(-shape[0] // FIELD), -(-shape[1] // FIELD))

    def fields(self) -> Any:
        """Yield ``(row, column, pixels)`` of each field, in the order of the writer."""
        for high in range(self._grid[0] + 1):
            if high < self._grid[0]:
                self._place_row(high)
            if high > 0:
                for wide in range(self._grid[1]):
                    yield (high - 1) * FIELD, wide * FIELD, self._picture(high - 1, wide)
            for wide in range(self._grid[1]):
                self._placed.pop((high - 2, wide), None)

    def table(self) -> pd.DataFrame:
        """Return the ground truth of the fields yielded."""
        from napari_hemacells.core.detect.cell_table import cell_table

        rows = [(number, *row[:-1]) for number, row in enumerate(self._truth, start=1)]
        return cell_table(rows).assign(thick=[row[-1] for row in self._truth])

    def _place_row(self, high: int) -> None:
        for wide in range(self._grid[1]):
            cells = self._cells(high, wide)
            self._placed[high, wide] = cells
            self._truth += [row for cell in cells if (row := self._row(cell))]

    def _cells(self, high: int, wide: int) -> list[PlacedCell]:
        """Return the cells that belong to this field, in pixels of the slide."""
        rng = np.random.default_rng([self._seed, high, wide])
        corner = (high * FIELD, wide * FIELD)
        around = [translate_cell(cell, corner, -1) for cell in self._neighbour_cells(high, wide)]
        scene = Scene(rng, (FIELD, FIELD))
        scene.placed = list(around)
        thick = corner[1] + FIELD / 2 < THICK_SHARE * self._shape[1]
        fields = FIELD**2 / self._diameter**2 * self._crowding
        self._fill(scene, rng, fields, thick=thick)
        own = [translate_cell(cell, corner, 1) for cell in scene.placed[len(around) :]]
        return [cell for cell in own if self._is_on_smear(cell)]

    def _fill(self, scene: Scene, rng: Generator, fields: float, *, thick: bool) -> None:
        radius = self._diameter / 2
        kinds, shares = list(LEUKOCYTE_SHARES), list(LEUKOCYTE_SHARES.values())
        for subtype in rng.choice(kinds, size=round(fields / 75), p=shares):
            scene.place(WBC, white_cell(rng, str(subtype), radius), str(subtype))
        put = partial(scene.drop if thick else scene.place, RBC)
        for _ in range(round(fields * 0.45 * (THICK_CROWDING if thick else 1))):
            put(red_cell(rng, radius * rng.normal(1.0, 0.06)))
        for _ in range(round(fields / 28)):
            small = radius * PLATELET_RADIUS * rng.uniform(0.7, 1.25)
            scene.place(PLATELET, platelet(rng, small))

    def _neighbour_cells(self, high: int, wide: int) -> list[PlacedCell]:
        """Return the cells of this field and of its neighbours."""
        return [
            cell
            for row in (high - 1, high, high + 1)
            for col in (wide - 1, wide, wide + 1)
            for cell in self._placed.get((row, col), ())
        ]

    def _is_on_smear(self, cell: PlacedCell) -> bool:
        """Whether the smear covers this place: an ellipse, the slide's corners are empty."""
        across, along = (
            2 * coordinate / length - 1
            for coordinate, length in zip((cell.row, cell.col), self._shape, strict=True)
        )
        return bool(across**2 + along**2 < 1)

    def _picture(self, high: int, wide: int) -> NDArray[np.uint8]:
        corner = (high * FIELD, wide * FIELD)
        sides = [
            min(FIELD, length - start) for length, start in zip(self._shape, corner, strict=True)
        ]
        size = (sides[0] + 2 * MARGIN, sides[1] + 2 * MARGIN)
        density = np.zeros((*size, 3), np.float32)
        for cell in self._neighbour_cells(high, wide):
            moved_cell = translate_cell(cell, (corner[0] - MARGIN, corner[1] - MARGIN), -1)
            target, source = windows(moved_cell, size)
            density[target] += moved_cell.patch.density[source]
        rng = np.random.default_rng([self._seed, high, wide, 1])
        picture = self._camera.picture(density, rng.normal(size=size), rng)
        return picture[MARGIN:-MARGIN, MARGIN:-MARGIN]

    def _row(self, cell: PlacedCell) -> tuple[Any, ...] | None:
        """Return class, score, centroid, box, area, and whether the smear is too thick there."""
        target, source = windows(cell, self._shape)
        inner = np.argwhere(cell.patch.mask[source])
        if len(inner) == 0:
            return None
        corner = np.array([part.start for part in target])
        low, high = inner.min(axis=0) + corner, inner.max(axis=0) + corner + 1
        thick = cell.col < THICK_SHARE * self._shape[1]
        return (cell.kind, 1.0, *(inner.mean(axis=0) + corner), *low, *high, len(inner), thick)


def translate_cell(cell: PlacedCell, by: tuple[int, int], sign: int) -> PlacedCell:
    """Return the cell at shifted coordinates."""
    return replace(cell, row=cell.row + sign * by[0], col=cell.col + sign * by[1])
