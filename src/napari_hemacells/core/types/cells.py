"""The cells of an image, and references to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from napari_hemacells.core.cell_masks import CellMask, LazyLabels
from napari_hemacells.core.types.learned_from import LearnedFrom

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from napari_hemacells.core.cell_masks import PackedMasks
    from napari_hemacells.core.types.embeddings import Embeddings
    from napari_hemacells.core.types.image import Modality

CellSource: TypeAlias = Literal["detector", "labels", "points", "shapes", "whole"]

CELL_COLUMNS = (
    "label", "class", "score", "row", "col", "min_row", "min_col", "max_row", "max_col", "area",
)  # fmt: skip
BOX_COLUMNS = ["min_row", "min_col", "max_row", "max_col"]
RBC, WBC, PLATELET = "RBC", "WBC", "Platelets"


class CellRef(NamedTuple):
    """Reference to a cell of an image, as annotations use it."""

    image_key: str
    cell: int


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of an image: a label image and a table with a row for each cell.

    A "cell" is whatever one crop is made of: a blood cell, later a breast region or a whole frame.

    Attributes
    ----------
    labels
        ``(rows, cols)`` int32, 0 glass, otherwise the cell's id; of a large image
        :class:`~.label_image.LazyLabels`, which is painted where it is sliced. Where cells
        overlap (boxes brought by the user) a pixel belongs to the cell with the nearest centre;
        the table keeps every cell whole.
    table
        Columns ``CELL_COLUMNS``: ``label`` int (ascending, unique), ``class`` str (the detector's
        rough kind, or ``""``), ``score`` float in 0 to 1, ``row``/``col`` float centroid, the
        half-open box as int, ``area`` int in pixels. More columns may follow.
    diameter
        Typical cell diameter of the image in pixels, as estimated or given.
    source
        Where the cells come from.
    detector
        Which detector found them: ``"learned"`` or ``"classical"``; ``""`` where none did, or it
        was not written down.
    context
        Of whole pictures: the picture's longer side divided by the extent of the cell in it, so
        that crops have the margin that those of detected cells have; ``None`` takes the picture
        as it is.
    first_vectors
        Vectors that the detector made of them in passing, right after a detection; ``None``
        otherwise: they are kept beside the encoder's, not with the cells.
    other_diameter
        Right after a detection: another typical diameter that fits nearly as well; ``None`` where
        there is no doubt.
    """

    labels: NDArray[np.int32] | LazyLabels
    table: pd.DataFrame
    diameter: float
    source: CellSource = "detector"
    detector: str = ""
    context: float | None = None
    first_vectors: Embeddings | None = None
    other_diameter: float | None = None

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """``(n,)`` cell ids, ascending."""
        return self.table["label"].to_numpy(dtype=np.int64)

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """``(n, 4)`` half-open boxes."""
        return self.table[BOX_COLUMNS].to_numpy(dtype=np.int64)

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """``(n, 2)`` centroids, (row, column)."""
        return self.table[["row", "col"]].to_numpy(dtype=np.float64)

    @cached_property
    def kinds(self) -> NDArray[np.str_] | None:
        """``(n,)`` the detector's rough kinds, ``""`` for none; ``None`` without a detector."""
        if self.source != "detector" or "class" not in self.table:
            return None
        return self.table["class"].fillna("").to_numpy(dtype=np.str_)

    @cached_property
    def position(self) -> dict[int, int]:
        """Map cell ids to rows of the table."""
        return {int(cell): row for row, cell in enumerate(self.ids)}

    def learned_from(self, modality: Modality = "colour") -> LearnedFrom:
        """What a model of these cells learns from, in an image of this modality."""
        if self.source == "whole":
            side = int((self.boxes[:, 2:] - self.boxes[:, :2]).max(initial=0)) or None
            return LearnedFrom("pictures", None, self.context, side, modality)
        return LearnedFrom("cells", self.diameter or None, modality=modality)

    def mask_of(self, cell: int) -> CellMask:
        """Return a cell's pixels on the label image; KeyError for an id that is not there."""
        if isinstance(self.labels, LazyLabels):
            return self.labels.mask_of(cell)
        low = np.maximum(self.boxes[self.position[int(cell)]], 0)
        top, left, bottom, right = np.minimum(low, np.tile(self.labels.shape, 2)).tolist()
        bits = self.labels[top:bottom, left:right] == cell
        return CellMask((top, left, bottom, right), bits)


@dataclass(frozen=True, eq=False)
class PartCells:
    """The cells for which one part of an image is responsible (:mod:`~.core.detect.parts`).

    Attributes
    ----------
    part
        The part's index in the plan.
    table
        ``CELL_COLUMNS`` without ``label``, a row a cell, in pixels of the whole image.
    masks
        The pixels of each cell, in the order of the table.
    vectors
        ``(n, dim)`` float16 by the detector's network, where it has one.
    """

    part: int
    table: pd.DataFrame
    masks: PackedMasks
    vectors: NDArray[np.float16] | None = None

    def __len__(self) -> int:
        return len(self.table)
