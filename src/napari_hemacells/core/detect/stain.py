"""Stain of a smear: optical density above the background, basophilia and chromatin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
GridCoordinates = tuple[NDArray[np.float64], NDArray[np.float64]]

COLOUR_FLOOR = 0.02  # spread of density over the channels below which a picture is grey
GLASS_BAND = 0.012  # in log10 brightness: about 3 %
HAEMOGLOBIN_GREEN = 1.45  # over its blue density: the median in two laboratories' smears
EXTRA_GREEN = 0.75  # weight of the green that haemoglobin does not explain
FIT_SIDE = 96  # the background is smooth: a thumbnail of this side is enough to fit it
ASYMMETRY = 0.95  # glass is the bright side of the histogram, even where it is scarce


@dataclass(frozen=True, eq=False)
class Stain:
    """Stain planes of an image, each ``(rows, cols)`` float32.

    Attributes
    ----------
    density
        Optical density above the background, all stains together (Beer-Lambert).
    basophilia
        Blue-violet stain: red absorbed, blue transmitted. High in nuclei and platelets, near 0 or
        below in haemoglobin.
    chromatin
        Violet of nuclei, including magenta: basophilia plus the green absorption beyond that of
        haemoglobin of the same blue density.
    noise
        Robust standard deviation of ``density`` on the background.
    coloured
        False for an unstained (grey) picture, in which kinds of cells cannot be distinguished.
    """

    density: Plane
    basophilia: Plane
    chromatin: Plane
    noise: float
    coloured: bool


@dataclass(frozen=True)
class Glass:
    """The background brightness of an image: a second-order surface per channel.

    Attributes
    ----------
    terms
        Six coefficients of the log brightness (:func:`polynomial`) for each channel.
    """

    terms: tuple[tuple[float, ...], ...]

    def surface(self, rows: NDArray[np.float64], cols: NDArray[np.float64]) -> Plane:
        """Return the log brightness on a grid of points, from 0 to 1 along each axis."""
        full = polynomial(rows, cols) @ np.ascontiguousarray(np.array(self.terms).T)
        return np.asarray(full.reshape(len(rows), len(cols), 3), dtype=np.float32)


def log_brightness(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the log of the brightness, ``(rows, cols, 3)`` float32."""
    offset = 4.0  # a dark pixel's noise stays bounded
    return np.asarray(np.log10(pixels.astype(np.float32) + offset), dtype=np.float32)


def fit_glass(pixels: NDArray[np.uint8]) -> Glass:
    """Return the background of a picture, a smooth surface fitted to its bright pixels."""
    rows, cols = pixels.shape[:2]
    step = max(1, max(rows, cols) // FIT_SIDE)
    small = log_brightness(pixels[::step, ::step])
    terms = polynomial(np.arange(0, rows, step) / rows, np.arange(0, cols, step) / cols)
    return fit_glass_to(terms, small.reshape(-1, 3).astype(np.float64))


def fit_glass_to(terms: NDArray[np.float64], values: NDArray[np.float64]) -> Glass:
    """Return the background fitted to scattered pixels: polynomial terms and log brightness."""
    glass = _glass_pixels(terms, values.mean(axis=1))
    weights = _least_squares(terms[glass], values[glass])
    return Glass(tuple(tuple(channel) for channel in weights.T.tolist()))


def optical_density(
    pixels: NDArray[np.uint8], glass: Glass | None = None, place: GridCoordinates | None = None
) -> NDArray[np.float32]:
    """Return the optical density above the local background, ``(rows, cols, 3)`` float32.

    The background is a second-order surface per channel, which removes uneven illumination and
    the colour of the lamp (Ruifrok & Johnston 2001 for the density).

    Parameters
    ----------
    glass
        Background; fitted to the picture by default.
    place
        Positions of the rows and columns in the image of the background, from 0 to 1.
    """
    rows, cols = pixels.shape[:2]
    place = place or (np.arange(rows) / rows, np.arange(cols) / cols)
    return (glass or fit_glass(pixels)).surface(*place) - log_brightness(pixels)


def polynomial(rows: NDArray[np.float64], cols: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the six terms up to second order at each point of a grid, ``(n, 6)``."""
    y, x = (axis.ravel() for axis in np.meshgrid(rows - 0.5, cols - 0.5, indexing="ij"))
    return np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=1)


def _glass_pixels(terms: NDArray[np.float64], bright: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which thumbnail pixels are background: near an asymmetric fit to the bright side.

    Asymmetric least squares (Eilers & Boelens 2005), then a narrow band around that fit.
    """
    fit = bright
    weight = np.ones_like(bright)
    for _ in range(12):
        fit = terms @ _least_squares(terms * weight[:, None], bright * weight)
        above = bright > fit
        weight = np.where(above, ASYMMETRY**0.5, (1 - ASYMMETRY) ** 0.5)
    glass = np.abs(bright - fit) < GLASS_BAND
    return glass if glass.sum() >= 12 else np.ones_like(glass)


def _least_squares(terms: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the coefficients of a linear fit (minimum norm)."""
    return np.asarray(np.linalg.lstsq(terms, values, rcond=None)[0])


def read_stain(
    pixels: NDArray[np.uint8],
    glass: Glass | None = None,
    place: GridCoordinates | None = None,
    *,
    noise: float | None = None,
    coloured: bool | None = None,
) -> Stain:
    """Return the planes that the detector works on, from ``(rows, cols, 3)`` uint8.

    Parameters
    ----------
    glass, place
        See :func:`optical_density`.
    noise, coloured
        Measured on the picture by default.
    """
    density = optical_density(pixels, glass, place)
    together = density.mean(axis=2)
    red, green, blue = np.moveaxis(density, -1, 0)
    extra = np.clip(green - HAEMOGLOBIN_GREEN * blue, 0, None)
    return Stain(
        density=together,
        basophilia=red - blue,
        chromatin=red - blue + EXTRA_GREEN * extra,
        noise=_noise(together) if noise is None else noise,
        coloured=_is_coloured(density) if coloured is None else coloured,
    )


def _noise(density: Plane) -> float:
    glass = np.abs(density) < 2 * GLASS_BAND
    return 1.4826 * float(np.median(np.abs(density[glass]))) if glass.any() else 0.0


def _is_coloured(density: NDArray[np.float32]) -> bool:
    return float(np.percentile(np.ptp(density, axis=2), 99)) > COLOUR_FLOOR
