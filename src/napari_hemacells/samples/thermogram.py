"""A rendered breast thermogram with ground truth: body, breasts, nipples, hot spots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from scipy import ndimage as ndi

from napari_hemacells.samples.torso import Grid, SyntheticTorso, rim, smooth, texture, vessels

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from napari_hemacells.samples.torso import Breast

Side: TypeAlias = Literal["left", "right"]
Box: TypeAlias = tuple[int, int, int, int]

SIDES: tuple[Side, Side] = ("right", "left")  # as the picture shows them, from its left
HOT_SPOT_WARMTH = (1.8, 2.8)  # °C above its surroundings
HOT_SPOT_WIDTH = (11.0, 18.0)  # pixels of a frame with 480 rows
REFERENCE = 36  # side of the cool square below the sternum that such exams have


@dataclass(frozen=True)
class SyntheticHotSpot:
    """A warm spot: its side of the patient, centre (row, col), radius (px), °C it adds."""

    side: Side
    row: float
    col: float
    radius: float
    warmth: float


@dataclass(frozen=True, eq=False)
class SyntheticThermogram:
    """A frontal thermogram and its ground truth.

    ``left`` and ``right`` are the **patient's** sides: seen from the front, the patient's left
    breast is on the **right** of the picture (higher columns), as in the DMR-IR files.

    Attributes
    ----------
    celsius
        ``(rows, cols)`` float32, °C, in steps of a hundredth as a camera writes them.
    body
        ``(rows, cols)`` True on trunk, breasts and arms.
    breasts
        For each side the half-open box ``(min_row, min_col, max_row, max_col)`` in pixels.
    breast_masks
        For each side ``(rows, cols)`` True on the breast.
    nipples
        For each side (row, col).
    hot_spots
        The warm spots that were added; empty for a healthy patient.
    room
        Temperature of the background in °C.
    """

    celsius: NDArray[np.float32]
    body: NDArray[np.bool_]
    breasts: dict[Side, Box]
    breast_masks: dict[Side, NDArray[np.bool_]]
    nipples: dict[Side, tuple[float, float]]
    hot_spots: tuple[SyntheticHotSpot, ...]
    room: float


def synthetic_thermogram(
    seed: int = 0,
    *,
    hot_spot: bool | Side = False,
    size: tuple[int, int] = (480, 640),
    noise: float = 0.08,
    veins: float = 0.55,
) -> SyntheticThermogram:
    """Return a rendered frontal thermogram; equal arguments give equal thermograms.

    Build, skin temperature and veins vary with `seed`; a hot spot changes only the place where it
    is.

    Parameters
    ----------
    hot_spot
        Whether one breast has a warm spot; ``"left"`` or ``"right"`` is the patient's side;
        otherwise `seed` chooses it.
    size
        Rows and columns.
    noise
        Standard deviation of the camera's noise in °C.
    veins
        Approximate maximum of the temperature that a vein adds, in °C; 0 for no veins.

    Examples
    --------
    >>> sick = synthetic_thermogram(1, hot_spot="left", size=(120, 160))
    >>> sick.celsius.shape, sick.hot_spots[0].side
    ((120, 160), 'left')
    """
    rng = np.random.default_rng(seed)
    grid, torso = Grid.of(size), SyntheticTorso.drawn(rng)
    room, skin = rng.normal(22.6, 0.5), rng.normal(30.9, 0.6)
    coolness = rng.uniform(0.9, 1.7)
    body = torso.outline(grid)
    warm = skin + torso.warmth(grid, coolness) + rim(body, grid.unit)
    warm += texture(rng, size, grid.unit) + veins * vessels(rng, size, grid.unit)
    wall = room + 0.25 * smooth(rng, size, 90 * grid.unit)
    grain = noise * rng.normal(size=size)
    side = SIDES[int(rng.integers(2))] if isinstance(hot_spot, bool) else hot_spot
    breasts = dict(zip(SIDES, torso.breasts, strict=True))
    spots = (_hot_spot(rng, side, breasts[side], grid),) if hot_spot else ()
    for spot in spots:
        warm += spot.warmth * grid.gaussian(_units(spot, grid), (spot.radius / grid.unit,) * 2)
    seen = _photograph(warm, wall, body, grid.unit) + grain
    seen = _with_reference(seen, torso, grid, room + 1.2 + grain)
    masks = {breast_side: breasts[breast_side].reach(grid) < 1 for breast_side in SIDES}
    return SyntheticThermogram(
        celsius=np.round(seen, 2).astype(np.float32),
        body=body,
        breasts={breast_side: _box(mask) for breast_side, mask in masks.items()},
        breast_masks=masks,
        nipples={breast_side: _pixel(breasts[breast_side].nipple, grid) for breast_side in SIDES},
        hot_spots=spots,
        room=float(room),
    )


def _hot_spot(rng: Generator, side: Side, breast: Breast, grid: Grid) -> SyntheticHotSpot:
    """Return a random warm spot inside the breast, away from its outline."""
    angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.55)
    u = breast.centre[0] + away * breast.axes[0] * np.cos(angle)
    v = breast.centre[1] + away * breast.axes[1] * np.sin(angle)
    row, col = _pixel((u, v), grid)
    radius = rng.uniform(*HOT_SPOT_WIDTH) * grid.unit
    return SyntheticHotSpot(side, row, col, float(radius), float(rng.uniform(*HOT_SPOT_WARMTH)))


def _pixel(point: tuple[float, float], grid: Grid) -> tuple[float, float]:
    """(row, col) of a point (u, v)."""
    cols = grid.u.shape[1]
    return float(point[1] * grid.unit - 0.5), float(point[0] * grid.unit + cols / 2 - 0.5)


def _units(spot: SyntheticHotSpot, grid: Grid) -> tuple[float, float]:
    """(u, v) of a spot."""
    cols = grid.u.shape[1]
    return (spot.col + 0.5 - cols / 2) / grid.unit, (spot.row + 0.5) / grid.unit


def _photograph(
    warm: NDArray[np.float64], wall: NDArray[np.float64], body: NDArray[np.bool_], unit: float
) -> NDArray[np.float64]:
    """Return the body in front of the wall, blurred by the camera's optics."""
    share = ndi.gaussian_filter(body.astype(np.float64), 1.6 * unit)
    return np.asarray(share * ndi.gaussian_filter(warm, 0.8 * unit) + (1 - share) * wall)


def _with_reference(
    seen: NDArray[np.float64], torso: SyntheticTorso, grid: Grid, celsius: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the image with a square of that temperature below the sternum."""
    inside = np.abs(grid.u - torso.middle) < REFERENCE / 2
    inside &= np.abs(grid.v - 432) < REFERENCE / 2
    share = ndi.gaussian_filter(inside.astype(np.float64), 0.8 * grid.unit)
    return np.asarray(share * celsius + (1 - share) * seen)


def _box(mask: NDArray[np.bool_]) -> Box:
    """Return the half-open box around a mask."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1
