"""The trained encoder as a file: half precision, and what is needed to use it in the header."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save_file

from encoder_lesson import EMBEDDING, SIGMA
from napari_hemacells.core.crop import from_picture
from napari_hemacells.core.encode.blood import Readout
from napari_hemacells.core.encode.imagenet import ARCHITECTURE
from napari_hemacells.core.types import CropSpec

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from torch import Tensor

    from encoder_cells import CellSet
    from encoder_lesson import Pupil

NAME = "hemacells-blood-1"
STAGES = (2, 3, 4, 5, 6)
WEIGHT = 5.0  # of the embedding: its share of the spread against that of a stage
SAMPLE = 300  # cells that tell how much each stage varies
WORDS = {
    "pbc": "PBC (every picture of the shared part, 13 sub-classes)",
    "chula": "Chula RBC-12 (without the files 40-59, 140-159, 240-259)",
    "bccd": "BCCD (official train list, without its development blocks)",
}


def write(pupil: Pupil, cells: CellSet, options: argparse.Namespace) -> Path:
    """Write ``encoder.safetensors`` into the output folder and return its path."""
    readout, dim = measure(pupil, cells)
    named = ("steps", "batch", "size", "rate", "contrast", "seed", "statistics")
    header = {
        "architecture": ARCHITECTURE,
        "name": NAME,
        "dim": str(dim),
        "readout": json.dumps(readout.to_dict()),
        "seen": seen(options.sources, options.without),
        "trained": json.dumps({name: getattr(options, name) for name in named}),
    }
    file: Path = options.out / "encoder.safetensors"
    save_file(_tensors(pupil), file, metadata=header)
    return file


def seen(sources: list[str], without: list[str]) -> str:
    """Return in words what the encoder was trained on."""
    gone = f", without PBC's {', '.join(without)}" if without else ""
    return f"ImageNet-1k, then {'; '.join(WORDS[name] for name in sources)}{gone}"


@torch.inference_mode()
def measure(pupil: Pupil, cells: CellSet) -> tuple[Readout, int]:
    """Return the readout that gives every stage the same spread, and the vector's length."""
    pupil.eval()
    rows: dict[int, list[tuple[Tensor, Tensor]]] = {stage: [] for stage in STAGES}
    embeddings = []
    for images in _plain_crops(pupil, cells):
        maps = pupil.features.stem(images)
        for place, block in enumerate(pupil.features.blocks):
            maps = block(maps)
            if place in rows:
                rows[place].append(pupil.features.pool(maps))
        embeddings.append(pupil(images).embedding)
    spreads = {
        stage: [_spread(list(part)) for part in zip(*pooled, strict=True)]
        for stage, pooled in rows.items()
    }
    scales = [[round(1 / spread, 4) for spread in spreads[stage]] for stage in STAGES]
    weight = round(WEIGHT / _spread(embeddings), 4)
    dim = EMBEDDING + sum(2 * pooled[0][0].shape[1] for pooled in rows.values())
    return Readout(STAGES, scales, SIGMA, EMBEDDING, weight), dim


def _plain_crops(pupil: Pupil, cells: CellSet) -> list[Tensor]:
    """Return normalised crops of some cells, framed as a detector does."""
    spec, batches = CropSpec(), []
    chosen = np.linspace(0, len(cells) - 1, min(SAMPLE, len(cells))).astype(int)
    device = next(pupil.parameters()).device
    for part in np.array_split(chosen, max(1, len(chosen) // 50)):
        crops = [
            from_picture(
                cells.pictures[place], spec, framing=min(1.0, spec.context / cells.reach[place])
            )
            for place in part
        ]
        images = torch.from_numpy(np.stack(crops)).to(device).permute(0, 3, 1, 2)
        batches.append((images.float() - 127.5) / 127.5)
    return batches


def _spread(rows: list[Tensor]) -> float:
    """Return the root of the mean variance of ``(n, numbers)``, given in batches."""
    return float(torch.cat(rows).var(0).mean().sqrt())


def _tensors(pupil: Pupil) -> dict[str, Tensor]:
    """Return what the encoder needs, named as in its network; the class heads stay behind."""
    parts = ("features.", "norm.", "embed.")
    return {
        name.removeprefix("features."): _halved(value)
        for name, value in pupil.state_dict().items()
        if name.startswith(parts)
    }


def _halved(value: Tensor) -> Tensor:
    return (value.half() if value.is_floating_point() else value).detach().cpu().contiguous()
