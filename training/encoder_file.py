"""Write the trained encoder: half precision, with everything needed to use it in the header."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import timm
import torch
from safetensors.torch import load_file, save_file

from encoder_lesson import EMBEDDING, SIGMA
from encoder_views import plain_crops
from napari_hemacells.core.encode.blood_network import BloodFeatures, Readout
from napari_hemacells.core.encode.builtin import (
    ARCHITECTURE,
    fill_blood_network,
    read_encoder_info,
)

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from torch import Tensor

    from encoder_cells import CellSet
    from encoder_lesson import Pupil

NAME = "hemacells-blood-2"
STAGES = (2, 3, 4, 5, 6)
KEPT = (4, 5)  # of ImageNet's own, for classes unlike those that were taught
WEIGHT = 10.0  # of the embedding: its share of the spread against that of a stage
# What was learned at 128 px is read at 96 px in four turns: at 128 px in two, unknown cells, one
# shot and Chula's red cells are told worse (benchmarks/results/transfer.md).
READ_SIZE, TURNS = 96, 4
SAMPLE = 300  # cells that tell how much each stage varies
WORDS = {
    "pbc": "PBC (all pictures of the shared part, 13 sub-classes; 256 fields)",
    "chula": "Chula RBC-12 (without the files 40-59, 140-159, 240-259)",
    "bccd": "BCCD (official train list, without its development blocks)",
    "raabin": "Raabin-WBC (237 fields, the train list of TXL-PBC)",
    "chula white": "Chula WBC (354 cells)",
}


def write(pupil: Pupil, cells: CellSet, options: argparse.Namespace) -> Path:
    """Write ``encoder.safetensors`` into the output folder and return its path."""
    readout, dim = measure(pupil, cells, READ_SIZE)
    named = (
        "steps",
        "batch",
        "size",
        "rate",
        "contrast",
        "attributes",
        "looks",
        "seed",
        "statistics",
    )
    header = {
        "architecture": ARCHITECTURE,
        "name": NAME,
        "dim": str(dim),
        "readout": json.dumps(readout.to_dict()),
        "seen": seen(options.sources, options.without, options.start),
        "trained": json.dumps({name: getattr(options, name) for name in named}),
    }
    file: Path = options.out / "encoder.safetensors"
    save_file(_tensors(pupil), file, metadata=header)
    return file


def begin_with(pupil: Pupil, file: Path) -> None:
    """Give the pupil the weights of an encoder of :func:`write`; the heads stay as they are.

    Raises
    ------
    ValueError
        The file is of another network.
    """
    missing, unknown = pupil.load_state_dict(_stored(file), strict=False)
    heads = ("kind.", "group.", "fine.", "white.", "attribute.", "looks.")
    if unknown or not all(name.startswith(heads) for name in missing):
        raise ValueError(f"{file} does not fit: {unknown} {missing}")


@torch.no_grad()
def mix_with(pupil: Pupil, file: Path, share: float) -> None:
    """Mix the weights with those of an encoder of :func:`write` (Wortsman et al. 2022)."""
    own = pupil.state_dict()
    for name, value in _stored(file).items():
        if own[name].is_floating_point():
            own[name].lerp_(value.to(own[name]), share)


def _stored(file: Path) -> dict[str, Tensor]:
    """Return the taught weights of an encoder's file, named as in the pupil."""
    return {
        name if name.startswith(("norm.", "embed.")) else f"features.{name}": value.float()
        for name, value in load_file(file).items()
        if not name.startswith("untaught.")
    }


def seen(sources: list[str], without: list[str], start: Path | None = None) -> str:
    """Return a text that says what the encoder was trained on, the one at the start included."""
    before = read_encoder_info(start).seen if start is not None else "ImageNet-1k"
    gone = f", without PBC's {', '.join(without)}" if without else ""
    return f"{before}, then {'; '.join(WORDS[name] for name in sources)}{gone}"


@torch.inference_mode()
def measure(pupil: Pupil, cells: CellSet, size: int) -> tuple[Readout, int]:
    """Return the readout that scales every stage to the same spread, and the vector's length.

    Parameters
    ----------
    size
        Side of the crops in pixels.
    """
    ones = [(1.0, 1.0)]
    plain = Readout(
        STAGES, ones * len(STAGES), SIGMA, EMBEDDING, 1.0, KEPT, ones * len(KEPT), size, TURNS
    )
    make = partial(timm.create_model, ARCHITECTURE, pretrained=False)
    network = BloodFeatures(make, plain).eval()
    fill_blood_network(network, {name: value.float() for name, value in _tensors(pupil).items()})
    chosen = np.linspace(0, len(cells) - 1, min(SAMPLE, len(cells))).astype(int)
    rows = torch.cat([network(images) for images in plain_crops(cells, chosen, size)])
    widths = [network.blocks[stage][-1].conv_pwl.out_channels for stage in (*STAGES, *KEPT)]
    sizes = [EMBEDDING, *(width for width in widths for _ in range(2))]
    spreads = [float(part.var(0).mean().sqrt()) for part in rows.split(sizes, dim=1)]
    factors = [round(1 / spread, 4) for spread in spreads[1:]]
    pairs = list(zip(factors[::2], factors[1::2], strict=True))
    weight = round(WEIGHT / spreads[0], 4)
    taught, kept = pairs[: len(STAGES)], pairs[len(STAGES) :]
    return replace(plain, scales=taught, kept_scales=kept, weight=weight), rows.shape[1]


def _tensors(pupil: Pupil) -> dict[str, Tensor]:
    """Return the trained weights, named as in the encoder's network, without class heads.

    ImageNet's own later stages are not stored: their package has them.
    """
    parts = ("features.", "norm.", "embed.")
    return {
        name.removeprefix("features."): _halved(value)
        for name, value in pupil.state_dict().items()
        if name.startswith(parts)
    }


def _halved(value: Tensor) -> Tensor:
    return (value.half() if value.is_floating_point() else value).detach().cpu().contiguous()
