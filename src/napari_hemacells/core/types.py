"""What the steps hand to one another: frozen dataclasses with a written array contract.

Everywhere: axes are (row, column); boxes are half-open ``(min_row, min_col, max_row, max_col)`` in
pixels; a cell's id is its value in the label image, 1 or more; 0 is glass.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_hemacells.core.cell_mask import CellMask, PackedMasks
from napari_hemacells.core.label_image import LazyLabels

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

Modality: TypeAlias = Literal["colour", "temperature"]
Degrees: TypeAlias = Literal["fixed", "range", "torso"]
CellSource: TypeAlias = Literal["detector", "labels", "points", "shapes", "whole"]
Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]

CELL_COLUMNS = (
    "label", "class", "score", "row", "col", "min_row", "min_col", "max_row", "max_col", "area",
)  # fmt: skip
BOX_COLUMNS = ["min_row", "min_col", "max_row", "max_col"]
RBC, WBC, PLATELET = "RBC", "WBC", "Platelets"
UNKNOWN = "(unknown)"
"""In place of a class: a cell too far from everything annotated to be called any of them."""


@dataclass(frozen=True)
class Groups:
    """Where an image comes from: what a split must never cut through.

    Every field is optional; ``None`` means unknown, which a report has to say.
    """

    patient: str | None = None
    slide: str | None = None
    laboratory: str | None = None


@dataclass(frozen=True, eq=False)
class SmearImage:
    """One picture, converted to what the steps work on.

    Attributes
    ----------
    pixels
        ``(rows, cols, 3)`` uint8 for ``modality="colour"`` (sRGB, 0 to 255), ``(rows, cols)``
        float32 for ``modality="temperature"`` (°C). May be lazy (anything with ``shape``,
        ``dtype`` and slicing) where an image does not fit in memory.
    key
        Hash of the pixel content: 16 hexadecimal digits, the image's identity everywhere.
    name
        What the user knows it by: the file's stem or the layer's name.
    path
        The file it was read from; ``None`` for a layer without a file.
    pixel_size_um
        Micrometres a pixel, ``None`` where unknown.
    overview
        The whole image at a lower resolution, where one can be had cheaply (a pyramid's low
        level); as `pixels`, may be lazy.
    """

    pixels: Pixels
    key: str
    name: str
    modality: Modality = "colour"
    path: Path | None = None
    pixel_size_um: float | None = None
    groups: Groups = field(default_factory=Groups)
    overview: Pixels | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.pixels.shape[0]), int(self.pixels.shape[1])

    @property
    def is_lazy(self) -> bool:
        """Whether the pixels are read when they are sliced, and not in memory."""
        return not isinstance(self.pixels, np.ndarray)


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one image: a label image and a table with a row a cell.

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
    """

    labels: NDArray[np.int32] | LazyLabels
    table: pd.DataFrame
    diameter: float
    source: CellSource = "detector"
    detector: str = ""

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
    def position(self) -> dict[int, int]:
        """From a cell's id to its place in the table."""
        return {int(cell): place for place, cell in enumerate(self.ids)}

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
    """The cells that one part of an image answers for (:mod:`~.core.detect.parts`).

    Attributes
    ----------
    part
        The part's index in the plan.
    table
        ``CELL_COLUMNS`` without ``label``, a row a cell, in pixels of the whole image.
    masks
        The pixels of each cell, in the order of the table.
    """

    part: int
    table: pd.DataFrame
    masks: PackedMasks

    def __len__(self) -> int:
        return len(self.table)


@dataclass(frozen=True)
class CropSpec:
    """How a cell becomes a square picture for the encoder; part of a model's identity.

    Attributes
    ----------
    size
        Side of the crop in pixels after resampling.
    context
        Side of the square cut from the image, divided by the longer side of the cell's box.
    degrees
        Of a thermogram: which degrees become black and white
        (:func:`~napari_hemacells.core.thermogram.normalise.scaled`).
    palette
        Of a thermogram: ``grey``, or the name of a colormap.
    """

    size: int = 128
    context: float = 1.25
    degrees: Degrees = "fixed"
    palette: str = "grey"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON; what concerns thermograms only where it is not the usual."""
        told: dict[str, Any] = {"size": self.size, "context": self.context}
        if self.degrees != "fixed" or self.palette != "grey":
            told |= {"degrees": self.degrees, "palette": self.palette}
        return told

    def with_context(self, context: float) -> CropSpec:
        """The same crops with another margin."""
        return replace(self, context=context)


@dataclass(frozen=True)
class EncoderInfo:
    """What makes two encoders the same: the name, the weights' hash, the preprocessing."""

    name: str
    sha256: str
    dim: int
    preprocessing: dict[str, Any] = field(default_factory=dict)
    seen: str = ""  # what the weights were trained on, in words: no figure may hide it


@dataclass(frozen=True, eq=False)
class Embeddings:
    """One vector a cell.

    Attributes
    ----------
    ids
        ``(n,)`` int64 cell ids.
    vectors
        ``(n, dim)`` float32, as the encoder gave them (not standardised).
    """

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]
    encoder: EncoderInfo
    spec: CropSpec
    image_key: str

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Class probabilities of cells.

    Attributes
    ----------
    ids
        ``(n,)`` int64 cell ids.
    class_ids
        The ``k`` classes, in the order of the columns.
    probabilities
        ``(n, k)`` float32, rows sum to 1.
    head
        Which head gave them, in words for the report.
    unknown
        ``(n,)`` float32 how far each cell is from everything annotated, higher is farther;
        ``None`` where the head cannot tell.
    is_unknown
        ``(n,)`` whether that is too far for any class; ``None`` where the head cannot tell.
    nearest
        Whether the user wants such cells in their nearest class all the same.
    restandardised
        Whether the image's embeddings were moved onto those that the head was fitted beside.
    """

    ids: NDArray[np.int64]
    class_ids: tuple[str, ...]
    probabilities: NDArray[np.float32]
    head: str = ""
    unknown: NDArray[np.float32] | None = None
    is_unknown: NDArray[np.bool_] | None = None
    nearest: bool = False
    restandardised: bool = False

    @cached_property
    def verdict(self) -> NDArray[np.bool_]:
        """``(n,)`` which cells are called unknown and shown in no class."""
        if self.is_unknown is None or self.nearest:
            return np.zeros(len(self.ids), dtype=np.bool_)
        return self.is_unknown

    def of(self, rows: NDArray[np.bool_]) -> Prediction:
        """The same of some cells only, ``(n,)`` True for those."""
        return replace(
            self,
            ids=self.ids[rows],
            probabilities=self.probabilities[rows],
            unknown=None if self.unknown is None else self.unknown[rows],
            is_unknown=None if self.is_unknown is None else self.is_unknown[rows],
        )

    @cached_property
    def winner(self) -> NDArray[np.int64]:
        """``(n,)`` column of the most probable class."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """``(n,)`` probability of the most probable class."""
        return np.asarray(self.probabilities.max(axis=1), dtype=np.float32)


class CellRef(NamedTuple):
    """A cell of an image: what an annotation hangs on."""

    image_key: str
    cell: int


@dataclass(frozen=True)
class Progress:
    """What a long step tells while it runs.

    Attributes
    ----------
    found
        The cells that are new since the last report, while cells are looked for.
    """

    done: int
    total: int
    message: str = ""
    found: PartCells | None = None
