"""Round cells from their edges: votes for centres, then the best closed outline around each.

A cell that overlaps others has no region of its own, but it keeps most of its outline. So
each candidate is a star-convex outline found by dynamic programming on the polar gradient image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

Plane = NDArray[np.float32]

ANGLES = 32
RADII = np.arange(0.2, 0.95, 0.025)  # in cell diameters
VOTE_AT = (0.36, 0.42, 0.48, 0.54, 0.60)  # where a cell's edge expects its centre, in diameters


@dataclass(frozen=True, eq=False)
class Outlines:
    """Star-convex outlines in pixels.

    Attributes
    ----------
    centres
        ``(n, 2)`` float, the point that the radii start from.
    radii
        ``(n, ANGLES)`` float, from angle 0 (along the columns) towards the rows.
    edge
        ``(n, ANGLES)`` float, fall of density across the outline, a pixel.
    """

    centres: NDArray[np.float64]
    radii: NDArray[np.float64]
    edge: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.centres)


def directions() -> NDArray[np.float64]:
    """Return the unit vectors (row, column) of the outline's angles, ``(ANGLES, 2)``."""
    angle = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def gradient(density: Plane, sigma: float) -> tuple[Plane, Plane]:
    """Return the Gaussian derivatives of `density` along rows and columns."""
    along_rows = ndi.gaussian_filter(density, sigma, order=(1, 0))
    along_cols = ndi.gaussian_filter(density, sigma, order=(0, 1))
    return along_rows, along_cols


def centre_votes(slope: tuple[Plane, Plane], diameter: float, floor: float) -> Plane:
    """Return how many edges point at each pixel as the centre of a round cell.

    Each edge votes up its gradient at about a radius (Loy & Zelinsky 2003, for dark discs).
    Edges weaker than `floor` are noise and do not vote; stronger ones weigh by their square root,
    so that a nucleus does not drown the red cells.
    """
    size = np.hypot(*slope)
    strong = np.nonzero(size > floor)
    votes = np.zeros(size.shape, dtype=np.float64)
    unit = np.stack([plane[strong] / size[strong] for plane in slope], axis=1)
    weight = np.sqrt(size[strong])
    for fraction in VOTE_AT:
        _cast(votes, np.stack(strong, axis=1) + unit * (fraction * diameter), weight)
    return ndi.gaussian_filter(votes, diameter / 12).astype(np.float32)


def _cast(
    votes: NDArray[np.float64], points: NDArray[np.float64], weight: NDArray[np.floating]
) -> None:
    """Add each point's weight to the pixel it falls on; those outside the image are lost."""
    place = np.rint(points).astype(np.intp)
    inside = ((place >= 0) & (place < votes.shape)).all(axis=1)
    flat = np.ravel_multi_index(tuple(place[inside].T), votes.shape)
    votes += np.bincount(flat, weight[inside], votes.size).reshape(votes.shape)


def trace(
    slope: tuple[Plane, Plane],
    centres: NDArray[np.float64],
    diameter: float,
    strong: float | None = None,
) -> tuple[Outlines, float]:
    """Return the best closed outline around each centre, and what a strong edge is.

    Beyond the border the edge strength is 0, so a cut cell's outline follows the prior there.

    Parameters
    ----------
    strong
        The fall of density that counts fully; measured on these centres by default.
    """
    radii = RADII * diameter
    falls = _polar_falls(slope, centres, radii)
    if strong is None:
        strong = float(np.percentile(falls, 95)) if falls.size else 1.0
    prior = ((RADII - 0.5) / 0.5) ** 2
    chosen = _closed_paths(np.clip(falls / max(strong, 1e-6), -0.5, 1.5) - 0.35 * prior)
    edge = np.take_along_axis(falls, chosen[..., None], axis=2)[..., 0]
    return Outlines(centres, radii[chosen], edge.astype(np.float64)), strong


def _polar_falls(
    slope: tuple[Plane, Plane], centres: NDArray[np.float64], radii: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the outward fall of density, ``(n, ANGLES, len(radii))``."""
    ways = directions()
    points = centres[:, None, None, :] + ways[None, :, None, :] * radii[None, None, :, None]
    grid = np.moveaxis(points, -1, 0)
    parts = [ndi.map_coordinates(plane, grid, order=1, mode="constant") for plane in slope]
    falls = -(parts[0] * ways[None, :, 0, None] + parts[1] * ways[None, :, 1, None])
    return np.asarray(falls, dtype=np.float32)


def _closed_paths(gain: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return for each candidate the radius index at every angle, ``(n, ANGLES)``.

    Dynamic programming over one and a half turns; the last whole turn of the way back is closed
    up to one step. Neighbouring angles differ by one index at most.
    """
    n, turns, levels = gain.shape
    order = np.arange(-turns // 2, turns + turns // 4) % turns
    best = np.zeros((n, levels))
    steps = []
    for angle in order:
        stay = np.pad(best, ((0, 0), (1, 1)), constant_values=-np.inf)
        options = np.stack([stay[:, :-2] - 0.08, stay[:, 1:-1], stay[:, 2:] - 0.08])
        move = options.argmax(axis=0)
        best = np.take_along_axis(options, move[None], axis=0)[0] + gain[:, angle]
        steps.append(move - 1)
    return _way_back(best.argmax(axis=1), steps, order, turns)


def _way_back(
    level: NDArray[np.intp], steps: list[NDArray[np.intp]], order: NDArray[np.intp], turns: int
) -> NDArray[np.intp]:
    """Return the levels along the best path, for the whole turn before the last quarter."""
    chosen = np.zeros((len(level), turns), dtype=np.intp)
    for back, (angle, move) in enumerate(zip(order[::-1], steps[::-1], strict=True)):
        if back >= turns // 4:
            chosen[:, angle] = level
        if back == turns // 4 + turns - 1:
            break
        level = level + move[np.arange(len(level)), level]
    return chosen
