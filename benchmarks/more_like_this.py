"""How fast *More like this* answers: ``python benchmarks/more_like_this.py [--cells 50000]``.

A project is made in a temporary folder: images with random vectors in its cache of embeddings, as
long as those of the bundled encoder. Asked is what the dock asks: all cells of all images in the
order of their likeness to a cell. The first question reads the cache and
makes the index; every other one uses it. Uses as many threads as ``OMP_NUM_THREADS`` says.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from napari_hemacells.core.encode import EmbeddingCache
from napari_hemacells.core.image import image_from_array
from napari_hemacells.core.store import Project
from napari_hemacells.core.types import CELL_COLUMNS, Cells, CropSpec, Embeddings, EncoderInfo
from napari_hemacells.core.types.progress import run_to_end
from napari_hemacells.session.likeness import IndexRequest, index_steps, order_cells

SIDE = 8  # pixels of a made-up cell


def make_image(
    project: Project, count: int, info: EncoderInfo, random: np.random.Generator
) -> Embeddings:
    """Add an image of so many cells to the project, its vectors to the cache."""
    across = int(np.ceil(count**0.5))
    pixels = random.integers(0, 255, (across * SIDE, across * SIDE, 3), dtype=np.uint8)
    image = image_from_array(pixels, f"field {len(project.images) + 1}")
    project.add_image(image)
    rows, cols = np.divmod(np.arange(count), across) * np.array([[SIDE], [SIDE]])
    labels = np.zeros(image.shape, np.int32)
    for cell, (row, col) in enumerate(zip(rows.tolist(), cols.tolist(), strict=True), start=1):
        labels[row : row + SIDE - 2, col : col + SIDE - 2] = cell
    half, side = (SIDE - 2) / 2, SIDE - 2
    table = pd.DataFrame(
        {
            "label": np.arange(1, count + 1), "class": "RBC", "score": 0.9,
            "row": rows + half, "col": cols + half, "min_row": rows, "min_col": cols,
            "max_row": rows + side, "max_col": cols + side, "area": side**2,
        }
    )  # fmt: skip
    cells = Cells(labels, table[list(CELL_COLUMNS)], diameter=6.0)
    project.save_cells(image.key, cells)
    kinds = random.normal(0, 2, (8, info.dim))
    vectors = kinds[random.integers(0, 8, count)] + random.normal(0, 1, (count, info.dim))
    vectors = vectors.astype(np.float32)
    spec = CropSpec()
    EmbeddingCache(project.embeddings_folder).save(image.key, info, spec, cells.boxes, vectors)
    return Embeddings(cells.ids, vectors, info, spec, image.key)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=50_000)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--dim", type=int, default=2224, help="numbers of a vector")
    parser.add_argument("--repeats", type=int, default=50)
    chosen = parser.parse_args()
    random = np.random.default_rng(0)
    info = EncoderInfo("made up", "0" * 64, chosen.dim)
    with tempfile.TemporaryDirectory() as folder:
        project = Project.create(Path(folder) / "project")
        count = chosen.cells // chosen.images
        for _ in range(chosen.images):
            here = make_image(project, count, info, random)
        start = time.perf_counter()
        known = run_to_end(index_steps(IndexRequest(here, project)))
        first = order_cells(known, known.cells.refs(np.array([0])))
        waited = time.perf_counter() - start
        times, busy = [], []
        for row in random.integers(0, len(known.cells), chosen.repeats):
            picked = known.cells.refs(np.array([row]))
            start, worked = time.perf_counter(), time.process_time()
            found = order_cells(known, picked)
            times.append(1000 * (time.perf_counter() - start))
            busy.append(1000 * (time.process_time() - worked))
    low, middle, high = np.quantile(times, (0.05, 0.5, 0.95))
    load = os.getloadavg()[0]
    total, images = len(first.order), len(first.cells.images)
    print(f"{total:,} cells of {images} images, {chosen.dim} numbers each,")
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    print(f"{threads} threads, {os.cpu_count()} cores, on which {load:.1f} programs were running.")
    print(f"First question, with reading the cache and making the index: {waited:.2f} s.")
    print(f"Each other one, of {len(times)}: median {middle:.1f} ms, 95 % {high:.1f} ms,")
    print(f"fastest twentieth {low:.1f} ms; processor time, median {np.median(busy):.1f} ms.")
    print(f"The most alike: {found.refs(0, 3)}")


if __name__ == "__main__":
    main()
