"""Kinds, scale and training data of the learned detector. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_hemacells.core.errors import EncoderError
from napari_hemacells.core.files.safe_files import check_readable
from napari_hemacells.core.types import PLATELET, RBC, WBC, EncoderInfo

if TYPE_CHECKING:
    from pathlib import Path

KINDS = (RBC, WBC, PLATELET)
CANONICAL_DIAMETER = 40.0  # pixels of a typical red cell after the image is brought to scale
STRIDE = 4  # pixels of that image to one cell of the output maps
TAPS = {1: 24, 2: 40, 4: 112}  # block → channels, at strides 4, 8, 16
FIRST_VECTORS = "detector"  # the name that these vectors have as embeddings
GRID = 7  # elements at which a cell is sampled for its vector, along an axis
CONTEXT = 1.25  # side of the square around a cell, in longer sides of its box
SIGMA = 0.5  # of the Gaussian around its centre, in halves of that square
FIRST_DIM = 2 * sum(TAPS.values())
BUNDLED_TRAINING_DATA = (
    "TXL-PBC's train list (fields of BCCD, Raabin and PBC), BCCD's official train list, "
    "Chula RBC-12 except the file numbers 40–59, 140–159 and 240–259, every third platelet "
    "picture of PBC; see weights/detector.md"
)


def first_vectors_info() -> EncoderInfo:
    """Return the identity of the vectors that a detector makes of the cells that it finds.

    It is the same for every detector: those of one detection are kept at a time.
    """
    readout = {"grid": GRID, "context": CONTEXT, "sigma": SIGMA}
    return EncoderInfo(FIRST_VECTORS, "0" * 64, FIRST_DIM, {"readout": readout})


def read_training_data(file: Path) -> str:
    """Return the training data named in the header of a weights file.

    Raises
    ------
    EncoderError
        The file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    check_readable(file)
    try:
        with safe_open(file, framework="numpy") as stored:
            header: dict[str, str] = stored.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise EncoderError(f"The detector {file} cannot be read: choose another file.") from error
    return header.get("seen", f"not stated in {file.name}")
