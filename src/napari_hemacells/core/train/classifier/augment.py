"""Other views of the same cells, a whole batch at once, each crop with chance of its own.

Flips, rotation and zoom are one resampling instead of three, so that nothing is blurred twice.
torchvision's transforms draw one set of numbers for a batch, which is why this is here; mixing
two pictures is torchvision's. Nothing warps: that would change what a cell is
(only a slight shear, where a recipe asks for it, changes a shape). Imports torch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as nnf

if TYPE_CHECKING:
    from torch import Tensor

    from napari_hemacells.core.train.classifier.config import ClassifierConfig

# haematoxylin, eosin and what is left, in optical density (Ruifrok & Johnston 2001)
STAINS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
DARKEST = 1.0 / 255


def augment(images: Tensor, recipe: ClassifierConfig) -> Tensor:
    """``(n, 3, size, size)`` in 0 to 1, each turned, mirrored, zoomed and recoloured at random."""
    images = _random_affine(images, recipe)
    recoloured = _recolour(images, recipe)
    if recipe.chance == 1 or recoloured is images:
        return recoloured
    return torch.where(_chosen(images, recipe).view(-1, 1, 1, 1), recoloured, images)


def _recolour(images: Tensor, recipe: ClassifierConfig) -> Tensor:
    """Return the pictures with another stain, brightness and contrast each."""
    if recipe.stain:
        images = _stain(images, recipe.stain)
    if recipe.brightness:
        factor = _around_one(len(images), recipe.brightness, images).view(-1, 1, 1, 1)
        images = (images * factor).clamp(0, 1)
    if recipe.contrast:
        factor = _around_one(len(images), recipe.contrast, images).view(-1, 1, 1, 1)
        mean = images.mean((1, 2, 3), keepdim=True)
        images = ((images - mean) * factor + mean).clamp(0, 1)
    return images


def _chosen(images: Tensor, recipe: ClassifierConfig) -> Tensor:
    """``(n,)`` which pictures are changed at all."""
    return torch.rand(len(images), device=images.device) < recipe.chance


class Mixer:
    """MixUp or CutMix of a batch (torchvision), or nothing; labels become shares of classes."""

    def __init__(self, recipe: ClassifierConfig, classes: int) -> None:
        from torchvision.transforms import v2

        kinds = {"mixup": v2.MixUp, "cutmix": v2.CutMix}
        kind = kinds.get(recipe.mix)
        self._mix = kind and kind(alpha=recipe.mix_alpha, num_classes=classes)

    def __call__(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return images and targets; targets stay class numbers where nothing is mixed."""
        if self._mix is None or len(images) < 2:
            return images, targets
        mixed: tuple[Tensor, Tensor] = self._mix(images, targets)
        return mixed


def _random_affine(images: Tensor, recipe: ClassifierConfig) -> Tensor:
    n = len(images)
    limit = math.radians(recipe.rotation)
    angle = _either_way(n, images) * limit
    span = recipe.zoom - recipe.zoom_out
    scale = 1 / (recipe.zoom_out + torch.rand(n, device=images.device) * span)
    flip = torch.ones(n, 2, device=images.device)
    if recipe.flips:
        flip = torch.randint(0, 2, (n, 2), device=images.device) * 2.0 - 1.0
    if recipe.upright:
        flip[:, 1] = 1.0
    warped = (recipe.rotation, span, recipe.shear, recipe.shift, 1 - recipe.crop_least)
    if not any(warped):
        return _mirror(images, flip)
    slant = _either_way(n, images) * recipe.shear if recipe.shear else torch.zeros_like(angle)
    # in units of half a side, as affine_grid counts
    moved = _either_way((n, 2), images) * 2 * recipe.shift if recipe.shift else flip * 0
    if recipe.chance < 1:
        kept = _chosen(images, recipe)
        angle, slant, moved = angle * kept, slant * kept, moved * kept[:, None]
        scale = torch.where(kept, scale, torch.ones_like(scale))
    if recipe.crop_least < 1:
        least = recipe.crop_least
        side = (least + torch.rand(n, device=images.device) * (1 - least)).sqrt()
        scale, moved = scale * side, moved + _either_way((n, 2), images) * (1 - side)[:, None]
    cos, sin = angle.cos() * scale, angle.sin() * scale
    across, down = flip[:, 0], flip[:, 1]
    rows = torch.stack([cos * across, (cos * slant - sin) * down, moved[:, 0]], dim=1)
    cols = torch.stack([sin * across, (sin * slant + cos) * down, moved[:, 1]], dim=1)
    grid = nnf.affine_grid(torch.stack([rows, cols], dim=1), list(images.shape), False)
    return nnf.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _mirror(images: Tensor, flip: Tensor) -> Tensor:
    """Mirror without resampling."""
    for axis in (0, 1):
        turned = flip[:, axis].view(-1, 1, 1, 1) < 0
        images = torch.where(turned, images.flip(3 - axis), images)
    return images


def _stain(images: Tensor, strength: float) -> Tensor:
    """More or less of each stain (Tellez et al. 2018): scaled in optical density."""
    stains = nnf.normalize(torch.tensor(STAINS, device=images.device), dim=1)
    density = -images.clamp_min(DARKEST).log()
    factors = _around_one(3 * len(images), strength, images).view(-1, 3)
    # colour → stains → scaled → colour, as one 3 × 3 matrix a picture
    matrix = torch.linalg.inv(stains) @ (factors[:, :, None] * stains)
    return (-torch.einsum("nchw,ncd->ndhw", density, matrix)).exp().clamp(0, 1)


def _either_way(shape: int | tuple[int, int], like: Tensor) -> Tensor:
    """Numbers from -1 to 1."""
    return torch.rand(shape, device=like.device) * 2 - 1


def _around_one(n: int, spread: float, like: Tensor) -> Tensor:
    """``(n,)`` numbers within `spread` of 1."""
    return 1 + (torch.rand(n, device=like.device) * 2 - 1) * spread
