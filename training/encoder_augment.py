"""Augmentation of framing, stain and microscope, on whole batches and any device.

Every function takes and returns ``(n, 3, rows, cols)`` float brightness in 0 to 1 and draws from
the given generator, so that a batch is the same in every run with the same seed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as nnf

if TYPE_CHECKING:
    from torch import Generator, Tensor

TIGHTEST, WIDEST = 1.0, 2.5  # side of a crop in extents of the cell
FOLDER_SHARE = 0.4  # of crops framed by the set's usual cell and not by their own
BLUR_TAPS = 6


class Draw:
    """Random numbers for a batch of `count` images, one row per image."""

    def __init__(self, count: int, generator: Generator, device: torch.device) -> None:
        self.count, self._generator, self.device = count, generator, device

    def uniform(self, low: float, high: float, columns: int = 1) -> Tensor:
        """``(count, columns)`` uniform between two numbers."""
        drawn = torch.rand(self.count, columns, generator=self._generator).to(self.device)
        return low + (high - low) * drawn

    def normal(self, deviation: float, columns: int = 1) -> Tensor:
        """``(count, columns)`` normal around 0."""
        return deviation * torch.randn(self.count, columns, generator=self._generator).to(
            self.device
        )

    def chance(self, share: float) -> Tensor:
        """``(count, 1, 1, 1)`` bool, true with this probability."""
        return (self.uniform(0, 1) < share)[:, :, None, None]

    def noise(self, like: Tensor) -> Tensor:
        """Return normal numbers of that shape."""
        return torch.randn(like.shape, generator=self._generator).to(self.device)

    def others(self) -> Tensor:
        """``(count,)`` a permutation of the batch."""
        return torch.randperm(self.count, generator=self._generator).to(self.device)


def augment(
    pictures: Tensor, reach: Tensor, usual: Tensor, size: int, generator: Generator
) -> Tensor:
    """Return ``(n, 3, size, size)`` crops of ``(n, side, side, 3)`` uint8 images."""
    draw = Draw(len(pictures), generator, pictures.device)
    light = pictures.permute(0, 3, 1, 2).float() / 255
    light = reframe(light, reach, usual, size, draw)
    light = torch.where(draw.chance(0.3), like_another(light, draw), light)
    light = torch.where(draw.chance(0.85), another_stain(light, draw), light)
    light = torch.where(draw.chance(0.85), another_lamp(light, draw), light)
    light = torch.where(draw.chance(0.3), dim_corner(light, draw), light)
    light = another_camera(light.clamp(0, 1), draw)
    return hidden_part(light.clamp(0, 1), draw)


def reframe(light: Tensor, reach: Tensor, usual: Tensor, size: int, draw: Draw) -> Tensor:
    """Return crops around the centre: rotated, mirrored, stretched, shifted and scaled.

    Most are framed by the extent of the cell, as a detector does; the others by the usual extent
    of the dataset, as in a folder whose images all have one size.
    """
    extent = torch.where(draw.uniform(0, 1)[:, 0] < FOLDER_SHARE, usual, reach)
    context = torch.exp(draw.uniform(math.log(TIGHTEST), math.log(WIDEST)))[:, 0]
    part = (context / extent).clamp(0.2, 1.15)
    angle, stretch = draw.uniform(0, 2 * math.pi)[:, 0], torch.exp(draw.normal(0.09))[:, 0]
    mirror = torch.sign(draw.uniform(-1, 1))[:, 0]
    turn = torch.stack(
        [torch.cos(angle), -torch.sin(angle), torch.sin(angle), torch.cos(angle)], dim=1
    ).view(-1, 2, 2)
    scales = torch.stack([part * stretch * mirror, part / stretch], dim=1)
    shift = draw.normal(0.07, 2) * part[:, None]
    theta = torch.cat([turn * scales[:, None], shift[:, :, None]], dim=2)
    grid = nnf.affine_grid(theta, [len(light), 3, size, size], align_corners=False)
    return nnf.grid_sample(light, grid, padding_mode="reflection", align_corners=False)


def like_another(light: Tensor, draw: Draw) -> Tensor:
    """Return the images with part of the colour statistics of another image of the batch.

    Mean and deviation of the optical density (Reinhard et al. 2001, in another colour space).
    """
    density = _density(light)
    mean = density.mean((2, 3), keepdim=True)
    deviation = density.std((2, 3), keepdim=True) + 1e-3
    share = draw.uniform(0.3, 1.0)[:, :, None, None]
    other = draw.others()
    new_mean = mean.lerp(mean[other], share)
    new_deviation = deviation.lerp(deviation[other], share)
    return _brightness((density - mean) / deviation * new_deviation + new_mean)


def another_stain(light: Tensor, draw: Draw) -> Tensor:
    """Return the images with each dye at another strength and tint."""
    mixing = torch.eye(3, device=light.device) + draw.normal(0.12, 9).view(-1, 3, 3)
    strength = torch.exp(draw.normal(0.3) + draw.normal(0.25, 3))
    density = torch.einsum("nij,njrc->nirc", mixing, _density(light))
    return _brightness(density * strength[:, :, None, None])


def another_lamp(light: Tensor, draw: Draw) -> Tensor:
    """Return the images under another lamp: gamma, brightness, tint, colour depth, hue."""
    light = light.clamp(1e-3, 1) ** torch.exp(draw.normal(0.3))[:, :, None, None]
    light = light * torch.exp(draw.normal(0.12) - 0.05 + draw.normal(0.17, 3))[:, :, None, None]
    grey = light.mean(1, keepdim=True)
    depth = draw.uniform(0.3, 1.6) * (draw.uniform(0, 1) > 0.05)  # some are grey altogether
    light = grey + (light - grey) * depth[:, :, None, None]
    light = torch.einsum("nij,njrc->nirc", _hue_turns(draw.normal(0.25)[:, 0]), light)
    centre = light.mean((1, 2, 3), keepdim=True)
    return centre + (light - centre) * draw.uniform(0.6, 1.35)[:, :, None, None]


def dim_corner(light: Tensor, draw: Draw) -> Tensor:
    """Return the images as in a dim, vignetted field: darker, flatter, darker to one side."""
    side = light.shape[-1]
    places = (torch.arange(side, device=light.device) + 0.5) / side - 0.5
    angle, fall = draw.uniform(0, 2 * math.pi), draw.uniform(0, 0.6)
    rows, cols = torch.sin(angle) * places, torch.cos(angle) * places
    shade = 1 - fall[:, :, None] * (0.5 + rows[:, :, None] + cols[:, None, :]).clamp(0, 1)
    light = light * shade[:, None] * draw.uniform(0.4, 1.0)[:, :, None, None]
    centre = light.mean((2, 3), keepdim=True)
    return centre + (light - centre) * draw.uniform(0.5, 1.0)[:, :, None, None]


def another_camera(light: Tensor, draw: Draw) -> Tensor:
    """Return the images after coarser pixels, blur or sharpening, and noise."""
    coarse = draw.uniform(0, 1)[:, 0] < 0.4
    sides = draw.uniform(0.2, 0.8)[:, 0]
    light = light.clone()
    for place in torch.nonzero(coarse)[:, 0].tolist():
        light[place] = _coarser(light[place], float(sides[place]))
    blurred = _blur(light, torch.exp(draw.uniform(math.log(0.5), math.log(2.5))))
    light = torch.where(draw.chance(0.5), blurred, light)
    sharper = light + draw.uniform(0.3, 1.2)[:, :, None, None] * (light - blurred)
    light = torch.where(draw.chance(0.15), sharper, light)
    noise = draw.uniform(0.005, 0.03)[:, :, None, None] * draw.noise(light)
    return torch.where(draw.chance(0.4), light + noise, light)


def hidden_part(light: Tensor, draw: Draw) -> Tensor:
    """Return the images, one in five with a grey square that hides a part."""
    side = light.shape[-1]
    places = (torch.arange(side, device=light.device) + 0.5) / side
    middle, half = draw.uniform(0, 1, 2), draw.uniform(0.06, 0.18)
    rows = (places[None] - middle[:, :1]).abs() < half
    cols = (places[None] - middle[:, 1:]).abs() < half
    hidden = (rows[:, None, :, None] & cols[:, None, None, :]) & draw.chance(0.2)
    return torch.where(hidden, light.mean((2, 3), keepdim=True), light)


def _density(light: Tensor) -> Tensor:
    return -torch.log((light.clamp(0, 1) * 255 + 4) / 259)


def _brightness(density: Tensor) -> Tensor:
    return (259 * torch.exp(-density.clamp(-1, 6)) - 4).clamp(0, 255) / 255


def _hue_turns(angle: Tensor) -> Tensor:
    """Return ``(n, 3, 3)`` colour rotations about the grey axis."""
    cosine, sine = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=angle.device)
    identity = torch.eye(3, device=angle.device)
    return identity * cosine + (1 - cosine) / 3 + sine / math.sqrt(3) * cross


def _coarser(picture: Tensor, part: float) -> Tensor:
    """Return ``(3, side, side)`` noise with the detail of a `part` of its side."""
    side = picture.shape[-1]
    small = nnf.interpolate(
        picture[None], size=max(16, int(part * side)), mode="bilinear", antialias=True
    )
    return nnf.interpolate(small, size=side, mode="bilinear", align_corners=False)[0]


def _blur(light: Tensor, sigma: Tensor) -> Tensor:
    """Return the images, each blurred by a Gaussian; ``(n, 1)`` standard deviations."""
    taps = torch.arange(-BLUR_TAPS, BLUR_TAPS + 1, device=light.device)
    kernel = torch.exp(-0.5 * (taps[None] / sigma) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, dim=0)
    flat = light.reshape(1, -1, *light.shape[2:])
    for shape in ((-1, 1, 2 * BLUR_TAPS + 1, 1), (-1, 1, 1, 2 * BLUR_TAPS + 1)):
        padding = tuple(BLUR_TAPS * (length > 1) for length in shape[2:])
        flat = nnf.conv2d(flat, kernel.view(shape), padding=padding, groups=flat.shape[1])
    return flat.view_as(light)
