"""Embedding a Labels layer end to end against the bare network, in one run.

``python benchmarks/embedding_throughput.py``: same batch, size, precision and threads; the two
are measured in turns, so that a busy computer slows both. The bare network is given crops that
are already normalised tensors in the network's layout.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import pandas as pd
import torch

from napari_hemacells.core.encode import bundled_encoder, embed
from napari_hemacells.core.image import from_array
from napari_hemacells.core.types import BOX_COLUMNS, Cells, CropSpec


def make_field(count: int) -> tuple[np.ndarray, Cells]:
    """Return a noisy field and cells of 60 to 100 pixels on it."""
    random = np.random.default_rng(0)
    pixels = random.integers(120, 255, (2048, 2048, 3), dtype=np.uint8)
    corners = random.integers(0, 1950, (count, 2))
    table = pd.DataFrame(
        np.hstack([corners, corners + random.integers(60, 101, (count, 2))]), columns=BOX_COLUMNS
    ).clip(upper=2048)
    table.insert(0, "label", np.arange(1, count + 1))
    return pixels, Cells(np.zeros(pixels.shape[:2], np.int32), table, 80.0, "labels")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    spec, encoder = CropSpec(), bundled_encoder("cpu")
    pixels, cells = make_field(chosen.cells)
    image = from_array(pixels, "field")
    network = encoder._network  # noqa: SLF001 (the bare network is what is measured)
    batch = torch.randn(chosen.batch, 3, spec.size, spec.size)
    batch = batch.contiguous(memory_format=torch.channels_last)
    bare, whole = [], []
    for turn in range(chosen.repeats + 1):
        start = time.perf_counter()
        with torch.inference_mode():
            for _ in range(chosen.cells // chosen.batch):
                network(batch)
        between = time.perf_counter()
        embed(image, cells, spec, encoder, batch_size=chosen.batch)
        if turn:  # the first turn warms up
            done = chosen.cells // chosen.batch * chosen.batch
            bare.append(done / (between - start))
            whole.append(chosen.cells / (time.perf_counter() - between))
    ratio = statistics.median(b / a for a, b in zip(bare, whole, strict=True))
    print("| what | crops/s (median) |")
    print("|---|---|")
    print(f"| bare network | {statistics.median(bare):.0f} |")
    print(f"| from a Labels layer, end to end | {statistics.median(whole):.0f} |")
    print(f"| ratio | {ratio:.2f} |")
    print(
        f"\n{encoder.info.name}, {spec.size} px, batch {chosen.batch}, float32, CPU with "
        f"{torch.get_num_threads()} threads, {chosen.repeats} turns of {chosen.cells} cells."
    )


if __name__ == "__main__":
    main()
