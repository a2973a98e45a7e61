"""Augmented views of the cells, after the frozen first stages of the network, kept on disk.

The first stages and the augmentation are more than half of a training step and do not depend on
what is learned: they are computed once, and every run (without a laboratory, without attributes)
draws from the same views.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn import functional as nnf

from encoder_augment import augment
from encoder_lesson import SIGMA, shares
from napari_hemacells.core.crop import from_picture
from napari_hemacells.core.encode.builtin import STAGES, imagenet_backbone
from napari_hemacells.core.encode.network import StageFeatures
from napari_hemacells.core.types import CropSpec

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from encoder_cells import CellSet
    from encoder_lesson import Pupil

AT_ONCE = 64
LOOKS = 96  # numbers of ImageNet's vector that are kept, by principal components
TOLD_EVERY = 25


class Views(NamedTuple):
    """Views of cells.

    Attributes
    ----------
    maps
        ``(n, channels, rows, cols)`` float16, on disk.
    cells
        ``(n,)`` the cell of each.
    """

    maps: NDArray[np.float16]
    cells: NDArray[np.int64]


@torch.no_grad()
def kept_views(
    pupil: Pupil, cells: CellSet, folder: Path, *, size: int, count: int, seed: int = 0
) -> Views:
    """Return `count` views, made where the folder does not have them; a stopped run goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(shares(cells), count, replacement=True, generator=generator).numpy()
    shape = tuple(pupil.first(torch.zeros(1, 3, size, size)).shape[1:])
    file, progress = folder / f"views-{size}-{seed}.npy", folder / f"views-{size}-{seed}.json"
    ready = json.loads(progress.read_text()) if progress.exists() else {}
    if ready.get("count") != count or not file.exists():
        ready = {"count": count, "done": 0}
        np.lib.format.open_memmap(file, "w+", np.float16, (count, *shape))
    maps = np.lib.format.open_memmap(file, "r+")
    was = pupil.training
    pupil.eval()
    for start in range(ready["done"], count, AT_ONCE):
        chosen = drawn[start : start + AT_ONCE]
        generator = torch.Generator().manual_seed(seed * 1_000_003 + start)
        images = _views(cells, chosen, size, generator)
        maps[start : start + len(chosen)] = pupil.first(images).half().numpy()
        if start // AT_ONCE % TOLD_EVERY == 0 or start + AT_ONCE >= count:
            maps.flush()
            done = {"count": count, "done": start + len(chosen)}
            progress.write_text(json.dumps(done))
            print(f"views {done['done']}/{count}", flush=True)
    pupil.train(was)
    return Views(np.load(file, mmap_mode="r"), drawn)


def _views(
    cells: CellSet, chosen: NDArray[np.int64], size: int, generator: torch.Generator
) -> Tensor:
    """Return normalised augmented images of the chosen cells."""
    columns = (cells.pictures, cells.reach, cells.usual)
    pictures, reach, usual = (torch.from_numpy(column[chosen]) for column in columns)
    crops = augment(pictures, reach, usual, size, generator)
    return ((crops - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def kept_looks(cells: CellSet, file: Path) -> Tensor:
    """Return ``(n, LOOKS)`` unit vectors of the plain cells by ImageNet's network.

    Mean and deviation of the stages, whitened within each laboratory, so that its look is no part
    of them. They are what the pupil has to guess of an augmented view: differences that no class
    names, such as the grain of the chromatin, are kept, and the stain is not.
    """
    if file.exists():
        return torch.from_numpy(np.load(file))
    network = StageFeatures(imagenet_backbone(), STAGES, SIGMA).eval()
    rows = torch.cat([network(images) for images in plain_crops(cells, np.arange(len(cells)))])
    source = torch.from_numpy(cells.source)
    for number in source.unique():
        own = source == number
        rows[own] = (rows[own] - rows[own].mean(0)) / (rows[own].std(0) + 1e-3)
    _, values, axes = torch.pca_lowrank(rows, LOOKS, niter=4)
    looks = nnf.normalize(rows @ axes / values.sqrt())
    np.save(file, looks.numpy())
    return looks


def plain_crops(cells: CellSet, chosen: NDArray[np.int64], size: int = 96) -> list[Tensor]:
    """Return normalised crops of cells, framed as a detector does, fifty at a time."""
    spec, batches = CropSpec(size=size), []
    for part in np.array_split(chosen, max(1, len(chosen) // 50)):
        crops = [
            from_picture(
                cells.pictures[place], spec, framing=min(1.0, spec.context / cells.reach[place])
            )
            for place in part
        ]
        images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
        batches.append((images.float() - 127.5) / 127.5)
    return batches
