"""The files that the commands write for an image."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_hemacells.core.errors import StorageError
from napari_hemacells.core.types import CELL_COLUMNS, Cells


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """Return the CSV file that now holds the table.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    try:
        table.to_csv(path, index=False, float_format="%.6g")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def write_labels(labels: NDArray[np.int32], path: Path) -> Path:
    """Return the TIFF file that now holds the label image.

    uint16, which every viewer reads, where the ids fit in it; uint32 beyond.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    import tifffile

    fits = labels.max(initial=0) <= np.iinfo(np.uint16).max
    try:
        tifffile.imwrite(path, labels.astype(np.uint16 if fits else np.uint32), compression="zlib")
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def write_picture(pixels: NDArray[np.uint8], path: Path) -> Path:
    """Return the PNG file that now holds the picture.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    from PIL import Image

    try:
        Image.fromarray(pixels).save(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def cells_csv(cells: Cells) -> pd.DataFrame:
    """Return the cells' table with exactly the columns ``CELL_COLUMNS``."""
    return cells.table[list(CELL_COLUMNS)]


def count(values: pd.Series) -> dict[str, int]:
    """Return how often each value occurs, most frequent first."""
    return dict(Counter(values.astype(str)).most_common())


def in_words(counts: dict[str, int]) -> str:
    """Return the counts as ``RBC 120, WBC 3``; ``none`` where there are none."""
    return ", ".join(f"{name or 'without class'} {n}" for name, n in counts.items()) or "none"
