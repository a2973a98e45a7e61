"""Training crops: a field at a random scale, place and orientation, and its target maps.

Another laboratory's look: stain, lamp, camera. All on ``(rows, cols, 3)`` uint8.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from scipy import ndimage as ndi
from torch.utils.data import Dataset

from napari_hemacells.core.detect.learned.metadata import (
    CANONICAL_DIAMETER,
    KINDS,
    STRIDE,
)
from napari_hemacells.core.train.detector.dataset import UNKNOWN

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from napari_hemacells.core.train.detector.dataset import TrainingField


def augment_appearance(pixels: NDArray[np.uint8], rng: Generator) -> NDArray[np.uint8]:
    """Return the same cells in other colours, light and sharpness."""
    if rng.random() < 0.1:
        return _vary_camera(pixels.astype(np.float32), rng)
    return _vary_camera(_vary_illumination(_vary_stain(pixels, rng), rng), rng)


def _vary_stain(pixels: NDArray[np.uint8], rng: Generator) -> NDArray[np.float32]:
    """Return brightness 0 to 255 after each dye and each channel took another strength."""
    density = -np.log((pixels.astype(np.float32) + 4) / 259)
    mixing = np.eye(3) + rng.normal(0, 0.08, (3, 3))
    strength = np.exp(rng.normal(0, 0.25) + rng.normal(0, 0.18, 3))
    density = (density @ mixing.T.astype(np.float32)) * strength.astype(np.float32)
    return np.asarray(259 * np.exp(-density) - 4, dtype=np.float32)


def _vary_illumination(light: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Return the picture under another lamp: tint, brightness, gamma, colour depth, hue."""
    light = np.clip(light / 255, 0, 1)
    light = light ** np.float32(np.exp(rng.normal(0, 0.25)))
    light = light * np.exp(rng.normal(-0.05, 0.12) + rng.normal(0, 0.07, 3)).astype(np.float32)
    grey = light.mean(axis=2, keepdims=True)
    light = grey + (light - grey) * np.float32(rng.uniform(0.4, 1.6))
    if rng.random() < 0.5:
        light = light @ _hue_turn(rng.normal(0, 0.2)).T
    centre = light.mean()
    light = centre + (light - centre) * np.float32(rng.uniform(0.65, 1.25))
    return np.asarray(_dim(light, rng) * 255, dtype=np.float32)


def _dim(light: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Return the picture as under a badly set lamp, sometimes: dim, in one colour, vignetted."""
    if rng.random() < 0.2:
        tint = rng.normal(0, 0.2, 3)
        light = light * np.exp(tint - tint.max() + rng.uniform(-0.7, 0)).astype(np.float32)
    if rng.random() < 0.2:
        rows, cols = light.shape[:2]
        y, x = np.linspace(-1, 1, rows), np.linspace(-1, 1, cols)
        at = rng.normal(0, 0.6, 2)
        away = ((y - at[0]) ** 2)[:, None] + ((x - at[1]) ** 2)[None]
        light = light * np.exp(-rng.uniform(0.05, 0.4) * away)[..., None].astype(np.float32)
    return np.asarray(light, dtype=np.float32)


def _hue_turn(angle: float) -> NDArray[np.float32]:
    """Return the rotation of colour by `angle` radians about the grey axis."""
    cosine, sine = np.cos(angle), np.sin(angle) / np.sqrt(3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    turn = np.eye(3) * cosine + (1 - cosine) / 3 + sine * cross
    return np.asarray(turn, dtype=np.float32)


def _vary_camera(light: NDArray[np.float32], rng: Generator) -> NDArray[np.uint8]:
    """Return uint8 after blur or sharpening, noise and JPEG."""
    if rng.random() < 0.4:
        sigma = rng.uniform(0.3, 1.3)
        light = ndi.gaussian_filter(light, (sigma, sigma, 0))
    if rng.random() < 0.15:
        sigma = rng.uniform(0.8, 2.5)  # the wide ones are the rims of a picture out of focus
        light = light + rng.uniform(0.3, 1.0) * (
            light - ndi.gaussian_filter(light, (sigma, sigma, 0))
        )
    if rng.random() < 0.4:
        light = light + rng.normal(0, rng.uniform(1, 7), light.shape).astype(np.float32)
    picture = np.clip(light, 0, 255).astype(np.uint8)
    return _jpeg(picture, int(rng.integers(35, 95))) if rng.random() < 0.3 else picture


def _jpeg(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "jpeg", quality=quality)
    return np.asarray(Image.open(buffer))


SIDE = 160
GRID = SIDE // STRIDE
PADDING = 128  # beyond the picture: grey, which is 0 after normalisation
# Of a box cut by the crop; below that the place is ignored. What to do with cells cut by the edge
# of the image is learned there, from what the annotators boxed: they leave out narrow strips, each
# laboratory others. Half of the boxes of TXL-PBC are cut by an image.
LEAST_VISIBLE = 0.5
EDGE = 0.3  # drawn beyond the field and pushed back: 3 crops of 8 end with the image, each way
SPREAD = 0.54 / 6  # sigma of the centre blob, of the box side (TTFNet)
LEAST_SIGMA = 0.6  # in map cells


class Crop(NamedTuple):
    """One training example.

    Attributes
    ----------
    picture
        ``(SIDE, SIDE, 3)`` uint8.
    heat, trust
        ``(kinds, GRID, GRID)`` float32: target, and weight of its absence.
    sides, weight
        ``(kinds, 4, GRID, GRID)`` target boxes in pixels, and ``(kinds, GRID, GRID)`` weights
        that sum to 1 over a cell.
    foreground, inside
        ``(GRID, GRID)`` target of being part of a cell, and 1 within the picture.
    """

    picture: NDArray[np.uint8]
    heat: NDArray[np.float32]
    trust: NDArray[np.float32]
    boxes: NDArray[np.float32]
    weight: NDArray[np.float32]
    foreground: NDArray[np.float32]
    inside: NDArray[np.float32]


class CropDataset(Dataset[Crop]):
    """Crops by number: crop i is the same in every run with the same seed.

    Parameters
    ----------
    sources
        Lists of fields with the share of crops that each list provides.
    """

    def __init__(
        self, sources: list[tuple[float, list[TrainingField]]], seed: int, length: int
    ) -> None:
        self._sources = [fields for _, fields in sources]
        shares = np.array([share for share, _ in sources])
        self._shares = shares / shares.sum()
        self._seed = seed
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Crop:
        rng = np.random.default_rng([self._seed, number])
        source = self._sources[rng.choice(len(self._sources), p=self._shares)]
        return sample_crop(source[rng.integers(len(source))], rng)


def collate(crops: list[Crop]) -> list[torch.Tensor]:
    """Return a batch, one tensor for each part of a crop."""
    return [torch.from_numpy(np.stack(parts)) for parts in zip(*crops, strict=True)]


def sample_crop(field: TrainingField, rng: Generator) -> Crop:
    """Return a random crop of a field in another laboratory's look, with its targets."""
    scale = CANONICAL_DIAMETER / field.diameter * _jitter(rng)
    corner = sample_corner(field, scale, rng)
    picture = augment_appearance(_view(field.pixels, corner, scale), rng)
    trust = _view(field.trust, corner, scale).astype(np.float32) / np.float32(255)
    foreground = _view(field.foreground, corner, scale).astype(np.float32) / np.float32(255)
    rows, cols = picture.shape[:2]
    boxes = (field.boxes - np.tile(corner, 2).astype(np.float32)) * np.tile(scale, 2)
    heat, sides, weight = target_maps(boxes, field.kinds, field.sized, trust)
    turn = DihedralTransform(int(rng.integers(4)), bool(rng.random() < 0.5))
    inside = np.zeros((SIDE, SIDE), np.float32)
    inside[:rows, :cols] = 1
    return Crop(
        np.ascontiguousarray(turn.plane(_padded(picture, PADDING))),
        turn.maps(heat),
        turn.maps(np.moveaxis(_shrink(_padded(trust, 1)), -1, 0)),
        turn.boxes(sides),
        turn.maps(weight),
        turn.maps(_shrink(_padded(foreground, 0))),
        turn.maps(_shrink(inside)),
    )


def _jitter(rng: Generator) -> NDArray[np.float32]:
    """Return factors on the scale along rows and columns.

    Mostly near 1, sometimes far off, as a wrong estimate is; sometimes stretched, because slim
    cells (elliptocytes, sickle cells) are rare in the annotated fields.
    """
    size = rng.uniform(-0.75, 0.75) if rng.random() < 0.25 else rng.normal(0, 0.16)
    stretch = rng.uniform(-0.4, 0.4) if rng.random() < 0.3 else 0.0
    return np.exp([size + stretch, size - stretch]).astype(np.float32)


def sample_corner(
    field: TrainingField, scale: NDArray[np.float32], rng: Generator
) -> tuple[float, float]:
    """Return the crop's first row and column in the field; rare kinds are sought half the time."""
    span = SIDE / scale
    room = np.maximum(np.array(field.pixels.shape[:2]) - span, 0)
    rare = np.flatnonzero(field.kinds == 2)
    if len(rare) and rng.random() < 0.5:
        box = field.boxes[rng.choice(rare)]
        wanted = (box[:2] + box[2:]) / 2 - span * rng.uniform(0.15, 0.85, 2)
    else:
        wanted = rng.uniform(-EDGE, 1 + EDGE, 2) * room
    first, second = np.clip(wanted, 0, room)
    return float(first), float(second)


def _view(
    pixels: NDArray[np.uint8], corner: tuple[float, float], scale: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Return the part of the field under the crop at the crop's scale, at most SIDE long."""
    rows, cols = pixels.shape[:2]
    top, left = corner
    down, along = float(scale[0]), float(scale[1])
    bottom, right = min(top + SIDE / down, rows), min(left + SIDE / along, cols)
    size = (round((right - left) * along), round((bottom - top) * down))
    window = (left, top, right, bottom)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, box=window))


def _padded(plane: NDArray[Any], value: float) -> NDArray[Any]:
    """Return the plane in the upper left corner of a full crop."""
    full = np.full((SIDE, SIDE, *plane.shape[2:]), value, plane.dtype)
    full[: plane.shape[0], : plane.shape[1]] = plane
    return full


def _shrink(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return means over the cells of the map."""
    blocks = plane.reshape(GRID, STRIDE, GRID, STRIDE, *plane.shape[2:])
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


def target_maps(
    boxes: NDArray[np.float32],
    kinds: NDArray[np.int64],
    sized: NDArray[np.bool_],
    trust: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the targets of a crop.

    Parameters
    ----------
    boxes
        ``(n, 4)`` in pixels of the crop, rows first; they may reach beyond it.
    kinds
        ``(n,)`` indices into KINDS.
    sized
        ``(n,)`` whether the box is reliable, and not only its centre.
    trust
        ``(rows, cols, kinds)`` weight of the absence of a cell; it becomes 0 where the crop shows
        less than LEAST_VISIBLE of one.

    Returns
    -------
    heat, sides, weight
        As in :class:`Crop`, before turning.
    """
    shape = (len(KINDS), GRID, GRID)
    heat, weight = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    sides = np.zeros((len(KINDS), 4, GRID, GRID), np.float32)
    nearest = np.full(shape, np.inf, np.float32)
    limit = np.array(trust.shape[:2] * 2, np.float32)
    for box, kind, known in zip(boxes, kinds, sized, strict=True):
        if kind == UNKNOWN:
            continue  # its place has no trust already
        seen = np.clip(box, 0, limit)
        share = np.prod(seen[2:] - seen[:2]) / np.prod(box[2:] - box[:2])
        if share < LEAST_VISIBLE:
            top, left, bottom, right = seen.astype(int)
            trust[top:bottom, left:right, kind] = 0
            continue
        _draw_gaussian(seen, heat[kind])
        if known or share < 1:
            _assign(seen, sides[kind], weight[kind], nearest[kind], 1.0 if known else 0.3)
    return heat, sides, weight


def _draw_gaussian(box: NDArray[np.float32], heat: NDArray[np.float32]) -> None:
    """Raise the heat to a blob that is exactly 1 at the map cell of the box's centre."""
    centre = np.minimum((box[:2] + box[2:]) / 2 / STRIDE, GRID - 1e-3).astype(int)
    sigma = np.maximum((box[2:] - box[:2]) / STRIDE * SPREAD, LEAST_SIGMA)
    profiles = [
        np.exp(-((np.arange(GRID) - c) ** 2) / (2 * s * s))
        for c, s in zip(centre, sigma, strict=True)
    ]
    np.maximum(heat, np.outer(*profiles), out=heat)


def _assign(
    box: NDArray[np.float32],
    sides: NDArray[np.float32],
    weight: NDArray[np.float32],
    nearest: NDArray[np.float32],
    share: float,
) -> None:
    """Give the map cells in the inner half of the box to it, unless another centre is nearer."""
    at = (np.arange(GRID) + 0.5) * STRIDE
    middle, extent = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    y, x = ((at - m) / max(e, 2.2 * STRIDE) for m, e in zip(middle, extent, strict=True))
    distance = np.maximum(np.abs(y)[:, None], np.abs(x)[None]).astype(np.float32)
    own = (distance < 0.25) & (distance < nearest)
    if not own.any():
        return
    nearest[own] = distance[own]
    sides[:, own] = box[:, None]
    weight[own] = share / own.sum()


class DihedralTransform(NamedTuple):
    """One of the eight orientations of a square crop."""

    quarter: int
    flip: bool

    def plane(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Turn the first two axes."""
        turned = np.rot90(plane, self.quarter)
        return turned[:, ::-1] if self.flip else turned

    def maps(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn the last two axes."""
        turned = np.rot90(maps, self.quarter, axes=(-2, -1))
        return np.ascontiguousarray(turned[..., ::-1] if self.flip else turned)

    def boxes(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn ``(kinds, 4, GRID, GRID)`` maps of boxes, and the boxes in them."""
        top, left, bottom, right = np.moveaxis(self.maps(boxes), 1, 0)
        for _ in range(self.quarter):  # counter-clockwise: column c becomes row SIDE - c
            top, left, bottom, right = SIDE - right, top, SIDE - left, bottom
        if self.flip:
            left, right = SIDE - right, SIDE - left
        return np.stack([top, left, bottom, right], axis=1)
