"""Data structures that the steps exchange: frozen dataclasses with documented arrays.

Everywhere: axes are (row, column); boxes are half-open ``(min_row, min_col, max_row, max_col)`` in
pixels; a cell's id is its value in the label image, 1 or more; 0 is glass.
"""

from napari_hemacells.core.types.cells import (
    BOX_COLUMNS,
    CELL_COLUMNS,
    PLATELET,
    RBC,
    WBC,
    CellRef,
    Cells,
    CellSource,
    PartCells,
)
from napari_hemacells.core.types.embeddings import (
    CropSpec,
    Embeddings,
    EncoderInfo,
    TemperatureScaling,
)
from napari_hemacells.core.types.image import (
    BitDepth,
    CropSource,
    Groups,
    Modality,
    Pixels,
    SmearImage,
)
from napari_hemacells.core.types.learned_from import (
    LearnedFrom,
)
from napari_hemacells.core.types.prediction import (
    NOT_A_CELL,
    NOT_A_CELL_ID,
    UNKNOWN,
    Prediction,
)
from napari_hemacells.core.types.progress import (
    Progress,
)

__all__ = [
    "BOX_COLUMNS",
    "CELL_COLUMNS",
    "NOT_A_CELL",
    "NOT_A_CELL_ID",
    "PLATELET",
    "RBC",
    "UNKNOWN",
    "WBC",
    "BitDepth",
    "CellRef",
    "CellSource",
    "Cells",
    "CropSource",
    "CropSpec",
    "Embeddings",
    "EncoderInfo",
    "Groups",
    "LearnedFrom",
    "Modality",
    "PartCells",
    "Pixels",
    "Prediction",
    "Progress",
    "SmearImage",
    "TemperatureScaling",
]
