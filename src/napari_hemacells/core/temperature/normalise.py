"""Scaling °C to network input: floats from 0 to 255, never rounded to bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_hemacells.core.types import TemperatureScaling

FIXED_MAX_CELSIUS = 40.0  # °C that becomes white when the scale is fixed
TORSO = (1.0, 99.5)  # percentiles of the body's degrees that become black and white
LEAST_SPAN = 0.5  # °C
COLORMAP = "inferno"  # in which people see thermograms
CONTRAST_PERCENTILES = (1.0, 99.9)  # percentiles of the degrees between which the colours run
MIN_CONTRAST_SPAN = 2.0  # °C that the colours span, however even the frame is
GREY = "grey"


def scale_celsius(
    celsius: NDArray[np.floating],
    how: TemperatureScaling = "fixed",
    *,
    body: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Scale degrees to ``(rows, cols)`` float32 from 0 to 1.

    Parameters
    ----------
    celsius
        ``(rows, cols)`` °C.
    how
        ``fixed``: 0 to 40 °C, the same for every patient and room. ``range``: the frame's coldest
        to its hottest pixel. ``torso``: the 1st to the 99.5th percentile of the patient's body,
        so that neither the room nor the patient's usual temperature is seen.
    body
        ``(rows, cols)`` True on the patient, for ``torso``; where not given, what is warmer than
        Otsu's threshold.

    Examples
    --------
    >>> scaled(np.array([[20.0, 30.0, 41.0]])).tolist()
    [[0.5, 0.75, 1.0]]
    """
    values = np.asarray(celsius, dtype=np.float64)
    low, high = _limits(values, how, body)
    span = max(high - low, LEAST_SPAN)
    return np.clip((values - low) / span, 0.0, 1.0).astype(np.float32)


def celsius_to_rgb(
    celsius: NDArray[np.floating],
    how: TemperatureScaling = "fixed",
    *,
    palette: str = GREY,
    body: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Scale degrees to ``(rows, cols, 3)`` float32 from 0 to 255, the input of encoders.

    Parameters
    ----------
    palette
        ``grey``, or the name of one of matplotlib's colormaps; between its colours is
        interpolated, so that no step of temperature is lost.

    Raises
    ------
    ValueError
        No such colormap.
    """
    values = scale_celsius(celsius, how, body=body)
    if palette == GREY:
        return np.repeat(values[..., np.newaxis] * np.float32(255), 3, axis=-1)
    from matplotlib import colormaps

    if palette not in colormaps:
        raise ValueError(f"There is no colormap “{palette}”.")
    colours = colormaps[palette](np.linspace(0, 1, 256))[:, :3] * 255
    places = np.linspace(0, 1, 256)
    planes = [np.interp(values, places, colours[:, channel]) for channel in range(3)]
    return np.stack(planes, axis=-1).astype(np.float32)


def contrast_limits(celsius: NDArray[np.floating]) -> tuple[float, float]:
    """Contrast limits in °C: nearly the whole range of the frame, without single hot pixels.

    Examples
    --------
    >>> contrast_limits(np.linspace(20, 36, 10_001).reshape(73, 137))
    (20.1, 36.0)
    """
    low, high = (float(edge) for edge in np.percentile(celsius, CONTRAST_PERCENTILES))
    low, high = np.floor(low * 10) / 10, np.ceil(high * 10) / 10
    return round(float(low), 1), round(float(max(high, low + MIN_CONTRAST_SPAN)), 1)


def celsius_to_picture(celsius: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colour degrees as the viewer does: ``(rows, cols, 3)`` uint8.

    Pixels without a temperature are as the coldest.
    """
    from matplotlib import colormaps

    values = np.asarray(celsius, dtype=np.float64)
    known = np.isfinite(values)
    low, high = contrast_limits(values[known]) if known.any() else (0.0, MIN_CONTRAST_SPAN)
    shares = np.clip((np.where(known, values, low) - low) / (high - low), 0.0, 1.0)
    table = np.round(colormaps[COLORMAP](np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)
    return np.asarray(table[np.round(shares * 255).astype(np.uint8)])


def _limits(
    celsius: NDArray[np.float64], how: TemperatureScaling, body: NDArray[np.bool_] | None
) -> tuple[float, float]:
    if how == "fixed":
        return 0.0, FIXED_MAX_CELSIUS
    if how == "range":
        return float(celsius.min()), float(celsius.max())
    from skimage.filters import threshold_otsu

    if body is None:
        body = celsius >= (threshold_otsu(celsius) if np.ptp(celsius) > 0 else celsius.min())
    low, high = np.percentile(celsius[body], TORSO)
    return float(low), float(high)
