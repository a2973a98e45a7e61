"""Augmented views of the cells, after the frozen first stages of the network, kept on disk.

The first stages and the augmentation are more than half of a training step and do not depend on
what is learned: they are computed once, and every run (without a laboratory, without attributes)
draws from the same views.
"""

from __future__ import annotations

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
PART = 1600  # views of a file
LOOKS = 96  # numbers of ImageNet's vector that are kept, by principal components


class Views(NamedTuple):
    """Views of cells.

    Attributes
    ----------
    parts
        ``(PART, channels, rows, cols)`` float16 each, on disk.
    cells
        ``(n,)`` the cell of each view.
    """

    parts: list[NDArray[np.float16]]
    cells: NDArray[np.int64]

    def maps(self, rows: NDArray[np.int64]) -> Tensor:
        """Return ``(k, channels, rows, cols)`` of these views, float32."""
        chosen = [self.parts[row // PART][row % PART] for row in rows]
        return torch.from_numpy(np.stack(chosen)).float()


@torch.no_grad()
def kept_views(pupil: Pupil, cells: CellSet, folder: Path, *, size: int, count: int) -> Views:
    """Return `count` views, rounded up to whole files; those that the folder has are not made."""
    parts = -(-count // PART)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(shares(cells), parts * PART, replacement=True, generator=generator)
    chosen = drawn.numpy()
    was = pupil.training
    pupil.eval()
    found = []
    for part in range(parts):
        file = folder / f"views-{size}-{part:03d}.npy"
        if not file.exists():
            maps = _part(pupil, cells, chosen[part * PART : (part + 1) * PART], size, part)
            fresh = file.with_name(f"new-{file.name}")
            np.save(fresh, maps)
            fresh.replace(file)
            print(f"views {(part + 1) * PART}", flush=True)
        found.append(np.load(file, mmap_mode="r"))
    pupil.train(was)
    return Views(found, chosen)


def _part(
    pupil: Pupil, cells: CellSet, chosen: NDArray[np.int64], size: int, part: int
) -> NDArray[np.float16]:
    """Return the maps of the chosen cells, augmented."""
    maps = []
    for start in range(0, len(chosen), AT_ONCE):
        generator = torch.Generator().manual_seed(part * PART + start)
        images = _views(cells, chosen[start : start + AT_ONCE], size, generator)
        maps.append(pupil.first(images).half().numpy())
    return np.concatenate(maps)


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
    _, values, axes = torch.pca_lowrank(rows, min(LOOKS, len(rows)), niter=4)
    looks = nnf.normalize(rows @ axes / values.clamp_min(1e-3).sqrt())
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
