"""Rendering of single cells: optical density on a small patch.

Density follows Beer-Lambert: overlapping cells add up, and the transmitted light is
``10 ** -density`` of the lamp's light.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    Plane = NDArray[np.float32]
    Colour = tuple[float, float, float]

# Optical density of a full layer in red, green, blue light; read off Wright-Giemsa smears.
HAEMOGLOBIN: Colour = (0.060, 0.165, 0.130)
CHROMATIN: Colour = (0.34, 0.52, 0.13)
BASOPHIL_PLASMA: Colour = (0.15, 0.14, 0.045)
LILAC_PLASMA: Colour = (0.060, 0.085, 0.030)
LILAC_GRANULES: Colour = (0.07, 0.12, 0.035)
EOSIN_GRANULES: Colour = (0.05, 0.30, 0.26)
PLATELET_BODY: Colour = (0.15, 0.19, 0.055)
# Biconcave disc, thickness over radius (Evans & Fung 1972, Microvasc. Res. 4:335).
EVANS_FUNG = (0.207, 2.003, -1.123)


@dataclass(frozen=True, eq=False)
class CellPatch:
    """One cell on a square patch around its centre.

    Attributes
    ----------
    density
        ``(side, side, 3)`` float32 optical density.
    mask
        ``(side, side)`` the whole cell, cytoplasm included.
    """

    density: NDArray[np.float32]
    mask: NDArray[np.bool_]

    @property
    def reach(self) -> int:
        """Pixels from the centre to the border of the patch."""
        return int(self.mask.shape[0]) // 2


def red_cell(rng: Generator, radius: float) -> CellPatch:
    """Return a red cell: biconcave, slightly oval, with a central pallor of random width."""
    distance = _wobbly_distance(rng, radius, oval=0.12, wobble=0.017)
    inside = np.clip(1 - distance**2, 0, None)
    c0, c2, c4 = EVANS_FUNG
    filled = rng.uniform(0.02, 0.3)  # drying flattens the disc: pallor from marked to faint
    flat = np.clip(distance * rng.uniform(0.85, 1.15), 0, 1)
    thickness = 1.5 * inside**0.3 * (c0 + filled + c2 * 0.8 * flat**2 + c4 * 0.9 * flat**4)
    dark = rng.normal(1.0, 0.08)
    return CellPatch(_stained(thickness * dark, HAEMOGLOBIN), distance <= 1)


def platelet(rng: Generator, radius: float) -> CellPatch:
    """Return a platelet: small, ragged, granular in the middle."""
    distance = _wobbly_distance(rng, radius, oval=0.25, wobble=0.12)
    body = _edge(distance, radius) * 0.55
    grains = _texture(rng, distance.shape, 0.9) * _edge(distance * 1.5, radius)
    return CellPatch(_stained(body + 0.9 * np.clip(grains, 0, None), PLATELET_BODY), distance <= 1)


def white_cell(rng: Generator, subtype: str, radius: float) -> CellPatch:
    """Return a white cell of one of :data:`SUBTYPES`; `radius` is that of a red cell."""
    build = SUBTYPES[subtype]
    whole = radius * build.size * rng.normal(1.0, 0.05)
    distance = _wobbly_distance(rng, whole, oval=0.06, wobble=0.03)
    plasma = _stained(_edge(distance, whole) * build.plasma_density, build.plasma)
    nucleus = _nucleus(rng, build, whole, distance.shape)
    nucleus *= _edge(distance * 1.04, whole)
    texture = 1 + 0.22 * _texture(rng, distance.shape, radius * 0.07)
    density = plasma * (1 - 0.7 * nucleus[..., None]) + _stained(nucleus * texture, CHROMATIN)
    if build.granules is not None:
        grains = np.clip(_texture(rng, distance.shape, radius * build.grain) - 0.25, 0, 1.2)
        free = grains * _edge(distance * 1.08, whole) * (1 - nucleus)
        density = density + _stained(free, build.granules)
    return CellPatch(density.astype(np.float32), distance <= 1)


@dataclass(frozen=True)
class _LeukocyteStyle:
    size: float  # radius, in radii of a red cell
    lobes: tuple[int, int]
    nucleus: float  # radius of one lobe, in radii of the whole cell
    spread: float  # of the lobes around the centre, likewise
    plasma: Colour
    plasma_density: float
    granules: Colour | None = None
    grain: float = 0.05  # radius of a granule, in radii of a red cell


SUBTYPES: dict[str, _LeukocyteStyle] = {
    "Neutrophil": _LeukocyteStyle(
        1.65, (3, 5), 0.36, 0.42, LILAC_PLASMA, 1.0, LILAC_GRANULES, 0.035
    ),
    "Eosinophil": _LeukocyteStyle(
        1.7, (2, 2), 0.42, 0.36, LILAC_PLASMA, 0.7, EOSIN_GRANULES, 0.06
    ),
    "Lymphocyte": _LeukocyteStyle(1.25, (1, 1), 0.84, 0.06, BASOPHIL_PLASMA, 1.0),
    "Monocyte": _LeukocyteStyle(1.95, (2, 2), 0.55, 0.26, BASOPHIL_PLASMA, 0.75),
}


def _nucleus(
    rng: Generator, build: _LeukocyteStyle, whole: float, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return lobes along an arc, joined by thin bridges; values 0 to 1."""
    count = int(rng.integers(build.lobes[0], build.lobes[1] + 1))
    turn = rng.uniform(0, 2 * np.pi)
    angles = turn + np.linspace(0, 1.35 * np.pi, count) + rng.normal(0, 0.12, count)
    centres = whole * build.spread * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    lobes = [
        (centre, whole * build.nucleus * rng.normal(1.0, 0.08), rng.uniform(0.8, 1.25))
        for centre in centres
    ]
    plane = np.zeros(shape, np.float32)
    for centre, size, oval in lobes:
        plane = np.maximum(plane, _disc(shape, centre, (size * oval, size / oval)))
    for (first, size, _), (second, _, _) in pairwise(lobes):
        for share in np.linspace(0, 1, 8):
            middle = first * (1 - share) + second * share
            plane = np.maximum(plane, _disc(shape, middle, (size * 0.3, size * 0.3)))
    return plane


def _disc(
    shape: tuple[int, ...], centre: NDArray[np.float64], radii: Sequence[float]
) -> NDArray[np.float32]:
    rows, cols = _grid(shape[0])
    distance = np.hypot((rows - centre[0]) / radii[0], (cols - centre[1]) / radii[1])
    return _edge(distance, min(radii))


def _wobbly_distance(
    rng: Generator, radius: float, *, oval: float, wobble: float
) -> NDArray[np.float32]:
    """Return the relative distance from the centre, 1 on the outline; the patch has a margin."""
    reach = int(np.ceil(radius * (1 + oval + 2 * wobble))) + 3
    rows, cols = _grid(2 * reach + 1)
    turn, stretch = rng.uniform(0, np.pi), 1 + abs(rng.normal(0, oval / 2))
    along = (rows * np.sin(turn) + cols * np.cos(turn)) / stretch
    across = rows * np.cos(turn) - cols * np.sin(turn)
    angle = np.arctan2(across, along)
    outline = np.ones_like(angle)
    for wave in (2, 3, 4, 5):
        outline += rng.normal(0, 2 * wobble / wave) * np.cos(
            wave * angle + rng.uniform(0, 2 * np.pi)
        )
    return np.asarray(np.hypot(along, across) / (radius * outline), dtype=np.float32)


def _grid(side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    line = np.arange(side) - side // 2
    rows, cols = np.meshgrid(line, line, indexing="ij")
    return rows.astype(np.float64), cols.astype(np.float64)


def _edge(distance: NDArray[np.floating], radius: float) -> NDArray[np.float32]:
    """Return 1 inside, 0 outside, over about two pixels."""
    return np.asarray(np.clip((1 - distance) * radius / 2 + 0.5, 0, 1), dtype=np.float32)


def _texture(rng: Generator, shape: tuple[int, ...], sigma: float) -> NDArray[np.float32]:
    """Return smooth noise with mean 0 and standard deviation 1."""
    noise = ndi.gaussian_filter(rng.normal(size=shape), max(sigma, 0.3))
    return np.asarray(noise / max(float(noise.std()), 1e-6), dtype=np.float32)


def _stained(amount: NDArray[np.floating], colour: Colour) -> NDArray[np.float32]:
    return np.asarray(amount[..., None] * np.asarray(colour), dtype=np.float32)
