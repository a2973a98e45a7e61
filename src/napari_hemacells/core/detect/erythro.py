"""Red cells: round outlines that voting edges agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage as ndi

from napari_hemacells.core.detect.contour import centre_votes, directions, gradient, trace
from napari_hemacells.core.detect.found import Found
from napari_hemacells.core.types import RBC

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.detect.contour import Outlines
    from napari_hemacells.core.detect.stain import Plane, Stain

    Mask = NDArray[np.bool_]

LEVEL = 0.7  # of the usual density of red cells, where the levelled density flattens
EDGE_SHARE = 60  # percentile of the gradient above which it may vote
VOTES_FLOOR = 0.25  # of the strongest centres
APART = 0.25  # of a diameter, between two centres
SCORE_FLOOR = 0.47
SMALLEST_AREA = 0.3  # of a typical red cell
STAINED_SHARE = 0.25  # of a cell's inside is foreground: little in a pale ring
HIDDEN_SHARE = 0.45  # of a cell may lie under others that are surer


@dataclass(frozen=True)
class RedLevels:
    """What is usual among the red cells of an image; thresholds are relative to it.

    Attributes
    ----------
    usual
        Density where the levelled density flattens.
    steep
        Least gradient of an edge that may vote for a centre.
    votes
        Votes of the clearest centres.
    strong
        Fall of density across a strong edge, a pixel.
    clear
        The same across a clear outline.
    """

    usual: float
    steep: float
    votes: float
    strong: float
    clear: float


def red_cells(
    stain: Stain,
    diameter: float,
    eagerness: float,
    stained: Mask,
    taken: Mask,
    *,
    levels: RedLevels | None = None,
) -> tuple[list[Found], RedLevels | None]:
    """Return the red cells, surest first, none lying mostly under others; and the levels used.

    Parameters
    ----------
    diameter
        Of a red cell, in pixels.
    eagerness
        What the score threshold is divided by: 1 usual, more finds fainter outlines.
    stained
        The foreground, pale centres filled.
    taken
        Where white cells are.
    levels
        Measured on the picture itself by default; there are none where nothing is stained.
    """
    free = ~ndi.binary_dilation(taken, iterations=2)
    if not free.any() or not (stained & free).any():
        return [], None
    usual = levels.usual if levels else _usual(stain.density[stained & ~taken])
    slope = gradient(_levelled(stain.density, usual, taken, diameter), diameter * 0.03)
    edge = levels.steep if levels else _steep(np.hypot(*slope)[free])
    votes = centre_votes(slope, diameter, edge)
    votes[taken] = 0
    top = levels.votes if levels else max(float(np.percentile(votes[free], 99.5)), 1e-9)
    centres = _peaks(votes / top, diameter)
    if not len(centres):
        return [], None
    outlines, strong = trace(slope, centres, diameter, levels.strong if levels else None)
    clear = levels.clear if levels else max(float(np.percentile(outlines.edge, 75)), 1e-6)
    found = _surest(outlines, diameter, SCORE_FLOOR / eagerness, stained, taken, clear=clear)
    return found, RedLevels(usual, edge, top, strong, clear)


def _usual(density: Plane) -> float:
    return LEVEL * max(float(np.median(density)), 1e-3)


def _steep(gradients: Plane) -> float:
    return max(float(np.percentile(gradients, EDGE_SHARE)), 1e-6)


def _peaks(votes: Plane, diameter: float) -> NDArray[np.float64]:
    """Return the centres that enough edges agree on, ``(n, 2)``."""
    from skimage.feature import peak_local_max

    peaks = peak_local_max(
        votes,
        min_distance=max(1, int(diameter * APART)),
        threshold_abs=VOTES_FLOOR,
        exclude_border=False,
    )
    return np.asarray(peaks, dtype=np.float64)


def _levelled(density: Plane, usual: float, taken: Mask, diameter: float) -> Plane:
    """Return the density without white cells, levelled off: pale cells weigh nearly as dense ones.

    Beyond the usual density the curve flattens (tanh), so that an overlap of two cells or a speck
    of dirt outshines no pale ring.
    """
    flat = usual * np.tanh(np.where(taken, 0, density) / usual)
    return np.asarray(ndi.gaussian_filter(flat, diameter * 0.0175), dtype=np.float32)


def _surest(
    outlines: Outlines, diameter: float, floor: float, stained: Mask, taken: Mask, *, clear: float
) -> list[Found]:
    """Return the outlines that stand, taking the surest first."""
    points = outlines.centres[:, None] + directions()[None] * outlines.radii[..., None]
    scores = _scores(outlines, points, stained.shape, clear)
    covered = taken.copy()
    found = []
    for place in np.argsort(-scores):
        if scores[place] < floor:
            break
        inside = _inside(points[place], stained.shape)
        area = len(inside[0])
        if area < SMALLEST_AREA * np.pi * diameter**2 / 4:
            continue
        if stained[inside].mean() < STAINED_SHARE or covered[inside].mean() > HIDDEN_SHARE:
            continue
        covered[inside] = True
        found.append(Found(RBC, points[place], float(np.clip(scores[place], 0, 1))))
    return found


def _inside(
    outline: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    from skimage.draw import polygon

    rows, cols = polygon(*outline.T, shape=shape)
    return rows, cols


def _scores(
    outlines: Outlines, points: NDArray[np.float64], shape: tuple[int, ...], usual: float
) -> NDArray[np.float64]:
    """Return how clear each outline is where it lies in the image, less for cut cells."""
    clear = np.clip(outlines.edge / usual, -0.5, 1)
    seen = ((points >= 0) & (points < np.asarray(shape[:2]))).all(axis=2)
    mean = np.where(seen, clear, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return np.asarray(mean * np.minimum(1, seen.mean(axis=1) + 0.3))
