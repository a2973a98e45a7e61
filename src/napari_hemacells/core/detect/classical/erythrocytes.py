"""Red cells: votes of the edges for centres, then the best closed outline around each.

A cell that overlaps others has no region of its own but keeps most of its outline. So each
candidate is a star-convex outline, found by dynamic programming on the polar gradient image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from napari_hemacells.core.detect.outlines import CellOutline
from napari_hemacells.core.detect.stain_thresholds import ErythrocyteThresholds
from napari_hemacells.core.types import RBC

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.detect.stain import Plane, Stain

    Mask = NDArray[np.bool_]

ANGLES = 32
RADII = np.arange(0.2, 0.95, 0.025)  # in cell diameters
VOTE_RADII = (0.36, 0.42, 0.48, 0.54, 0.60)  # where a cell's edge expects its centre, in diameters


@dataclass(frozen=True, eq=False)
class StarConvexOutlines:
    """Star-convex outlines in pixels.

    Attributes
    ----------
    centres
        ``(n, 2)`` float, the point that the radii start from.
    radii
        ``(n, ANGLES)`` float, from angle 0 (along the columns) towards the rows.
    edge
        ``(n, ANGLES)`` float, fall of density across the outline per pixel.
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

    Each edge votes along its gradient at about one radius (Loy & Zelinsky 2003, for dark discs).
    Edges weaker than `floor` are noise and do not vote. Votes are weighted by the square root of
    the edge strength, so that nuclei do not outweigh the red cells.
    """
    size = np.hypot(*slope)
    strong = np.nonzero(size > floor)
    votes = np.zeros(size.shape, dtype=np.float64)
    unit = np.stack([plane[strong] / size[strong] for plane in slope], axis=1)
    weight = np.sqrt(size[strong])
    for fraction in VOTE_RADII:
        _cast(votes, np.stack(strong, axis=1) + unit * (fraction * diameter), weight)
    return ndi.gaussian_filter(votes, diameter / 12).astype(np.float32)


def _cast(
    votes: NDArray[np.float64], points: NDArray[np.float64], weight: NDArray[np.floating]
) -> None:
    """Add each point's weight to its pixel; points outside the image are ignored."""
    pixels = np.rint(points).astype(np.intp)
    inside = ((pixels >= 0) & (pixels < votes.shape)).all(axis=1)
    flat = np.ravel_multi_index(tuple(pixels[inside].T), votes.shape)
    votes += np.bincount(flat, weight[inside], votes.size).reshape(votes.shape)


def trace_outlines(
    slope: tuple[Plane, Plane],
    centres: NDArray[np.float64],
    diameter: float,
    strong: float | None = None,
) -> tuple[StarConvexOutlines, float]:
    """Return the best closed outline around each centre, and the strength of a strong edge.

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
    return StarConvexOutlines(centres, radii[chosen], edge.astype(np.float64)), strong


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

    Dynamic programming over one and a half turns; the last full turn of the backtracking is closed
    up to one step. Neighbouring angles differ by at most one index.
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
    return _backtrack(best.argmax(axis=1), steps, order, turns)


def _backtrack(
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


LEVEL = 0.7  # of the usual density of red cells, where the levelled density flattens
EDGE_SHARE = 60  # percentile of the gradient above which it may vote
VOTES_FLOOR = 0.25  # of the strongest centres
MIN_CENTRE_DISTANCE = 0.25  # of a diameter, between two centres
SCORE_FLOOR = 0.47
SMALLEST_AREA = 0.3  # of a typical red cell
STAINED_SHARE = 0.25  # of a cell's inside is foreground: little in a pale ring
HIDDEN_SHARE = 0.45  # of a cell may lie under others that are surer


def find_erythrocytes(
    stain: Stain,
    diameter: float,
    eagerness: float,
    stained: Mask,
    taken: Mask,
    *,
    levels: ErythrocyteThresholds | None = None,
) -> tuple[list[CellOutline], ErythrocyteThresholds | None]:
    """Return the red cells, highest score first and not mostly hidden, and the levels used.

    Parameters
    ----------
    diameter
        Of a red cell, in pixels.
    eagerness
        Divisor of the score threshold, 1 by default; more finds fainter outlines.
    stained
        The foreground, pale centres filled.
    taken
        Where white cells are.
    levels
        Measured on the picture by default; None if nothing is stained.
    """
    free = ~ndi.binary_dilation(taken, iterations=2)
    if not free.any() or not (stained & free).any():
        return [], None
    usual = levels.usual if levels else _reference_density(stain.density[stained & ~taken])
    slope = gradient(_compress_density(stain.density, usual, taken, diameter), diameter * 0.03)
    edge = levels.steep if levels else _edge_threshold(np.hypot(*slope)[free])
    votes = centre_votes(slope, diameter, edge)
    votes[taken] = 0
    top = levels.votes if levels else max(float(np.percentile(votes[free], 99.5)), 1e-9)
    centres = _peaks(votes / top, diameter)
    if not len(centres):
        return [], None
    outlines, strong = trace_outlines(slope, centres, diameter, levels.strong if levels else None)
    clear = levels.clear if levels else max(float(np.percentile(outlines.edge, 75)), 1e-6)
    selected = _select_outlines(
        outlines, diameter, SCORE_FLOOR / eagerness, stained, taken, clear=clear
    )
    return selected, ErythrocyteThresholds(usual, edge, top, strong, clear)


def _reference_density(density: Plane) -> float:
    return LEVEL * max(float(np.median(density)), 1e-3)


def _edge_threshold(gradients: Plane) -> float:
    return max(float(np.percentile(gradients, EDGE_SHARE)), 1e-6)


def _peaks(votes: Plane, diameter: float) -> NDArray[np.float64]:
    """Return the centres that enough edges agree on, ``(n, 2)``."""
    from skimage.feature import peak_local_max

    peaks = peak_local_max(
        votes,
        min_distance=max(1, int(diameter * MIN_CENTRE_DISTANCE)),
        threshold_abs=VOTES_FLOOR,
        exclude_border=False,
    )
    return np.asarray(peaks, dtype=np.float64)


def _compress_density(density: Plane, usual: float, taken: Mask, diameter: float) -> Plane:
    """Return the density without white cells, compressed so that pale and dense cells count alike.

    Beyond the usual density the curve flattens (tanh), so that overlaps and dirt do not dominate
    pale rings.
    """
    flat = usual * np.tanh(np.where(taken, 0, density) / usual)
    return np.asarray(ndi.gaussian_filter(flat, diameter * 0.0175), dtype=np.float32)


def _select_outlines(
    outlines: StarConvexOutlines,
    diameter: float,
    floor: float,
    stained: Mask,
    taken: Mask,
    *,
    clear: float,
) -> list[CellOutline]:
    """Return the accepted outlines, greedily from the highest score."""
    points = outlines.centres[:, None] + directions()[None] * outlines.radii[..., None]
    scores = _scores(outlines, points, stained.shape, clear)
    covered = taken.copy()
    kept = []
    for index in np.argsort(-scores):
        if scores[index] < floor:
            break
        inside = _inside(points[index], stained.shape)
        area = len(inside[0])
        if area < SMALLEST_AREA * np.pi * diameter**2 / 4:
            continue
        if stained[inside].mean() < STAINED_SHARE or covered[inside].mean() > HIDDEN_SHARE:
            continue
        covered[inside] = True
        kept.append(CellOutline(RBC, points[index], float(np.clip(scores[index], 0, 1))))
    return kept


def _inside(
    outline: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    from skimage.draw import polygon

    rows, cols = polygon(*outline.T, shape=shape)
    return rows, cols


def _scores(
    outlines: StarConvexOutlines, points: NDArray[np.float64], shape: tuple[int, ...], usual: float
) -> NDArray[np.float64]:
    """Return the score of each outline: its clarity inside the image, less for cut cells."""
    clear = np.clip(outlines.edge / usual, -0.5, 1)
    seen = ((points >= 0) & (points < np.asarray(shape[:2]))).all(axis=2)
    mean = np.where(seen, clear, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return np.asarray(mean * np.minimum(1, seen.mean(axis=1) + 0.3))
