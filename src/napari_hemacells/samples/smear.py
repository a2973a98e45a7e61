"""A rendered blood smear with ground truth: the outline and class of every cell are known.

Also yields such fields with exact boxes for the fine-tuning of the detector, which rehearses
them to keep what it has learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.detect.learned.metadata import KINDS
from napari_hemacells.core.train.detector.dataset import TrainingField, as_grey
from napari_hemacells.core.types import BOX_COLUMNS, PLATELET, RBC, WBC
from napari_hemacells.samples.paint import platelet, red_cell, white_cell
from napari_hemacells.samples.photo import render_photo
from napari_hemacells.samples.scene import Scene, windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd
    from numpy.random import Generator
    from numpy.typing import NDArray

    from napari_hemacells.samples.scene import PlacedCell

DEPTH = {RBC: 0, WBC: 1, PLATELET: 2}
LEUKOCYTE_SHARES = {"Neutrophil": 0.55, "Lymphocyte": 0.3, "Monocyte": 0.08, "Eosinophil": 0.07}
PLATELET_RADIUS = 0.3  # in radii of a red cell


@dataclass(frozen=True, eq=False)
class SyntheticSmear:
    """A smear and its ground truth.

    Attributes
    ----------
    image
        ``(rows, cols, 3)`` uint8 colour image.
    labels
        ``(rows, cols)`` int32; where red cells overlap, a pixel belongs to the nearest centre;
        white cells lie on red cells and platelets on both.
    table
        ``CELL_COLUMNS`` with the true class (the box is that of the whole cell inside the
        image), and ``subtype``: the kind of white cell, ``""`` otherwise.
    diameter
        Typical diameter of a red cell in pixels.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int32]
    table: pd.DataFrame
    diameter: float


def synthetic_smear(
    seed: int = 0,
    shape: tuple[int, int] = (900, 1200),
    *,
    diameter: float = 44.0,
    red_cells: int | None = None,
    white_cells: int | None = None,
    platelets: int | None = None,
    stain: float | None = None,
) -> SyntheticSmear:
    """Return a rendered smear; equal arguments give equal smears.

    Stain, light and cell density vary with `seed`, as they do between laboratories.

    Parameters
    ----------
    shape
        Rows and columns.
    diameter
        Diameter of a red cell in pixels.
    red_cells, white_cells, platelets
        Number of cells to place; default: as many as an area of this size usually shows. Cells
        that do not fit are left out.
    stain
        Strength of the stain, 1 for a typical one; default: varies with `seed`.
    """
    rng = np.random.default_rng(seed)
    fields = shape[0] * shape[1] / diameter**2
    radius = diameter / 2
    scene = Scene(rng, shape)
    count = max(4, round(fields / 75)) if white_cells is None else white_cells
    for subtype in _subtypes(rng, count):
        scene.place(WBC, white_cell(rng, subtype, radius), subtype)
    for _ in range(round(fields * 0.45) if red_cells is None else red_cells):
        scene.place(RBC, red_cell(rng, radius * rng.normal(1.0, 0.06)))
    for _ in range(round(fields / 28) if platelets is None else platelets):
        scene.place(PLATELET, platelet(rng, radius * PLATELET_RADIUS * rng.uniform(0.7, 1.25)))
    labels, table = _truth(scene.placed, shape)
    image = render_photo(rng, scene.density(), diameter, stain)
    return SyntheticSmear(image, labels, table, diameter)


def _subtypes(rng: Generator, count: int) -> list[str]:
    """Return one white cell of each kind, then kinds as frequent as in blood."""
    names, shares = list(LEUKOCYTE_SHARES), list(LEUKOCYTE_SHARES.values())
    rest = rng.choice(names, size=max(0, count - len(names)), p=shares)
    return [*names, *map(str, rest)][:count]


def _truth(
    placed: list[PlacedCell], shape: tuple[int, int]
) -> tuple[NDArray[np.int32], pd.DataFrame]:
    from napari_hemacells.core.detect.cell_table import cell_table

    labels = np.zeros(shape, np.int32)
    order = np.full(shape, np.inf, np.float32)
    rows: list[tuple[object, ...]] = []
    subtypes: list[str] = []
    for cell in sorted(placed, key=lambda each: (each.row, each.col)):
        target, source = windows(cell, shape)
        mask = cell.patch.mask[source]
        if not mask.any():
            continue
        number = len(rows) + 1
        inner = np.argwhere(mask)
        corner = np.array([part.start for part in target])
        low, high = inner.min(axis=0) + corner, inner.max(axis=0) + corner + 1
        away = np.hypot(*(np.indices(mask.shape) + (corner - [cell.row, cell.col])[:, None, None]))
        rank = away / (1000.0 * cell.patch.reach) - DEPTH[cell.kind]
        mine = mask & (rank < order[target])
        labels[target][mine], order[target][mine] = number, rank[mine]
        rows.append(
            (number, cell.kind, 1.0, *(inner.mean(axis=0) + corner), *low, *high, len(inner))
        )
        subtypes.append(cell.subtype)
    return labels, cell_table(rows).assign(subtype=subtypes)


SEEDS = range(1000, 1004)  # of those that the bundled detector was trained on
SHAPE = (600, 800)


def rehearsal_fields(
    seeds: Iterable[int] = SEEDS, shape: tuple[int, int] = SHAPE
) -> Iterator[TrainingField]:
    """Yield fields of the synthetic smear, with exact boxes."""
    for seed in seeds:
        smear = synthetic_smear(seed, shape)
        table = smear.table[smear.table["class"].isin(KINDS)]
        yield TrainingField(
            name=f"synthetic/{seed}",
            pixels=smear.image,
            boxes=table[BOX_COLUMNS].to_numpy(np.float32),
            kinds=np.array([KINDS.index(name) for name in table["class"]], np.int64),
            sized=np.ones(len(table), bool),
            foreground=as_grey(smear.labels > 0),
            trust=np.full((*smear.labels.shape, len(KINDS)), 255, np.uint8),
            diameter=smear.diameter,
            key=f"synthetic-{seed}",
            group=f"synthetic/{seed}",
        )
