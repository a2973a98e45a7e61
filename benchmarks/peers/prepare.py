"""Cells with regionprops, our vectors and classes, and the clicks: one file for all competitors.

White cells of Raabin fields, boxes of the truth, as in ``detector_vectors.py``. Regions are the
ellipses in the boxes: every competitor sees the same cells.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from detector_vectors import txl_cells, vectors_of
from napari_hemacells.core.detect.sources import cells_from_boxes

PROPERTIES = (
    "area", "eccentricity", "solidity", "perimeter", "axis_major_length", "axis_minor_length",
    "intensity_mean", "intensity_max", "intensity_min", "intensity_std",
)  # fmt: skip
CLICKS = (2, 6, 30, 100)


def regionprops_of(cells: list) -> np.ndarray:
    """Return the table of scikit-image, as a user of the peers would measure it."""
    from skimage.measure import regionprops_table

    tables = []
    for file in sorted({cell.file for cell in cells}):
        pixels = np.asarray(Image.open(file).convert("RGB"))
        boxes = np.clip(
            [cell.box for cell in cells if cell.file == file], 0, np.tile(pixels.shape[:2], 2)
        )
        keep = ((boxes[:, 2:] - boxes[:, :2]) > 4).all(axis=1)
        found = cells_from_boxes(boxes[keep], pixels.shape[:2], diameter=85.0)
        table = regionprops_table(np.asarray(found.labels), pixels, properties=PROPERTIES)
        tables.append(pd.DataFrame(table))
    return pd.concat(tables).to_numpy(np.float32)


def main() -> None:
    """Write the file."""
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    cells = txl_cells(data, "raabin")
    quick, fine, names = vectors_of(cells, 85.0)
    properties = regionprops_of(cells)
    classes, targets = np.unique(names, return_inverse=True)
    draws = []
    for seed in range(10):  # half of the cells are clicked from, the others asked for
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(names))
        pool = order[: len(order) // 2]
        first = [pool[targets[pool] == kind][0] for kind in range(len(classes))]
        draws.append(np.array([*first, *np.setdiff1d(pool, first, assume_unique=True)]))
    length = min(map(len, draws))
    np.savez(
        out, detector=quick, encoder=fine, regionprops=np.nan_to_num(properties), targets=targets,
        classes=classes, draws=np.array([draw[:length] for draw in draws]),
    )  # fmt: skip


if __name__ == "__main__":
    main()
