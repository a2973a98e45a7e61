"""Speed of embedding a Labels layer end to end, against the bare network, in one run.

Run ``python benchmarks/embedding_throughput.py``. Batch, size, precision and threads are the same,
and the measurements alternate, so that a busy computer slows both. The bare networks get tensors
that are already normalised and in the network's memory layout. They are timm's own network, which
sees each crop once, and the encoder's, which sees it in several rotations: as defined, and with
folded batch norms, as it is used.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import pandas as pd
import timm
import torch

from napari_hemacells.core.encode import embed
from napari_hemacells.core.encode import load_encoder as make_encoder
from napari_hemacells.core.encode.builtin import ARCHITECTURE
from napari_hemacells.core.encode.network import fuse_batch_norm
from napari_hemacells.core.image import image_from_array
from napari_hemacells.core.malloc import keep_freed_memory
from napari_hemacells.core.types import BOX_COLUMNS, Cells, CropSpec

END_TO_END = "from a Labels layer, end to end"


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


def forward(network: torch.nn.Module, batch: torch.Tensor, times: int) -> None:
    """Run a network on the same batch several times."""
    with torch.inference_mode():
        for _ in range(times):
            network(batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--encoder", default="bundled", help="such as bundled-2-turns")
    parser.add_argument(
        "--keep-freed", action="store_true", help="keep freed memory, as the commands do"
    )
    chosen = parser.parse_args()
    if chosen.keep_freed:
        keep_freed_memory()
    spec, encoder = CropSpec(), make_encoder(chosen.encoder, "cpu")
    pixels, cells = make_field(chosen.cells)
    image = image_from_array(pixels, "field")
    batch = torch.randn(chosen.batch, 3, spec.size, spec.size)
    batch = batch.contiguous(memory_format=torch.channels_last)
    whole = timm.create_model(ARCHITECTURE, pretrained=False).eval()
    networks = {
        "timm's network": whole.to(memory_format=torch.channels_last),
        "the encoder's network": encoder.network,
        "the same, batch norms folded": fuse_batch_norm(encoder.network, batch[:1]),
    }
    batches = chosen.cells // chosen.batch
    rates: dict[str, list[float]] = {name: [] for name in [*networks, END_TO_END]}
    for turn in range(chosen.repeats + 1):
        for name, found in rates.items():
            start = time.perf_counter()
            if name in networks:
                forward(networks[name], batch, batches)
            else:
                embed(image, cells, spec, encoder, batch_size=chosen.batch)
            if turn:  # the first turn warms up
                found.append(batches * chosen.batch / (time.perf_counter() - start))
    print("| what | crops/s (median) | end to end, relative to it |")
    print("|---|---|---|")
    for name, found in rates.items():
        pairs = zip(rates[END_TO_END], found, strict=True)
        ratio = statistics.median(one / two for one, two in pairs)
        print(f"| {name} | {statistics.median(found):.0f} | {ratio:.2f} |")
    print(
        f"\n{encoder.info.name}, {spec.size} px, batch {chosen.batch}, float32, "
        f"CPU with {torch.get_num_threads()} threads, {chosen.repeats} repeats of "
        f"{chosen.cells} cells."
    )


if __name__ == "__main__":
    main()
