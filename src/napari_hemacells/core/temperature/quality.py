"""Plausibility of a thermogram in °C, with the likely unit where it fails; its sharpness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_hemacells.core.errors import ThermogramError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TYPICAL = (5.0, 45.0)  # °C: between them is the median of a frame that shows a person in a room
POSSIBLE = (-40.0, 120.0)  # °C that anything in the room can have, a lamp or a cold pack
UNIT_CONVERSIONS = (
    ("hundredths of a kelvin", 0.01, -273.15, "divide by 100 and subtract 273.15"),
    ("hundredths of a degree", 0.01, 0.0, "divide by 100"),
    ("kelvin", 1.0, -273.15, "subtract 273.15"),
    ("tenths of a degree", 0.1, 0.0, "divide by 10"),
    ("degrees Fahrenheit", 1 / 1.8, -32 / 1.8, "subtract 32 and divide by 1.8"),
)
ROOM = (12.0, 42.0)  # °C: where nearly all of a frame lies once it is rightly converted


def check_celsius(celsius: NDArray[np.floating], name: str, *, line: int = 1) -> None:
    """Refuse values that cannot be a person's temperatures in °C.

    Parameters
    ----------
    celsius
        ``(rows, cols)``.
    name
        The file, for the sentence.
    line
        The line of the file that the first row is on; 0 where the file has no lines.

    Raises
    ------
    ThermogramError
        NaN, infinity, or values beyond what skin and room can have; it names line and column
        (counted from 1), what the unit may be, and what to do.
    """
    bad = ~np.isfinite(celsius)
    if bad.any():
        raise ThermogramError(
            f"{name}, {_format_position(bad, line)}: {celsius[bad][0]} is no temperature; "
            f"every pixel needs "
            "one. Export the frame again, or replace it by its neighbours' mean."
        )
    middle = float(np.median(celsius))
    if not TYPICAL[0] <= middle <= TYPICAL[1]:
        raise ThermogramError(_wrong_unit(celsius, name, middle, line))
    bad = (celsius < POSSIBLE[0]) | (celsius > POSSIBLE[1])
    if bad.any():
        raise ThermogramError(
            f"{name}, {_format_position(bad, line)}: {celsius[bad][0]:g} °C is impossible "
            f"beside a median "
            f"of {middle:.1f} °C: the pixel or the file is damaged. Export the frame again."
        )


def _wrong_unit(celsius: NDArray[np.floating], name: str, middle: float, line: int) -> str:
    low, high = np.percentile(celsius, [5, 95])
    bad = (celsius < TYPICAL[0]) | (celsius > TYPICAL[1])
    start = (
        f"{name}, {_format_position(bad, line)}: {celsius[bad][0]:g} is no skin temperature in "
        f"°C, and half "
        f"of the frame lies above {middle:.1f}"
    )
    for unit, factor, offset, cure in UNIT_CONVERSIONS:
        converted = np.array([low, middle, high]) * factor + offset
        if (converted >= ROOM[0]).all() and (converted <= ROOM[1]).all():
            return f"{start}: it looks like {unit}. Convert it to °C first: {cure}."
    return f"{start}: it is no frame in °C. Export it as temperatures, not as raw counts."


def _format_position(bad: NDArray[np.bool_], line: int) -> str:
    row, col = np.argwhere(bad)[0].tolist()
    return f"line {row + line}, column {col + 1}" if line else f"row {row + 1}, column {col + 1}"


ROWS = 480  # of the frame in whose pixels the two scales are given
FINE, COARSE = 1.5, 4.0  # pixels
LEAST_UNIT = 0.6  # of a pixel; a gradient at a finer scale than 0.9 px is not that of the picture
BLURRED = 1.25  # below it an edge is no steeper than a lens out of focus makes it


def focus_measure(celsius: NDArray[np.floating]) -> float:
    """Return the ratio of the steepest edges at a fine and at a coarse scale; 1 or more.

    A blurred edge has the same slope at both. The measure is the quotient of the fourth-power
    means of the Gaussian gradient's magnitude at 1.5 and at 4 px (of a frame with 480 rows), so
    that the body's outline decides and neither the unit, the contrast nor the camera's noise of
    about 0.1 °C does. It is the idea of re-blurring (Crete et al. 2007, doi 10.1117/12.702790),
    for pictures that are noisy and smooth. An even frame, which has no edge, has 1.

    Examples
    --------
    >>> from scipy.ndimage import gaussian_filter
    >>> edge = np.where(np.arange(640) < 320, 22.0, 31.0) * np.ones((480, 1))
    >>> focus(edge) > 1.5, focus(gaussian_filter(edge, 5)) < 1.25
    (True, True)
    """
    from scipy import ndimage as ndi

    values = np.asarray(celsius, dtype=np.float64)
    unit = max(values.shape[0] / ROWS, LEAST_UNIT)
    fine, coarse = (
        float(np.mean(ndi.gaussian_gradient_magnitude(values, scale * unit) ** 4)) ** 0.25
        for scale in (FINE, COARSE)
    )
    return fine / coarse if coarse > 1e-9 else 1.0
