"""A synthetic torso in an infrared camera from the front: geometry and temperatures.

Lengths are in pixels of a frame with 480 rows; ``u`` runs to the right from the middle of the
frame, ``v`` downwards from its top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Field = NDArray[np.float64]

ROWS = 480  # of the frame in whose pixels lengths are given
NECK_WARMTH, ARMPIT_WARMTH, STERNUM_WARMTH, FOLD_WARMTH = 1.8, 2.2, 0.5, 3.4  # °C
NIPPLE_COOLNESS, EDGE_COOLNESS = 0.7, 2.4  # °C
EDGE = 8.0  # how far the slanting rim of the body looks cooler than it is


@dataclass(frozen=True, eq=False)
class Grid:
    """The pixels of a frame: `u` and `v` of each, and the length of a unit in pixels."""

    u: Field
    v: Field
    unit: float

    @classmethod
    def of(cls, size: tuple[int, int]) -> Grid:
        """Return the grid of a frame of that many rows and columns."""
        unit = size[0] / ROWS
        rows, cols = np.indices(size).astype(np.float64)
        return cls((cols + 0.5 - size[1] / 2) / unit, (rows + 0.5) / unit, unit)

    def gaussian(self, centre: tuple[float, float], width: tuple[float, float]) -> Field:
        """``(rows, cols)`` Gaussian hill of height 1 at (u, v)."""
        across, along = (self.u - centre[0]) / width[0], (self.v - centre[1]) / width[1]
        return np.asarray(np.exp(-(across**2 + along**2) / 2))


@dataclass(frozen=True)
class Breast:
    """One breast: centre, half axes, and position of the nipple (u, v)."""

    centre: tuple[float, float]
    axes: tuple[float, float]
    nipple: tuple[float, float]

    def reach(self, grid: Grid) -> Field:
        """``(rows, cols)`` distance from the centre, 1 on the breast's outline."""
        across = (grid.u - self.centre[0]) / self.axes[0]
        along = (grid.v - self.centre[1]) / self.axes[1]
        return np.asarray(np.hypot(across, along))

    def warmth(self, grid: Grid, coolness: float) -> Field:
        """``(rows, cols)`` °C by which the breast is cooler and the fold below it warmer."""
        reach = self.reach(grid)
        cool = np.clip(1.15 - reach**3, 0, 1) * np.clip((grid.v - self.centre[1]) / 90 + 1.1, 0, 1)
        down = np.clip((grid.v - self.centre[1]) / self.axes[1] / np.maximum(reach, 1e-6), 0, 1)
        medial = -np.sign(self.centre[0]) * (grid.u - self.centre[0]) / self.axes[0]
        away = np.where(reach >= 1, (reach - 1) / 0.16, (1 - reach) / 0.025)
        fold = np.exp(-away) * down**0.7 * np.clip(0.6 + 0.6 * medial, 0.15, 1)
        dot = grid.gaussian(self.nipple, (7.0, 7.0))
        return np.asarray(FOLD_WARMTH * fold - coolness * cool - NIPPLE_COOLNESS * dot)


@dataclass(frozen=True)
class SyntheticTorso:
    """A random body.

    Attributes
    ----------
    middle
        Position of the midline (u).
    chest, waist
        Half widths.
    image_left, image_right
        The breasts by their side in the image; the patient's left is on the image's right.
    """

    middle: float
    chest: float
    waist: float
    image_left: Breast
    image_right: Breast

    @classmethod
    def drawn(cls, rng: Generator) -> SyntheticTorso:
        """Return a random body."""
        middle = rng.normal(0, 8)
        chest, waist = rng.normal(192, 9), rng.normal(172, 10)
        apart, height = rng.normal(118, 6), rng.normal(300, 16)
        axes = rng.normal(101, 6), rng.normal(88, 8)
        pair = []
        for sign in (-1, 1):
            centre = middle + sign * apart + rng.normal(0, 4), height + rng.normal(0, 5)
            mine = axes[0] * rng.normal(1, 0.03), axes[1] * rng.normal(1, 0.03)
            nipple = centre[0] + sign * rng.uniform(20, 38), centre[1] + rng.uniform(0, 25)
            pair.append(Breast(centre, mine, nipple))
        return cls(middle, chest, waist, *pair)

    @property
    def breasts(self) -> tuple[Breast, Breast]:
        """The breasts on the image's left and right."""
        return self.image_left, self.image_right

    def outline(self, grid: Grid) -> NDArray[np.bool_]:
        """``(rows, cols)`` True on the body: trunk, breasts, raised arms."""
        u = np.abs(grid.u - self.middle)
        heights = [0, 90, 140, 260, 400, 480]
        widths = [250, 215, self.chest - 6, self.chest, self.waist, self.waist + 4]
        body = u < np.interp(grid.v, heights, widths)
        along = np.clip((u - 140) / 270, 0, 1)
        body |= (np.hypot(u - 140 - 270 * along, grid.v - 50 + 150 * along)) < 88 - 18 * along
        for breast in self.breasts:
            body |= breast.reach(grid) < 1
        return np.asarray(body)

    def warmth(self, grid: Grid, coolness: float) -> Field:
        """``(rows, cols)`` °C above the usual skin temperature."""
        field = NECK_WARMTH * grid.gaussian((self.middle, -10), (75, 60))
        field += STERNUM_WARMTH * grid.gaussian((self.middle, 250), (22, 130))
        for breast, sign in zip(self.breasts, (-1, 1), strict=True):
            armpit = self.middle + sign * (self.chest - 8), 120.0
            field += ARMPIT_WARMTH * grid.gaussian(armpit, (24, 55))
            field += breast.warmth(grid, coolness)
        return field


def rim(body: NDArray[np.bool_], unit: float) -> Field:
    """``(rows, cols)`` °C by which the rim of the body looks cooler."""
    padded = np.pad(body, 1, mode="edge")  # the frame's border is no rim
    inside = ndi.distance_transform_edt(padded)[1:-1, 1:-1] / unit
    return np.asarray(-EDGE_COOLNESS * np.exp(-inside / EDGE))


def texture(rng: Generator, size: tuple[int, int], unit: float) -> Field:
    """``(rows, cols)`` °C of the smooth variation of the skin."""
    return 0.3 * smooth(rng, size, 26 * unit) + 0.18 * smooth(rng, size, 9 * unit)


def vessels(rng: Generator, size: tuple[int, int], unit: float) -> Field:
    """``(rows, cols)`` 0 to about 1: a branching pattern of veins of varying density.

    Veins run where a smooth random field crosses zero, so that they wind, meet and have no ends.
    """
    lines = np.zeros(size)
    for width in (22.0, 38.0):
        field = smooth(rng, size, width * unit)
        slope = np.hypot(*np.gradient(field)) + 1e-6
        lines += np.exp(-((field / slope / (2.6 * unit)) ** 2))
    where = np.clip(0.35 + 0.6 * smooth(rng, size, 50 * unit), 0, 1)
    return np.asarray(ndi.gaussian_filter(lines, 1.2 * unit) * where)


def smooth(rng: Generator, size: tuple[int, int], width: float) -> Field:
    """``(rows, cols)`` smooth noise of that width in pixels, mean 0, standard deviation 1."""
    step = max(1, int(width / 5))  # made coarse and then stretched: wide noise is slow to filter
    coarse = [side // step + 2 for side in size]
    low = ndi.gaussian_filter(rng.normal(size=coarse), width / step)
    field = ndi.zoom(low, step, order=3)[: size[0], : size[1]]
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-12))
